"""A clip's stages as work for executors."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pipeline.errors import ImageReadError, OutputError, PhotoError
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings
from pipeline.files import printable
from pipeline.manifest.records import blank_record, error_entry
from pipeline.results import StageError
from pipeline.video.leavings import remove_clip_outputs
from pipeline.video.task import Clip

Stage = Literal["probe", "find", "link", "judge", "choose", "segment", "finish"]

CHUNK_STAGES: tuple[Stage, ...] = ("find", "judge", "segment")
"""Those that are a task a chunk."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClipPart(Work):
    """One stage of a clip, of one chunk where the stage is one a chunk.

    Attributes
    ----------
    clip
        The clip.
    stage
        What is to be done.
    chunk
        Of the stages ``find``, ``judge`` and ``segment``; else 0.
    sha256
        Of the content, known after ``probe``.
    """

    clip: Clip
    stage: Stage
    chunk: int = 0
    sha256: str = ""

    @property
    def path(self) -> str:
        """The clip's path."""
        return self.clip.task.path

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.clip.task.name

    @property
    def is_limited(self) -> bool:
        """Whether the time limit holds: where the file is read, and where frames are looked at by chunks.

        Other stages are longer the longer the clip is, and read what the run itself has written.
        """
        return self.stage in CHUNK_STAGES or self.tells_progress

    @property
    def tells_progress(self) -> bool:
        """Reading through a file takes as long as it takes, but never stands still."""
        return self.stage == "probe"

    def run(self, worker: Worker) -> Outcome:
        """Do the stage; the one place where any error of a clip ends."""
        try:
            return self._stage(worker)
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad clip never stops the rest
            _log.info("%s failed", printable(self.path), exc_info=True)
            stage = error.stage if isinstance(error, PhotoError) else self.stage
            return self._give_up(worker.settings, error, stage, self.sha256 or self._sha256(worker.settings))

    def failed(self, settings: WorkerSettings, error: PhotoError) -> Outcome:
        """The outcome when two workers were lost over it."""
        # The run itself does this: a file that has cost two workers is not read, its earlier results stay.
        return self._give_up(settings, error, error.stage, self.sha256 or self.clip.task.old_sha256)

    def _stage(self, worker: Worker) -> Outcome:
        # The models' libraries, which a run's parent process does without.
        from pipeline.video import clip as stages  # noqa: PLC0415
        from pipeline.video.finishing import finish_clip  # noqa: PLC0415
        from pipeline.video.judging import choose_tracks, judge_chunk  # noqa: PLC0415

        config = worker.settings.config
        if self.stage == "probe":
            sha256 = stages.content_sha256(self.clip, config, worker.progress)
            if self.clip.task.done_sha256 == sha256 and self._is_there(Path(config.output.directory)):
                self.clip.store(config, sha256).remove()
                return Outcome(self.name, None)
            return Outcome(self.name, None, step=stages.begin(self.clip, config, sha256, worker.progress))
        store = self.clip.store(config, self.sha256)
        done: dict[str, Any] = {"stage": self.stage, "chunk": self.chunk}
        if self.stage == "finish":
            record = finish_clip(self.clip, config, store, self.sha256)
            return Outcome(self.name, record)
        if self.stage == "link":
            stages.link_clip(self.clip, config, store, self.sha256)
            return Outcome(self.name, None, step=done)
        if self.stage == "choose":
            choose_tracks(config, store)
            return Outcome(self.name, None, step=done)
        models = cast("Any", worker.load())
        if self.stage == "find":
            stages.find_chunk(self.clip, config, store, self.chunk, models.finder)
        elif self.stage == "judge":
            judge_chunk(self.clip, config, store, self.chunk, models)
        else:
            engine = {key: value for key, value in worker.description["engine"].items() if key != "threads"}
            stages.segment_chunk(self.clip, config, store, self.chunk, models, engine)
        return Outcome(self.name, None, worker.description, step=done)

    def _is_there(self, directory: Path) -> bool:
        """Whether the files of an earlier result are still there."""
        single = [file for file in self.clip.task.old_files if "%" not in Path(file).name]
        numbered = [Path(file).parent for file in self.clip.task.old_files if "%" in Path(file).name]
        try:
            return all((directory / file).stat().st_size for file in single) and all(
                (directory / folder).is_dir() for folder in numbered
            )
        except OSError:
            return False

    def _give_up(self, settings: WorkerSettings, error: Exception, stage: str, sha256: str | None) -> Outcome:
        """The record of a clip that failed; what there is of it goes."""
        config, task = settings.config, self.clip.task
        message = str(error) or type(error).__name__
        shown = printable(self.path)
        record = blank_record(
            name=task.name,
            path=task.path,
            root=task.root,
            digest=self.clip.digest,
            orientation=config.output.orientation,
        )
        record["sha256"] = sha256
        message = message if shown in message else f"{shown}: {message}"
        record["errors"] = [error_entry(StageError(stage, type(error).__name__, message))]
        self.clip.store(config, self.sha256).remove()
        if task.old_sha256 is None or record["sha256"] != task.old_sha256 or stage in ("output", "finish"):
            remove_clip_outputs(self.clip, config)
        else:
            directory = Path(config.output.directory)
            record["kept_files"] = sorted(file for file in task.old_files if (directory / file).is_file())
        return Outcome(self.name, record)

    def _sha256(self, settings: WorkerSettings) -> str | None:
        from pipeline.video.clip import content_sha256  # noqa: PLC0415 - as above

        try:
            return content_sha256(self.clip, settings.config)
        except (ImageReadError, PhotoError, OSError):
            return None
