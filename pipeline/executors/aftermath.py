"""What is left to do for a photograph that two workers were lost over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PhotoError
from pipeline.executors.leavings import content_sha256, kept_files, settle_old_outputs
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings, blank_of
from pipeline.files import printable
from pipeline.manifest.records import error_entry
from pipeline.manifest.schema import Record
from pipeline.results import StageError


@dataclass(frozen=True, slots=True)
class Aftermath(Work):
    """Says that a photograph has failed, and what becomes of its earlier outputs (`settle_old_outputs`).

    Its bytes are read for that, by a worker: a disk that does not answer may have cost the first two, and
    would hold the run itself up for ever.

    Attributes
    ----------
    task
        The photograph.
    error
        What the second worker was lost to.
    """

    task: Task
    error: PhotoError

    @property
    def path(self) -> str:
        """What messages name."""
        return self.task.path

    @property
    def name(self) -> str:
        """Name of the outputs."""
        return self.task.name

    def run(self, worker: Worker) -> Outcome:
        """Settle it in a worker.

        Raises
        ------
        OutputError
            Earlier outputs cannot be removed.
        """
        record = self._record(worker.settings)
        record["sha256"] = content_sha256(self.task.path)
        settle_old_outputs(Path(worker.settings.config.output.directory), self.task, record)
        return Outcome(self.task.name, record)

    def failed(self, settings: WorkerSettings, error: PhotoError) -> Outcome:
        """The outcome when the photograph cannot even be read: earlier outputs stay as they are."""
        record = self._record(settings)
        record["kept_files"] = kept_files(Path(settings.config.output.directory), self.task)
        record["sha256"] = self.task.old_sha256
        return Outcome(self.task.name, record)

    def _record(self, settings: WorkerSettings) -> Record:
        record = blank_of(self.task, settings)
        message = f"{printable(self.task.path)}: {self.error}"
        record["errors"] = [error_entry(StageError(self.error.stage, type(self.error).__name__, message))]
        return record
