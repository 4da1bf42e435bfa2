"""Worker processes that answer requests, a bounded queue before them, and a time limit on each.

One thread of the server stands by each process: it hands it one request at a time, waits for the answer, and
puts a new process in place of one that died or took too long.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.config import Config
from pipeline.environment import usable_cores
from pipeline.errors import EngineError, TimeLimitError, UncropError, WorkerLostError
from pipeline.executors.base import settle_threads
from pipeline.server.worker_process import Answerer, WorkerProcess

_CLOSE_SECONDS = 5.0
_START_SECONDS = 120.0
_RESTART_PAUSE_SECONDS = 1.0
_MOST_ATTEMPTS = 2
_USUAL_SECONDS = 1.0

_log = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class PoolFullError(Exception):
    """The queue is full; ``retry_after_seconds`` says when it is worth trying again."""

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"the queue is full; try again in {retry_after_seconds} s")


@dataclass(slots=True, eq=False)
class _Job(Generic[Request, Answer]):
    request: Request | None
    future: Future[Answer]
    deadline: float


@dataclass(slots=True)
class PoolState:
    """How the pool is doing; read for ``/readyz`` and ``/metrics``.

    Attributes
    ----------
    ready
        Workers that have loaded their models.
    busy
        Workers that have a request in hand.
    lost
        Workers that died or were ended since the start.
    """

    ready: int = 0
    busy: int = 0
    lost: int = 0
    mean_seconds: float = field(default=_USUAL_SECONDS)


class WorkerPool(Generic[Request, Answer]):
    """A fixed number of processes that answer requests.

    Parameters
    ----------
    config
        Handed to ``factory`` in each worker; ``execution.workers`` and ``engine.threads`` say how many of
        both there are.
    factory
        Makes what answers, in the worker: it crosses processes, so it must be a function of a module.
    queue_size
        Requests that may wait beside those in hand.
    time_limit_seconds
        From the arrival of a request to its answer.
    close_seconds
        How long a worker may take to end by itself.
    """

    def __init__(
        self,
        config: Config,
        factory: Callable[[Config], Answerer[Request, Answer]],
        *,
        workers: int,
        queue_size: int,
        time_limit_seconds: float,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self.state = PoolState()
        self.workers = workers
        self.queue_size = queue_size
        self.time_limit_seconds = time_limit_seconds
        self._close_seconds = close_seconds
        self._config = config
        self._factory = factory
        self._threads = settle_threads(config, usable_cores(), workers)
        self._queue: queue.SimpleQueue[_Job[Request, Answer]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._admitted = 0
        self._closing = threading.Event()
        self._processes: set[WorkerProcess] = set()
        self._keepers = [
            threading.Thread(target=self._keep, name=f"keeper-{number}", daemon=True)
            for number in range(workers)
        ]

    def start(self) -> None:
        """Start the processes; they load their models meanwhile."""
        for keeper in self._keepers:
            keeper.start()

    def submit(self, request: Request) -> Future[Answer]:
        """Queue a request.

        Returns
        -------
        Future
            Of the answer. It raises what the worker raised, TimeLimitError, WorkerLostError (after a second
            try), or EngineError when the pool closes. Cancelling it takes it out of the queue.

        Raises
        ------
        PoolFullError
            ``queue_size`` requests are waiting.
        """
        future: Future[Answer] = Future()
        with self._lock:
            if self._closing.is_set():
                raise PoolFullError(1)
            if self._admitted >= self.queue_size + self.workers:
                waits = self._admitted * self.state.mean_seconds / self.workers
                raise PoolFullError(max(1, math.ceil(waits)))
            self._admitted += 1
            job = _Job(request, future, time.monotonic() + self.time_limit_seconds)
            future.add_done_callback(lambda _: self._leave(job))
            self._queue.put(job)
        return future

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker."""
        return max(self._admitted - self.state.busy, 0)

    def close(self) -> None:
        """End the processes; what waits is given up, and what is in hand after a few seconds."""
        with self._lock:
            self._closing.set()
        self._join_keepers()
        with self._lock:
            left = list(self._processes)
        for process in left:
            process.kill()
        self._join_keepers()
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            _fail(job.future, EngineError("the server is stopping"))

    def _join_keepers(self) -> None:
        """Wait a while for the threads: each closes its own worker, nobody else touches the pipe it reads."""
        deadline = time.monotonic() + self._close_seconds + 1
        for keeper in self._keepers:
            if keeper.is_alive():
                keeper.join(max(deadline - time.monotonic(), 0))

    def _leave(self, job: _Job[Request, Answer]) -> None:
        """Count a request out; a cancelled one stays in the queue for a while, without its photograph."""
        job.request = None
        with self._lock:
            self._admitted -= 1

    def _keep(self) -> None:
        """Stand by one worker process until the pool closes."""
        worker: WorkerProcess | None = None
        while not self._closing.is_set():
            if worker is None:
                worker = self._started()
                continue
            try:
                job = self._queue.get(timeout=0.2)
            except queue.Empty:
                if not worker.is_alive():
                    self._lose(worker)
                    worker = None
                continue
            if not job.future.set_running_or_notify_cancel():
                continue
            with self._counted_busy():
                worker = self._do(worker, job)
        if worker is not None:
            worker.close()
            self._forget(worker)

    def _started(self) -> WorkerProcess | None:
        """A worker that has loaded its models; None, after a pause, when it could not."""
        worker = None
        try:
            worker = WorkerProcess(self._config, self._factory, self._threads, self._close_seconds)
            with self._lock:
                self._processes.add(worker)
            refused = worker.receive(time.monotonic() + _START_SECONDS)
            if isinstance(refused, UncropError):
                raise refused
        except (UncropError, OSError) as error:
            _log.error("a worker cannot start: %s", error)
            if worker is not None:
                self._end(worker)
            self._closing.wait(_RESTART_PAUSE_SECONDS)
            return None
        with self._lock:
            self.state.ready += 1
        return worker

    def _do(self, worker: WorkerProcess, job: _Job[Request, Answer]) -> WorkerProcess | None:
        """Have a request answered; gives the worker that stands there afterwards."""
        current: WorkerProcess | None = worker
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            while current is None:
                if self._closing.is_set() or time.monotonic() >= job.deadline:
                    _fail(job.future, EngineError("no worker could be started in time"))
                    return None
                current = self._started()
            start = time.monotonic()
            try:
                current.send(job.request)
                answer = current.receive(job.deadline)
            except TimeLimitError:
                self._lose(current)
                _fail(job.future, TimeLimitError(f"took longer than {self.time_limit_seconds:g} s"))
                return None
            except WorkerLostError as error:
                _log.warning("%s", error)
                self._lose(current)
                current = None
                if attempt == _MOST_ATTEMPTS:
                    _fail(job.future, error)
                continue
            seconds = time.monotonic() - start
            with self._lock:
                self.state.mean_seconds += 0.1 * (seconds - self.state.mean_seconds)
            if isinstance(answer, BaseException):
                _fail(job.future, answer)
            else:
                job.future.set_result(answer)  # type: ignore[arg-type]
            return current
        return None

    def _end(self, worker: WorkerProcess) -> None:
        worker.end()
        self._forget(worker)

    def _forget(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._processes.discard(worker)

    def _lose(self, worker: WorkerProcess) -> None:
        self._end(worker)
        with self._lock:
            self.state.ready -= 1
            self.state.lost += 1

    def _counted_busy(self) -> _Busy:
        return _Busy(self.state, self._lock)


class _Busy:
    """Counts a worker as busy while a request is in its hands."""

    def __init__(self, state: PoolState, lock: threading.Lock) -> None:
        self._state, self._lock = state, lock

    def __enter__(self) -> None:
        with self._lock:
            self._state.busy += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._state.busy -= 1


def _fail(future: Future[Answer], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
