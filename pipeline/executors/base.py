"""What an executor is: tasks in, outcomes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.config import Config
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, WorkerSettings


class Executor(Protocol):
    """Does tasks somewhere. Made with the configuration; one run at a time."""

    def __init__(self, config: Config) -> None: ...

    @property
    def workers(self) -> int:
        """Photographs at once."""
        ...

    @property
    def threads(self) -> int:
        """Threads a worker's network may use."""
        ...

    @property
    def lost_workers(self) -> int:
        """Workers that died or were ended in the run so far; they may have left unfinished files."""
        ...

    def run(self, settings: WorkerSettings, tasks: Iterable[Task | Work]) -> Iterator[Outcome]:
        """Yield one outcome a task, in any order.

        Tasks are drawn when there is a worker for them, not before; the run ends when they are used up and
        done. An iterator that has nothing now but more after the next outcome is asked again then: it may
        stop more than once. Closing the iterator that is returned stops at once: workers are ended, what they
        had in hand is dropped.

        Parameters
        ----------
        settings
            What workers need.
        tasks
            Photographs to do.

        Raises
        ------
        OutputError
            Results cannot be written.
        ModelError, EngineError
            The models cannot be loaded.
        """
        ...


def settle_workers(config: Config, cores: int) -> int:
    """Number of workers: as configured; ``auto`` is one a core, at most 4 when they share an accelerator."""
    workers = config.execution.workers
    if workers != "auto":
        return workers
    return cores if config.engine.device.lower() == "cpu" else min(cores, 4)


def settle_threads(config: Config, cores: int, workers: int) -> int:
    """Threads of a worker's network: as configured; ``auto`` shares the cores among the workers."""
    threads = config.engine.threads
    return max(1, cores // workers) if threads == "auto" else threads


@dataclass(frozen=True, slots=True)
class Attempt:
    """A photograph in the hands of a worker, for the first or the second time."""

    task: Task | Work
    number: int = 1

    @classmethod
    def first(cls, tasks: Iterator[Task | Work]) -> Attempt | None:
        """Draw the next task; None when they are used up."""
        task = next(tasks, None)
        return None if task is None else cls(task)
