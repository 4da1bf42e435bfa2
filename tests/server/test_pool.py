"""Worker processes behind the server: limits, losses, and an end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config import Config
from pipeline.errors import EngineError, SegmentationError, TimeLimitError, WorkerLostError
from pipeline.executors.children import end_process
from pipeline.server.pool import PoolFullError, WorkerPool
from tests.server import answerers


@contextmanager
def pool(
    workers: int = 1,
    queue_size: int = 4,
    time_limit_seconds: float = 60.0,
    factory: Callable[[Config], Any] = answerers.parrot,
    close_seconds: float = 5.0,
) -> Iterator[WorkerPool[str, str]]:
    made: WorkerPool[str, str] = WorkerPool(
        Config(),
        factory,
        workers=workers,
        queue_size=queue_size,
        time_limit_seconds=time_limit_seconds,
        close_seconds=close_seconds,
    )
    made.start()
    try:
        yield made
    finally:
        made.close()


def eventually(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)  # the test's own time limit ends this


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_answers_and_errors_reach_who_asked() -> None:
    with pool(workers=2) as two:
        futures = [two.submit(f"request {number}") for number in range(4)]
        assert [future.result() for future in futures] == [f"request {number}" for number in range(4)]
        with pytest.raises(SegmentationError, match="no luck"):
            two.submit("fail no luck").result()
        with pytest.raises(EngineError, match="KeyError: 'it'"):
            two.submit("break it").result()
        assert two.submit("still").result() == "still"
        assert (two.state.lost, two.waiting, two.state.busy) == (0, 0, 0)


def test_a_full_queue_is_refused_and_cancelled_requests_make_room(tmp_path: Path) -> None:
    with pool(queue_size=1) as small:
        first = small.submit(f"wait-for {tmp_path / 'go on'}")
        eventually(first.running)
        second = small.submit("second")
        with pytest.raises(PoolFullError) as refused:
            small.submit("third")
        assert refused.value.retry_after_seconds >= 1
        assert second.cancel()
        third = small.submit("third")
        (tmp_path / "go on").touch()
        assert third.result() == "third"


def test_a_late_answer_ends_its_worker_only() -> None:
    with pool(time_limit_seconds=3) as short:
        eventually(lambda: short.state.ready == 1)
        before = short.submit("pid").result()
        with pytest.raises(TimeLimitError, match="longer than 3 s"):
            short.submit("sleep 60").result()
        eventually(lambda: short.state.ready == 1)
        assert short.submit("pid").result() != before
        assert short.state.lost == 1
        assert not psutil.pid_exists(int(before))


def test_a_lost_worker_costs_one_more_try(tmp_path: Path) -> None:
    with pool() as one:
        assert one.submit(f"die-once {tmp_path / 'mark'}").result() == "alive again"
        with pytest.raises(WorkerLostError, match="exit code 7"):
            one.submit("die").result()
        assert one.submit("on").result() == "on"
        assert one.state.lost == 3


def test_a_worker_that_dies_idle_is_replaced() -> None:
    with pool() as one:
        before = int(one.submit("pid").result())
        os.kill(before, signal.SIGKILL)
        eventually(lambda: one.state.lost == 1)
        assert int(one.submit("pid").result()) != before


def test_a_worker_that_cannot_start_leaves_the_pool_unready(caplog: pytest.LogCaptureFixture) -> None:
    with pool(factory=answerers.without_model) as none:
        future = none.submit("x")
        eventually(lambda: "network.caffemodel: is not there" in caplog.text)
        assert none.state.ready == 0
        none.close()
        with pytest.raises(EngineError, match="stopping"):
            future.result()


def test_closing_gives_up_what_waits_and_leaves_no_process() -> None:
    with pool() as one:
        pid = int(one.submit("pid").result())
        busy = one.submit("sleep 1")
        waiting = one.submit("never")
        eventually(busy.running)
        one.close()
        assert busy.result() == "sleep 1"
        with pytest.raises(EngineError, match="stopping"):
            waiting.result()
        with pytest.raises(PoolFullError):
            one.submit("late")
        assert not psutil.pid_exists(pid)


def test_a_signal_to_all_processes_costs_nothing_that_is_in_hand(tmp_path: Path) -> None:
    with pool() as one:
        pid = int(one.submit("pid").result())
        order = f"wait-for {tmp_path / 'go on'}"
        busy = one.submit(order)
        eventually(busy.running)
        os.kill(pid, signal.SIGTERM)  # as systemd does, beside the server's own
        (tmp_path / "go on").touch()
        assert busy.result() == order
        assert one.state.lost == 0


def test_only_the_thread_that_reads_a_pipe_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    closers: list[str] = []

    def noted(process: BaseProcess, patience_seconds: float) -> None:
        closers.append(threading.current_thread().name)
        end_process(process, patience_seconds)

    monkeypatch.setattr("pipeline.server.worker_process.end_process", noted)
    with pool(workers=2, close_seconds=0.2) as two:
        eventually(lambda: two.state.ready == 2)
        hanging = two.submit("sleep 600")
        eventually(hanging.running)
        two.close()
    assert sorted(closers) == ["keeper-0", "keeper-1"]


def test_closing_does_not_wait_for_ever() -> None:
    with pool(close_seconds=0.2) as one:
        pid = int(one.submit("pid").result())
        hanging = one.submit("sleep 600")
        eventually(hanging.running)
        one.close()
        with pytest.raises(EngineError):
            hanging.result()
        one.close()
        eventually(lambda: not is_running(pid))
