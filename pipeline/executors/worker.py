"""What every worker does with one photograph: read, segment, write, record. The same for all executors."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.errors import EngineUnavailableError, ImageReadError, OutputError, PhotoError, UncropError
from pipeline.executors.leavings import content_sha256, settle_old_outputs
from pipeline.executors.tasks import Task
from pipeline.files import printable
from pipeline.images import file_sha256, read_photo
from pipeline.manifest.records import blank_record, error_entry, face_entry, recorded_files
from pipeline.manifest.schema import Record
from pipeline.outputs import remove_outputs, write_outputs
from pipeline.results import PhotoResult, StageError
from pipeline.stages import Stages

_QUIET_SECONDS = 1.0
"""Least time between two signs of progress."""

_log = logging.getLogger(__name__)


class Segmenter(Protocol):
    """What segments photographs: `pipeline.photo.PhotoSegmenter`, or a stand-in for tests."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None, /) -> PhotoResult:
        """Find and segment the faces of an upright (H, W, 3) uint8 RGB photograph."""
        ...

    def describe(self) -> dict[str, Any]:
        """What really runs; ``engine`` goes into the manifest."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


SegmenterFactory = Callable[[Config], Segmenter]
"""Loads the models in the worker. It crosses processes, so it must pickle: a function of a module."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that a worker needs to start; it pickles.

    Attributes
    ----------
    config
        The whole configuration, threads settled.
    factory
        Loads the models.
    digest
        What shapes the results; see `pipeline.manifest.digest.result_digest`.
    working_directory
        Where relative paths start.
    log_level
        Of the worker's log on standard error.
    """

    config: Config
    factory: SegmenterFactory
    digest: str
    working_directory: str
    log_level: int = logging.WARNING


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    name
        The task's name.
    record
        Line for the manifest; None when the photograph had been done before, or is not done yet.
    engine
        What really ran; None if nothing did.
    step
        What a part of a larger task has to say to the next parts; None: the task as a whole is done.
    """

    name: str
    record: Record | None
    engine: Mapping[str, Any] | None = field(default=None, compare=False)
    step: Mapping[str, Any] | None = None


class Work(ABC):
    """A task that knows itself how it is done, such as a part of a clip; it pickles.

    Executors treat it as they treat a photograph: one worker at a time has it in hand, within the same
    limits, and when that worker dies it is tried once more.
    """

    @property
    @abstractmethod
    def path(self) -> str:
        """What messages name."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the outputs."""

    @property
    def is_limited(self) -> bool:
        """Whether ``execution.time_limit_seconds`` holds for it."""
        return True

    @property
    def tells_progress(self) -> bool:
        """Whether it calls `Worker.progress` while it goes on: the limit counts anew from each time."""
        return False

    @abstractmethod
    def run(self, worker: Worker) -> Outcome:
        """Do it in a worker; errors are as of `Worker.process`."""

    @abstractmethod
    def failed(self, settings: WorkerSettings, error: PhotoError) -> Outcome:
        """The outcome when two workers were lost over it."""


def is_limited(task: Task | Work) -> bool:
    """Whether ``execution.time_limit_seconds`` holds for a task: for every photograph, and most work."""
    return not isinstance(task, Work) or task.is_limited


def tells_progress(task: Task | Work) -> bool:
    """Whether a task tells that it goes on; photographs do not."""
    return isinstance(task, Work) and task.tells_progress


