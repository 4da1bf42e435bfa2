"""A worker process of the server, seen from the thread that stands by it, and what runs in it."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from pipeline.config import Config
from pipeline.errors import EngineError, TimeLimitError, UncropError, WorkerLostError
from pipeline.executors.children import (
    cause_of_death,
    die_with_parent,
    end_process,
    inherited,
    kill_family,
    thread_environment,
)

_log = logging.getLogger(__name__)

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


class WorkerProcess:
    """One process and the pipe to it.

    Parameters
    ----------
    config
        Handed to ``factory``.
    factory
        Makes what answers, in the process: a function of a module.
    threads
        Threads of the process.
    close_seconds
        How long to wait for its end.
    """

    def __init__(
        self,
        config: Config,
        factory: Callable[[Config], Answerer[Any, Any]],
        threads: int,
        close_seconds: float,
    ) -> None:
        self._close_seconds = close_seconds
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(config, factory, theirs, threads), daemon=True, name="uncrop-server-worker"
        )
        with _starting, inherited(thread_environment(threads)):
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def send(self, request: object) -> None:
        """Hand it a request, or None, after which it ends.

        Raises
        ------
        WorkerLostError
            It died.
        """
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
            self._process.join(self._close_seconds)
        except OSError:
            _log.debug("a worker was gone before it was told to end")
        self.end()

    def kill(self) -> None:
        """Kill the process; any thread may: the one that stands by it sees the pipe end, and cleans up."""
        kill_family(self._process.pid)

    def end(self) -> None:
        """Kill the process and close the pipe to it: only in the thread that reads it."""
        end_process(self._process, self._close_seconds)
        self._connection.close()

    def _last_words(self) -> str:
        self._process.join(self._close_seconds)
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
