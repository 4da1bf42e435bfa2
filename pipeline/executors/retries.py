"""What becomes of photographs whose worker was lost: one policy for all executors."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator

from pipeline.errors import EngineUnavailableError, PhotoError
from pipeline.executors.aftermath import Aftermath
from pipeline.executors.base import Attempt
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, WorkerSettings

MAX_FAILED_STARTS = 3
"""Workers in a row that may die before they have loaded the models; then the run stops."""

_log = logging.getLogger(__name__)


class Retries:
    """The photographs that wait: those that are tried again first, then new ones.

    A photograph that loses its worker is tried once more, then it has failed, and a worker that only reads
    its bytes settles what is left of it (`Aftermath`). One whose worker died before it began, or went for a
    reason of its own, does not count as tried.

    Parameters
    ----------
    settings
        For the records of photographs that have failed.
    tasks
        New photographs, drawn when they are asked for.
    """

    def __init__(self, settings: WorkerSettings, tasks: Iterator[Task | Work]) -> None:
        self._settings = settings
        self._tasks = tasks
        self._waiting: deque[Attempt] = deque()
        self._failed_starts = 0

    def __len__(self) -> int:
        """Photographs that have been drawn and wait."""
        return len(self._waiting)

    def draw(self) -> bool:
        """Draw a new photograph; False when they are used up."""
        attempt = Attempt.first(self._tasks)
        if attempt is not None:
            self._waiting.append(attempt)
        return attempt is not None

    def next(self) -> Attempt | None:
        """Take the next photograph; None when there is none left."""
        return self._waiting.popleft() if self._waiting or self.draw() else None

    def started(self) -> None:
        """Note that a worker has loaded the models."""
        self._failed_starts = 0

    def start_failed(
        self, error: PhotoError, *, workers: str, hint: str = "", others_run: bool = False
    ) -> None:
        """Note that a worker died before it had loaded the models.

        Raises
        ------
        EngineUnavailableError
            `MAX_FAILED_STARTS` have in a row, and no others run.
        """
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS and not others_run:
            raise EngineUnavailableError(
                f"the {workers} die before they have loaded the models: {error}{hint}"
            )

    def again(self, attempt: Attempt) -> None:
        """Put a photograph back that was not to blame."""
        self._waiting.append(attempt)

    def lost(self, attempt: Attempt, error: PhotoError) -> Outcome | None:
        """The outcome of work whose worker was lost over it; None if there is more to do for it.

        It is tried once more. What becomes of a photograph after that is settled by a third worker, too.
        """
        task = attempt.task
        if attempt.number > 1 and isinstance(task, Work):
            return task.failed(self._settings, error)
        if attempt.number > 1 and isinstance(task, Task):
            self._waiting.appendleft(Attempt(Aftermath(task, error), attempt.number))
            return None
        _log.warning("%s: %s; trying it once more", ascii(attempt.task.path), error)
        self._waiting.append(Attempt(attempt.task, attempt.number + 1))
        return None
