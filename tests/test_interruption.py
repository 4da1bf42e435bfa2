"""The first signal asks, the second one insists."""

from __future__ import annotations

import signal
import threading

import pytest

from pipeline.interruption import interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_raises(number: signal.Signals) -> None:
    stop, told = threading.Event(), list[bool]()
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible(stop, lambda: told.append(stop.is_set())):
        signal.raise_signal(number)
        assert told == [True]
        signal.raise_signal(number)
    assert told == [True]
    assert signal.getsignal(number) is before


def test_other_threads_have_no_signals_to_take() -> None:
    seen = list[object]()

    def enter() -> None:
        with interruptible(threading.Event(), lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