class Worker:
    """Does photographs one after another with models that are loaded when the first one needs them.

    Parameters
    ----------
    settings
        See `WorkerSettings`.
    on_load
        Called with True before the models are loaded and with False afterwards.
    on_progress
        Called now and then while work of unknown length goes on.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        on_load: Callable[[bool], None] | None = None,
        on_progress: Callable[[], None] | None = None,
    ) -> None:
        self.settings = settings
        self._on_load = on_load or (lambda loading: None)
        self._on_progress = on_progress or (lambda: None)
        limit = settings.config.execution.time_limit_seconds
        self._quiet_seconds = min(_QUIET_SECONDS, limit / 4) if limit else _QUIET_SECONDS
        self._told = 0.0
        self._segmenter: Segmenter | None = None
        self._description: dict[str, Any] = {}

    @property
    def description(self) -> Mapping[str, Any]:
        """What really runs; empty until the models are loaded."""
        return self._description

    def progress(self) -> None:
        """Tell that the work in hand goes on; it may be called as often as one likes."""
        now = time.monotonic()
        if now - self._told >= self._quiet_seconds:
            self._told = now
            self._on_progress()

    def process(self, task: Task | Work) -> Outcome:
        """Do one photograph, or work that is none.

        Returns
        -------
        Outcome
            Also when the photograph failed: its record then says why.

        Raises
        ------
        OutputError
            Its results cannot be written.
        ModelError, EngineError
            The models cannot be loaded.
        """
        if isinstance(task, Work):
            return task.run(self)
        directory = Path(self.settings.config.output.directory)
        if task.done_sha256 and self._is_unchanged(task, directory):
            return Outcome(task.name, None)
        segmenter = self.load()
        record = _Job(task, self.settings, segmenter, self._description.get("engine", {})).run()
        if record["status"] == "failed":
            settle_old_outputs(directory, task, record)
        else:
            remove_outputs(directory, task.old_files, keep=recorded_files(record))
        return Outcome(task.name, record, self._description)

    def load(self) -> Segmenter:
        """Load the models, if that is not done yet.

        Raises
        ------
        ModelError, EngineError
            They cannot be loaded.
        """
        if self._segmenter is not None:
            return self._segmenter
        self._on_load(True)
        try:
            self._segmenter = self.settings.factory(self.settings.config)
            self._description = self._segmenter.describe()
        except UncropError:
            raise
        except Exception as error:
            raise EngineUnavailableError(
                f"the models cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        self._on_load(False)
        return self._segmenter

    def close(self) -> None:
        """Free the models."""
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None

    def _is_unchanged(self, task: Task, directory: Path) -> bool:
        try:
            if any((directory / file).stat().st_size == 0 for file in task.old_files):
                return False
            return file_sha256(task.path) == task.done_sha256
        except (OSError, ImageReadError):
            return False


def blank_of(task: Task, settings: WorkerSettings) -> Record:
    """Start the record of a task."""
    return blank_record(
        name=task.name,
        path=task.path,
        root=task.root,
        digest=settings.digest,
        orientation=settings.config.output.orientation,
    )


class _Job:
    """One photograph on its way."""

    def __init__(
        self, task: Task, settings: WorkerSettings, segmenter: Segmenter, engine: Mapping[str, Any]
    ) -> None:
        self._settings = settings
        self._segmenter = segmenter
        self._stages = Stages()
        self._task = task
        self._record = blank_of(task, settings)
        self._record["engine"] = {key: value for key, value in engine.items() if key != "threads"}

    def run(self) -> Record:
        """Run all stages; the one place where any error of a photograph ends."""
        start = time.perf_counter()
        try:
            self._do()
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad photograph never stops the rest
            _log.info("%s failed", printable(self._task.path), exc_info=True)
            stage = error.stage if isinstance(error, PhotoError) else self._stages.current
            message = str(error) or type(error).__name__
            shown = printable(self._task.path)
            if shown not in message:
                message = f"{shown}: {message}"
            self._record |= {"status": "failed", "faces": [], "files": {}}
            self._record["errors"] = [error_entry(StageError(stage, type(error).__name__, message))]
            if self._record["sha256"] is None:
                self._record["sha256"] = content_sha256(self._task.path)
        self._stages.seconds["total"] = time.perf_counter() - start
        self._record["seconds"] = self._stages.rounded(4)
        return self._record

    def _do(self) -> None:
        config = self._settings.config
        with self._stages.stage("read"):
            photo = read_photo(
                self._task.path,
                max_pixels=config.input.max_pixels,
                background_rgb=config.input.background_rgb,
            )
        height, width = photo.pixels.shape[:2]
        self._record |= {
            "sha256": photo.sha256,
            "format": photo.format,
            "size_wh": [width, height],
            "stored_size_wh": list(photo.stored_size_wh),
            "stored_orientation": photo.orientation,
            "frames_not_read": photo.frames - 1,
            "notes": list(photo.notes),
        }
        result = self._segmenter.segment(photo.pixels, self._stages)
        with self._stages.stage("output"):
            files, face_files = write_outputs(
                result, photo.pixels, photo.orientation, self._task.name, config.output, photo.alpha
            )
        self._record |= {
            "status": result.status,
            "faces": [
                face_entry(number, face, result, written)
                for number, (face, written) in enumerate(zip(result.faces, face_files, strict=True), start=1)
            ],
            "faces_at_limit": result.at_limit,
            "files": files,
            "errors": [error_entry(error) for error in result.errors],
        }
