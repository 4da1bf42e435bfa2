"""Ctrl-C and termination while a run goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(stop: threading.Event, on_stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal set an event, and the second one raise KeyboardInterrupt.

    In another thread than the main one nothing is done: signals reach only that.

    Parameters
    ----------
    stop
        Set by the first signal.
    on_stop
        Called after that, within the handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        on_stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
