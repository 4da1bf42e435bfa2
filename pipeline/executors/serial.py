"""One photograph after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.config import Config
from pipeline.environment import usable_cores
from pipeline.executors.base import settle_threads
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings


class SerialExecutor:
    """Does everything here. It has no time limit, and a crash of a library ends the run.

    Parameters
    ----------
    config
        ``engine.threads`` is used.
    """

    def __init__(self, config: Config) -> None:
        self.workers = 1
        self.lost_workers = 0
        self.threads = settle_threads(config, usable_cores(), 1)

    def run(self, settings: WorkerSettings, tasks: Iterable[Task | Work]) -> Iterator[Outcome]:
        """Yield one outcome a task, in their order; see `pipeline.executors.base.Executor`."""
        worker = Worker(settings)
        try:
            for task in tasks:
                yield worker.process(task)
        finally:
            worker.close()
