"""Worker processes that answer requests, a bounded queue before them, and a time limit on each.

One thread of the server stands by each process: it hands it one request at a time, waits for the answer, and
puts a new process in place of one that died or took too long.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar

from pipeline.config import Config
from pipeline.environment import usable_cores
from pipeline.errors import EngineError, TimeLimitError, UncropError, WorkerLostError
from pipeline.executors.base import settle_threads, thread_environment
from pipeline.executors.children import cause_of_death, die_with_parent, end_process, inherited, kill_family

_CLOSE_SECONDS = 5.0
_START_SECONDS = 120.0
_RESTART_PAUSE_SECONDS = 1.0
_MOST_ATTEMPTS = 2
_USUAL_SECONDS = 1.0

_log = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Taken_contra = TypeVar("Taken_contra", contravariant=True)
Given_co = TypeVar("Given_co", covariant=True)


class Answerer(Protocol[Taken_contra, Given_co]):
    """Answers requests in a worker process, one after another."""

    def answer(self, request: Taken_contra, /) -> Given_co:
        """Answer one request; what it raises reaches who asked."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


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
    """

    def __init__(
        self,
        config: Config,
        factory: Callable[[Config], Answerer[Request, Answer]],
        *,
        workers: int,
        queue_size: int,
        time_limit_seconds: float,
    ) -> None:
        self.state = PoolState()
        self.workers = workers
        self.queue_size = queue_size
        self.time_limit_seconds = time_limit_seconds
        self._config = config
        self._factory = factory
        self._threads = settle_threads(config, usable_cores(), workers)
        self._queue: queue.SimpleQueue[_Job[Request, Answer]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._admitted = 0
        self._closing = threading.Event()
        self._processes: set[_WorkerProcess] = set()
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
        deadline = time.monotonic() + _CLOSE_SECONDS + 1
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
        worker: _WorkerProcess | None = None
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

    def _started(self) -> _WorkerProcess | None:
        """A worker that has loaded its models; None, after a pause, when it could not."""
        worker = None
        try:
            worker = _WorkerProcess(self._config, self._factory, self._threads)
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

    def _do(self, worker: _WorkerProcess, job: _Job[Request, Answer]) -> _WorkerProcess | None:
        """Have a request answered; gives the worker that stands there afterwards."""
        current: _WorkerProcess | None = worker
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

    def _end(self, worker: _WorkerProcess) -> None:
        worker.end()
        self._forget(worker)

    def _forget(self, worker: _WorkerProcess) -> None:
        with self._lock:
            self._processes.discard(worker)

    def _lose(self, worker: _WorkerProcess) -> None:
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


class _WorkerProcess:
    """One process and the pipe to it."""

    def __init__(self, config: Config, factory: Callable[[Config], Answerer[Any, Any]], threads: int) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(config, factory, theirs, threads), daemon=True, name="uncrop-server-worker"
        )
        with _starting, inherited(thread_environment(threads)):
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, request: object) -> None:
        try:
            self._connection.send(request)
        except OSError as error:
            raise WorkerLostError(self._last_words()) from error

    def receive(self, deadline: float) -> object:
        """What the worker says next.

        Raises
        ------
        TimeLimitError
            Nothing before ``deadline``.
        WorkerLostError
            It died.
        """
        try:
            if not self._connection.poll(max(deadline - time.monotonic(), 0)):
                raise TimeLimitError("took too long")
            message: object = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError(self._last_words()) from error
        return message

    def close(self) -> None:
        """Let it end by itself, for a while."""
        try:
            self._connection.send(None)
            self._process.join(_CLOSE_SECONDS)
        except OSError:
            _log.debug("a worker was gone before it was told to end")
        self.end()

    def kill(self) -> None:
        """Kill the process; any thread may: the one that stands by it sees the pipe end, and cleans up."""
        kill_family(self._process.pid)

    def end(self) -> None:
        end_process(self._process, _CLOSE_SECONDS)
        self._connection.close()

    def _last_words(self) -> str:
        self._process.join(_CLOSE_SECONDS)
        return cause_of_death(self._process.exitcode)


_starting = threading.Lock()
"""The environment that a child inherits is this process's own while it starts: one start at a time."""


def _work(
    config: Config, factory: Callable[[Config], Answerer[Any, Any]], connection: Connection, threads: int
) -> None:
    """Run in the worker: load, say so, then answer until there is nothing more."""
    die_with_parent()
    # Whoever stops the server may tell all its processes (systemd does): it is the server that ends this one,
    # when the request in hand is answered.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import cv2  # noqa: PLC0415 - only the workers need it

    cv2.setNumThreads(threads)
    try:
        try:
            answerer = factory(config)
        except UncropError as error:
            connection.send(error)
            return
        connection.send(None)
        while (request := connection.recv()) is not None:
            try:
                answer = answerer.answer(request)
            except Exception as error:  # noqa: BLE001 - the boundary of a request
                if not isinstance(error, UncropError):
                    _log.exception("a request failed")
                    error = EngineError(f"{type(error).__name__}: {error}")
                answer = error
            connection.send(answer)
        answerer.close()
    except (EOFError, OSError):
        return  # the parent has gone


def _fail(future: Future[Answer], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
