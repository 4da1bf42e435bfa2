"""A connection that cannot be held for nothing: whoever neither asks nor leaves is let go."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""How long the head of a request may take to arrive, and what is left of a body that was refused."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to waiting for the head of a request.

    uvicorn itself waits for ever for the first request of a connection, and for the rest of a head that came
    in part; a few thousand such connections take all there are.

    Attributes
    ----------
    head_seconds
        See `HEAD_SECONDS`.
    """

    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request; for a silent one uvicorn's own time runs."""
        super().on_response_complete()
        self._stop()

    def _watch(self) -> None:
        """Let the time run while nothing whole is asked, or what comes is no longer wanted."""
        is_asked = self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE
        if is_asked:
            self._stop()
        elif self._patience is None:
            self._patience = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
