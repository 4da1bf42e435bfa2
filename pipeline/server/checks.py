"""Every request is judged before it is read, and every answer carries the headers that keep a page safe."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.server.guard import Guard

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class CheckMiddleware:
    """Refuses what `Guard` refuses.

    Parameters
    ----------
    app
        What answers the others.
    guard
        Who may ask.
    open_paths
        What may be read without the token; all of ``/static/`` too.
    """

    def __init__(self, app: ASGIApp, guard: Guard, open_paths: Collection[str]) -> None:
        self._app = app
        self._guard = guard
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request, then pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        path = scope["path"]
        is_open = path in self._open_paths or path.startswith("/static/")
        refusal = self._guard.refusal(Headers(scope=scope), needs_token=not is_open)
        if refusal is None:
            await self._app(scope, receive, safely)
            return
        extra = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        await problem(refusal.status, refusal.message, extra)(scope, receive, safely)


def problem(code: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make the answer to a request that went wrong."""
    return JSONResponse({"error": {"code": code, "message": message}}, code, dict(headers or {}))
