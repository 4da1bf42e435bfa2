"""A few results ahead: others work on what comes next while what is there is used.

Threads begin at once, but share one interpreter; processes take their time to start. So the first items go to
threads, and where many follow, processes take over.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, Generic, Self, TypeVar

import cv2

from pipeline.errors import WorkerLostError
from pipeline.executors.children import die_with_parent, inherited, thread_environment

MANY = 2000
"""Items after which processes take over; their start costs as much as some hundred."""

_BATCH = 16
"""Items that are handed over at once: that costs as much as a small item."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Ahead(Generic[_In, _Out]):
    """Computes results ahead; a context that ends its threads and processes.

    Parameters
    ----------
    function
        Makes a result of an item, in threads.
    elsewhere
        Called once in every process, gives the function that is used there; it and all items and results go
        by pickle.
    threads
        How many, and how many batches are computed ahead.
    processes
        How many take over after `MANY` items; 0: none.
    """

    def __init__(
        self,
        function: Callable[[_In], _Out],
        elsewhere: Callable[[], Callable[[_In], _Out]],
        *,
        threads: int,
        processes: int = 0,
    ) -> None:
        self._function = function
        self._elsewhere = elsewhere
        self._threads = threads
        self._processes = processes
        self._taken = 0
        self._open = ExitStack()
        self._pool: Executor = self._opened(ThreadPoolExecutor(threads))
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def in_order(self, items: Iterable[_In]) -> Iterator[_Out]:
        """Yield results in the order of their items.

        Raises
        ------
        WorkerLostError
            A process has died.
        """
        waiting: deque[Future[list[_Out]]] = deque()
        source = iter(items)
        try:
            while batch := list(islice(source, _BATCH)):
                waiting.append(self._given(batch))
                if len(waiting) > 2 * max(self._threads, self._processes):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerLostError(
                "a process of the export has died, most likely for lack of memory; run the export again"
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _given(self, batch: list[_In]) -> Future[list[_Out]]:
        self._taken += len(batch)
        if self._processes and not self._begun and self._taken > MANY:
            self._start_processes()
        if not self._begun:
            return self._pool.submit(lambda: [self._function(item) for item in batch])
        try:
            with inherited(thread_environment(1)):  # any of these may start another process
                return self._pool.submit(_work, batch)
        except OSError as error:
            raise WorkerLostError(
                f"no process can be started for the export ({error.strerror}); end others, and run it again"
            ) from error

    def _start_processes(self) -> None:
        context = multiprocessing.get_context("spawn")
        try:
            pool = ProcessPoolExecutor(self._processes, context, _begin, (self._elsewhere,))
        except (OSError, NotImplementedError):  # a system without shared semaphores: threads do it all
            self._processes = 0
            return
        self._pool, self._begun = self._opened(pool), True
        if os.name == "posix":
            resource_tracker.ensure_running()  # its start would unblock Ctrl-C again

    def _opened(self, pool: Executor) -> Executor:
        self._open.callback(pool.shutdown, cancel_futures=True)
        return pool


_function: Callable[[Any], Any] | None = None
"""What a process does with an item."""


def _begin(elsewhere: Callable[[], Callable[[Any], Any]]) -> None:
    global _function  # noqa: PLW0603 - a process has one work
    die_with_parent()
    cv2.setNumThreads(1)
    _function = elsewhere()


def _work(batch: list[Any]) -> list[Any]:
    if _function is None:
        raise RuntimeError("the process was not begun")
    return [_function(item) for item in batch]
