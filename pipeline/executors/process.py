"""Photographs in worker processes of this machine. A worker that dies or hangs costs only its photograph."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from enum import Enum
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

import cv2

from pipeline.config import Config
from pipeline.environment import usable_cores
from pipeline.errors import (
    EngineError,
    PhotoError,
    TimeLimitError,
    UncropError,
    UsageError,
    WorkerLostError,
)
from pipeline.executors.base import (
    Attempt,
    settle_threads,
    settle_workers,
)
from pipeline.executors.children import (
    EXIT_NO_GUARD,
    cause_of_death,
    die_with_parent,
    end_process,
    inherited,
    memory_mb,
    thread_environment,
)
from pipeline.executors.retries import Retries
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings, is_limited

_LIMITS_INTERVAL_SECONDS = 0.2
"""How often at least all workers are held against their limits, also while some of them speak."""
_CLOSE_SECONDS = 5.0

_NO_GUARD = (
    "worker processes load the script that has started them, and it would run there again: put the call of "
    'run below `if __name__ == "__main__":`, or set execution.executor: serial'
)

_log = logging.getLogger(__name__)


class ProcessExecutor:
    """Keeps a number of processes, each with its own models, and gives each one photograph at a time.

    Processes are spawned, not forked: a fork of a process with threads may hang.

    Parameters
    ----------
    config
        ``execution.workers``, ``time_limit_seconds``, ``memory_limit_mb`` and ``engine.threads`` are used.
    """

    def __init__(self, config: Config) -> None:
        cores = usable_cores()
        self.workers = settle_workers(config, cores)
        self.threads = settle_threads(config, cores, self.workers)
        self.lost_workers = 0
        self._time_limit = config.execution.time_limit_seconds
        self._memory_limit_mb = config.execution.memory_limit_mb
        self._looked_at_all = float("-inf")

    def run(self, settings: WorkerSettings, tasks: Iterable[Task | Work]) -> Iterator[Outcome]:
        """Yield one outcome a task, in any order; see `pipeline.executors.base.Executor`."""
        retries = Retries(settings, iter(tasks))
        workers: list[_Process] = []
        finished = False
        try:
            while True:
                self._feed(settings, workers, retries)
                busy = [worker for worker in workers if worker.attempt is not None]
                if not busy:
                    break
                for worker in self._wait(busy):
                    outcome = worker.receive()
                    if outcome is not None:
                        retries.started()
                        yield outcome
                        continue
                    lost = worker.lost(self._memory_limit_mb)
                    attempt = worker.attempt
                    if lost is None or attempt is None:
                        continue
                    workers.remove(worker)
                    self.lost_workers += 1
                    if worker.exitcode == EXIT_NO_GUARD:
                        raise UsageError(_NO_GUARD)
                    if not worker.began:
                        hint = ". Try --set execution.executor=serial to see why"
                        retries.start_failed(lost, workers="workers", hint=hint)
                        retries.again(attempt)
                        continue
                    outcome = retries.lost(attempt, lost)
                    if outcome is not None:
                        yield outcome
            finished = True
        finally:
            for worker in workers:
                worker.close(gently=finished)

    def _feed(self, settings: WorkerSettings, workers: list[_Process], retries: Retries) -> None:
        """Give every idle worker a photograph; start workers while there are photographs for them."""
        while True:
            idle = next((worker for worker in workers if worker.attempt is None), None)
            if idle is None and len(workers) == self.workers:
                return
            attempt = retries.next()
            if attempt is None:
                return
            if idle is None:
                idle = _Process(settings, self.threads, self._time_limit)
                workers.append(idle)
            idle.give(attempt)

    def _wait(self, busy: list[_Process]) -> list[_Process]:
        """Wait until a worker has something to say, has died, or may have reached a limit."""
        deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        if self._memory_limit_mb is not None:
            timeout = min(_LIMITS_INTERVAL_SECONDS, timeout or _LIMITS_INTERVAL_SECONDS)
        ready = set(wait([worker.connection for worker in busy] + [w.sentinel for w in busy], timeout))
        now = time.monotonic()
        if not ready or now - self._looked_at_all >= _LIMITS_INTERVAL_SECONDS:
            self._looked_at_all = now
            return busy
        return [worker for worker in busy if worker.connection in ready or worker.sentinel in ready]


class _Says(Enum):
    """What a worker says beside outcomes and errors; its time limit counts from each time it is at work."""

    LOADING = "it loads the models"
    AT_WORK = "it works on the photograph in hand"


class _Process:
    """A worker process, seen from the parent."""

    def __init__(self, settings: WorkerSettings, threads: int, time_limit: float | None) -> None:
        self.attempt: Attempt | None = None
        self.began = False
        self.deadline: float | None = None
        self._time_limit = time_limit
        self.connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(settings, theirs, threads), daemon=True, name="uncrop-worker"
        )
        if os.name == "posix":
            resource_tracker.ensure_running()  # its start would unblock Ctrl-C again
        try:
            with inherited(thread_environment(threads)):
                self._process.start()
        except OSError as error:
            message = f"no worker can be started ({error.strerror}); lower execution.workers"
            raise EngineError(message) from error
        theirs.close()
        self.sentinel = self._process.sentinel

    def give(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.began = False
        self.deadline = None
        try:
            self.connection.send(attempt.task)
        except OSError:
            self._process.kill()  # it has died idle; noticed by its sentinel

    def receive(self) -> Outcome | None:
        """Read what the worker says; the outcome when it has one. An error that ends the run is raised."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, Outcome):
                    self.attempt = None
                    self.deadline = None
                    return message
                if isinstance(message, UncropError):
                    raise message
                self.began = message is _Says.AT_WORK
                limited = self.began and self.attempt is not None and is_limited(self.attempt.task)
                limit = self._time_limit if limited else None
                self.deadline = None if limit is None else time.monotonic() + limit
        except (EOFError, OSError):
            self._process.join(_CLOSE_SECONDS)
            self._process.kill()
            self._process.join()
        return None

    def lost(self, memory_limit_mb: int | None) -> PhotoError | None:
        """Whether the worker is gone, or has gone beyond a limit and is ended now."""
        if not self._process.is_alive():
            self._end()
            return WorkerLostError(cause_of_death(self._process.exitcode))
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self._end()
            return TimeLimitError(
                f"took longer than {self._time_limit:g} s. "
                "Leave it out, or raise execution.time_limit_seconds"
            )
        if memory_limit_mb is not None and memory_mb(self._process.pid) > memory_limit_mb:
            self._end()
            return WorkerLostError(
                f"its worker took more than {memory_limit_mb} MB of memory. "
                "Raise execution.memory_limit_mb, or lower input.max_pixels"
            )
        return None

    def close(self, *, gently: bool) -> None:
        if gently:
            try:
                self.connection.send(None)
            except OSError:
                gently = False
        self._process.join(_CLOSE_SECONDS if gently else 0)
        self._end()

    @property
    def exitcode(self) -> int | None:
        return self._process.exitcode

    def _end(self) -> None:
        """Kill the process with all that it has started."""
        end_process(self._process, _CLOSE_SECONDS)
        self.connection.close()


def _work(settings: WorkerSettings, connection: Connection, threads: int) -> None:
    """Run in the worker: take tasks until there are no more."""
    die_with_parent()
    logging.basicConfig(level=settings.log_level, format="%(levelname)s: %(message)s")
    cv2.setNumThreads(threads)
    worker = Worker(
        settings,
        on_load=lambda loading: connection.send(_Says.LOADING if loading else _Says.AT_WORK),
        on_progress=lambda: connection.send(_Says.AT_WORK),
    )
    try:
        while (task := connection.recv()) is not None:
            connection.send(_Says.AT_WORK)
            try:
                connection.send(worker.process(task))
            except UncropError as error:
                connection.send(error)
                return
        worker.close()
    except (EOFError, OSError):
        return  # the parent has gone
