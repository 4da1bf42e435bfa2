"""Where a photograph is on its way, and how long each part of it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """The stages of one photograph, kept by whoever runs it and handed down to whoever does a part.

    Attributes
    ----------
    current
        The stage that runs, or the one that failed: where a failure belongs that does not say so itself.
        ``photo`` outside of all.
    seconds
        Stage -> seconds, in the order of their first begin; a stage that failed counts, too.
    """

    def __init__(self) -> None:
        self.current = "photo"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Name and time a part of the way; a stage that is run again adds up."""
        outer, self.current = self.current, name
        start = time.perf_counter()
        try:
            yield
            self.current = outer
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def rounded(self, digits: int) -> dict[str, float]:
        """The seconds, rounded."""
        return {name: round(seconds, digits) for name, seconds in self.seconds.items()}
