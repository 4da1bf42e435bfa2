"""Photographs on a Ray cluster of one machine or many; they share the file system of input and output."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from pipeline.config import Config
from pipeline.environment import usable_cores
from pipeline.errors import (
    ConfigError,
    EngineError,
    PhotoError,
    Problem,
    TimeLimitError,
    UncropError,
    WorkerLostError,
)
from pipeline.executors.base import Attempt
from pipeline.executors.retries import Retries
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings, is_limited, tells_progress

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise ConfigError(
        [Problem("config", "execution.executor", f"ray: {error}. Install it: pip install 'uncrop[ray]'")]
    ) from error

_POLL_SECONDS = 0.5
_REFRESH_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0

_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else None
"""Where the processes of a cluster of this machine meet. Left alone, or told 127.0.0.1, Ray would look for an
address that others can reach, by a socket to a name server of the Internet; elsewhere it does not."""

_NO_WAY_OUT = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,127.0.0.2"),
}
"""Of the processes of a cluster of this machine. Its head asks the addresses at which clouds answer which
cloud this is, also when usage statistics are off; at a port where nobody listens it is refused at once."""

_TIME_LIMIT_KEY = "execution.time_limit_seconds"

_log = logging.getLogger(__name__)


class RayExecutor:
    """Keeps actors with models on the nodes of a cluster, and gives each one photograph at a time.

    With ``workers: auto`` there are as many actors as the cluster has room for, also when nodes come and go.
    A photograph whose actor dies is tried once more; one whose node has gone does not count as tried.

    Parameters
    ----------
    config
        ``execution.address`` (``local``: a cluster of this machine for this run; ``auto``: the one this
        machine belongs to; ``ray://host:port``: a far one), ``execution.workers``,
        ``execution.time_limit_seconds`` and ``engine.threads`` (auto: 1) are used.

    Raises
    ------
    ConfigError
        No cluster answers at the address.
    """

    def __init__(self, config: Config) -> None:
        self.threads = 1 if config.engine.threads == "auto" else config.engine.threads
        self.lost_workers = 0
        self._fixed_workers = None if config.execution.workers == "auto" else config.execution.workers
        self._time_limit = config.execution.time_limit_seconds
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect(config.execution.address, self._fixed_workers, self.threads)
        self.workers = self._fixed_workers or self._room()

    def run(self, settings: WorkerSettings, tasks: Iterable[Task | Work]) -> Iterator[Outcome]:
        """Yield one outcome a task, in any order; see `pipeline.executors.base.Executor`."""
        run = _RayRun(self, settings, iter(tasks))
        try:
            yield from run.outcomes(self._time_limit)
        finally:
            run.close()
            if self._owned:
                ray.shutdown()

    def room(self) -> int:
        """How many actors there should be now."""
        if self._fixed_workers is None:
            self.workers = self._room()
        return self.workers

    def _room(self) -> int:
        return max(1, _cores() // self.threads)


@dataclass(slots=True, eq=False)
class _Slot:
    """An actor, what it was last asked, and what it has in hand."""

    actor: Any
    reference: Any
    attempt: Attempt | None = None
    is_ready: bool = False
    node: str = ""
    deadline: float | None = None


class _RayRun:
    """One run on a cluster."""

    def __init__(self, executor: RayExecutor, settings: WorkerSettings, tasks: Iterator[Task | Work]) -> None:
        self._executor = executor
        self._settings = settings
        self._retries = Retries(settings, tasks)
        self._slots: list[_Slot] = []
        self._refreshed = float("-inf")
        self._progressed = time.monotonic()
        # Ray sets OMP_NUM_THREADS, which BLAS follows too, to num_cpus before anything is loaded.
        actor_class: Any = ray.remote(_Actor)
        self._actor_class = actor_class.options(num_cpus=executor.threads, max_restarts=0)

    def outcomes(self, time_limit: float | None) -> Iterator[Outcome]:
        while True:
            self._start_actors()
            self._feed(time_limit)
            if not self._retries and not any(slot.attempt for slot in self._slots):
                return
            for slot in self._wait():
                outcome = self._result_of(slot)
                if outcome is not None:
                    yield outcome
            now = time.monotonic()
            for slot in [slot for slot in self._slots if slot.deadline and slot.deadline < now]:
                message = f"took longer than {time_limit:g} s. Leave it out, or raise {_TIME_LIMIT_KEY}"
                outcome = self._lose(slot, TimeLimitError(message))
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots.clear()

    def _start_actors(self) -> None:
        """Start actors while there is room for them and a photograph for each."""
        if time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        room = self._executor.room()
        while len(self._slots) < room:
            starting = sum(not slot.is_ready for slot in self._slots)
            if len(self._retries) <= starting and not self._retries.draw():
                return
            actor = self._actor_class.remote(self._settings, self._executor.threads)
            self._slots.append(_Slot(actor, actor.load.remote()))
        self._refreshed = time.monotonic()

    def _feed(self, time_limit: float | None) -> None:
        for slot in self._slots:
            if not slot.is_ready or slot.attempt is not None:
                continue
            slot.attempt = self._retries.next()
            if slot.attempt is None:
                return
            slot.reference = slot.actor.process.remote(slot.attempt.task)
            task = slot.attempt.task  # signs of progress do not come through while an actor is at work
            limit = time_limit if is_limited(task) and not tells_progress(task) else None
            slot.deadline = None if limit is None else time.monotonic() + limit

    def _wait(self) -> list[_Slot]:
        asked = {slot.reference: slot for slot in self._slots if slot.attempt or not slot.is_ready}
        done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0) if asked else ([], [])
        if not done and asked:
            done, _ = ray.wait(list(asked), num_returns=1, timeout=_POLL_SECONDS)
        if done:
            self._progressed = time.monotonic()
        elif time.monotonic() - self._progressed > _PATIENCE_SECONDS:
            self._progressed = time.monotonic()
            _log.warning("nothing has come back for %g s; is there room on the cluster?", _PATIENCE_SECONDS)
        return [asked[reference] for reference in done]

    def _result_of(self, slot: _Slot) -> Outcome | None:
        try:
            answer = ray.get(slot.reference)
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, UncropError):
                raise cause from error
            if slot.attempt is None:
                raise EngineError(f"a Ray actor failed: {error}") from error
            return self._lose(slot, WorkerLostError(f"its worker failed: {type(cause).__name__}: {cause}"))
        except RayError as error:  # the actor died, its node did, memory ran out, or the answer was lost
            return self._lose(
                slot, WorkerLostError(f"its worker died: {_reason(error)}. See the logs of Ray")
            )
        if isinstance(answer, Outcome):
            slot.attempt = None
            slot.deadline = None
            return answer
        slot.is_ready, slot.node = True, answer
        self._retries.started()
        return None

    def _lose(self, slot: _Slot, error: PhotoError) -> Outcome | None:
        """Drop an actor; its photograph is tried again, or has failed for the second time."""
        ray.kill(slot.actor)
        self._slots.remove(slot)
        self._executor.lost_workers += 1
        self._refreshed = float("-inf")
        if slot.attempt is None:
            ready = any(other.is_ready for other in self._slots)
            self._retries.start_failed(error, workers="Ray actors", others_run=ready)
            return None
        if slot.node not in _nodes():
            _log.warning("node %s has gone; its photograph is done elsewhere", slot.node)
            self._retries.again(slot.attempt)
            return None
        return self._retries.lost(slot.attempt, error)


class _Actor:
    """A worker on some node."""

    def __init__(self, settings: WorkerSettings, threads: int) -> None:
        logging.basicConfig(level=settings.log_level, format="%(levelname)s: %(message)s")
        os.chdir(settings.working_directory)
        cv2.setNumThreads(threads)
        self._worker = Worker(settings)

    def load(self) -> str:
        """Load the models; returns the node's name in the cluster."""
        self._worker.load()
        return str(ray.get_runtime_context().get_node_id())

    def process(self, task: Task | Work) -> Outcome:
        return self._worker.process(task)


def _reason(error: Exception) -> str:
    """First and last line of what Ray says: what happened, and the cause at the end of a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"


def _nodes() -> set[str]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"] for node in nodes if node["Alive"]}


def _cores() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    """Have the processes that are started meanwhile find these variables."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _lend_token() -> None:
    """Give a cluster of this machine a secret of its own, unless the user has one.

    Ray lets nobody in without; left alone it would make one in the user's home folder and keep it there.
    """
    known = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if not any(name in os.environ for name in known) and not Path("~/.ray/auth_token").expanduser().exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _connect(address: str, workers: int | None, threads: int) -> None:
    """Connect to a cluster, or start one here."""
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        cores = max(usable_cores(), (workers or 1) * threads)
        options |= {"num_cpus": cores, "include_dashboard": False, "_node_ip_address": _LOOPBACK}
        _lend_token()
    try:
        with _set(_NO_WAY_OUT if address == "local" else {}):
            ray.init(address=address, **options)
    except Exception as error:
        ray.shutdown()  # Ray raises bare Exceptions, too, and leaves processes behind
        message = f"{address}: no Ray cluster there: {error}. Start one with `ray start --head`, or use local"
        raise ConfigError([Problem("config", "execution.address", message)]) from error
