"""Many photographs: listing, resume, progress, interruption, summary.

::

    if __name__ == "__main__":          # worker processes load the script, too, and must not run it
        summary = run(load_config())
        print(summary)                  # counts, where the results are, how to see failures
        sys.exit(summary.exit_code)     # 0 none failed, 1 some did, 130 interrupted

Errors that stop a run are raised: ConfigError, ModelError, EngineUnavailableError, OutputError (what is
written is whole; the same command goes on where it stopped).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.clip_files import is_camera
from pipeline.collecting import PhotoPath
from pipeline.config import Config
from pipeline.environment import describe_machine, describe_program
from pipeline.errors import ConfigError, OutputError, Problem
from pipeline.executors.base import Executor
from pipeline.executors.children import EXIT_NO_GUARD, starts_up
from pipeline.executors.factory import create_executor
from pipeline.executors.tasks import Task
from pipeline.executors.worker import SegmenterFactory, WorkerSettings
from pipeline.files import FileHashes
from pipeline.interruption import interruptible
from pipeline.manifest.digest import result_digest
from pipeline.manifest.journal import Manifest, read_run, write_run
from pipeline.manifest.records import recorded_files
from pipeline.models.settling import settled
from pipeline.output_directory import locked, prepared
from pipeline.outputs import remove_leftovers
from pipeline.planning import ModelHashes, is_done, listed
from pipeline.run_events import RunEvents
from pipeline.summary import RunSummary
from pipeline.video.schedule import Schedule
from pipeline.video.store import remove_work_folder
from pipeline.video.task import Clip, clip_digests

_log = logging.getLogger(__name__)


def run(
    config: Config,
    *,
    force: bool = False,
    verbose: bool = False,
    factory: SegmenterFactory | None = None,
    model_hashes: ModelHashes | None = None,
    events: RunEvents | None = None,
) -> RunSummary:
    """Do all photographs that a configuration names.

    Parameters
    ----------
    config
        What to do.
    force
        Do photographs again that are done, and look through whole disks where they are named.
    verbose
        Log failures with their tracebacks.
    factory
        Makes the segmenter in each worker; None: `pipeline.photo.PhotoSegmenter.from_config`.
    model_hashes
        SHA-256 of the model files, by which results are known to be up to date; None:
        `pipeline.loading.model_hashes`.
    events
        Told how the run goes on; None: nobody is.

    Returns
    -------
    RunSummary

    Raises
    ------
    ConfigError
        An input is missing, or the output directory cannot be used.
    ModelError, EngineError
        The models cannot be loaded.
    OutputError
        Results cannot be written any more.
    """
    if starts_up():
        sys.exit(EXIT_NO_GUARD)
    if factory is None or model_hashes is None:
        from pipeline.loading import model_hashes as hashes_of  # noqa: PLC0415 - loads dlib and OpenCV
        from pipeline.photo import PhotoSegmenter  # noqa: PLC0415

        known = FileHashes()  # workers need not read the models' files once more to know them
        model_hashes = model_hashes or partial(hashes_of, known=known)
        factory = factory or partial(PhotoSegmenter.from_config, known=known)
    config = settled(config)
    models = model_hashes(config)
    if any(map(is_camera, config.input.paths)):
        from pipeline.video.camera import with_recordings  # noqa: PLC0415 - loads OpenCV and PyAV

        config = with_recordings(config)
    photos, left_out = listed(config, whole_disks=force)
    directory = Path(config.output.directory)
    executor = create_executor(config)
    settings = WorkerSettings(
        _settled(config, executor),
        factory,
        result_digest(config, models),
        str(Path.cwd()),
        logging.INFO if verbose else logging.WARNING,
    )
    with locked(prepared(directory)):
        report = {
            "state": "running",
            **describe_program(),
            "working_directory": settings.working_directory,
            "config": config.model_dump(mode="json"),
            "models": dict(models),
            "digest": settings.digest,
            "machine": describe_machine(),
            "executor": {
                "name": config.execution.executor,
                "workers": executor.workers,
                "threads": executor.threads,
            },
            "left_out": left_out,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        clips = clip_digests(config, models)
        run = _Run(config, executor, settings, report, events or RunEvents(), clips, force=force)
        return run.all(photos)


class _Run:
    """One run on its way."""

    def __init__(
        self,
        config: Config,
        executor: Executor,
        settings: WorkerSettings,
        report: dict[str, Any],
        events: RunEvents,
        clip_digests: tuple[str, str],
        *,
        force: bool,
    ) -> None:
        self._config = config
        self._executor = executor
        self._settings = settings
        self._report = report
        self._events = events
        self._clip_digests = clip_digests
        self._skip_done = config.execution.skip_done and not force
        self._directory = Path(config.output.directory)
        self._counts = Counter(dict.fromkeys(("ok", "no_face", "partial", "failed", "skipped"), 0))
        self._faces = 0
        self._at_limit = 0
        self._engines: list[Mapping[str, Any]] = []
        self._stop = threading.Event()

    def all(self, photos: list[PhotoPath]) -> RunSummary:
        start = time.monotonic()
        before = read_run(self._directory)
        unclean = before.get("state") not in (None, "finished")
        with Manifest(self._directory) as manifest:
            _refuse_strangers(photos, manifest, before.get("working_directory"))
            if unclean:
                remove_leftovers(self._directory)
            write_run(self._directory, self._report)
            interrupted = True
            try:
                interrupted = not self._outcomes(photos, manifest)
            finally:
                self._report |= {
                    "state": "interrupted" if interrupted else "finished",
                    "engines": self._engines,
                    "counts": {"total": len(photos), **self._counts},
                    "faces": self._faces,
                    "photographs_at_limit": self._at_limit,
                    "seconds": round(time.monotonic() - start, 3),
                }
                self._finish(manifest, unclean or interrupted or self._executor.lost_workers > 0)
        seconds = time.monotonic() - start
        return RunSummary(
            self._directory,
            len(photos),
            dict(self._counts),
            self._faces,
            seconds,
            interrupted,
            tuple(self._report["left_out"]),
            sum(photo.is_clip for photo in photos),
            self._at_limit,
        )

    def _outcomes(self, photos: list[PhotoPath], manifest: Manifest) -> bool:
        """Do the photographs; False if the run was interrupted before all were done."""
        done = 0
        self._events.begun(len(photos))
        with interruptible(self._stop, self._events.stopping):
            try:
                tasks = self._schedule(photos, manifest)
                with closing(self._executor.run(self._settings, tasks)) as outcomes:  # type: ignore[type-var]
                    for outcome in outcomes:
                        if outcome.engine and outcome.engine not in self._engines:
                            self._engines.append(outcome.engine)
                        if outcome.step is not None:
                            tasks.took(outcome)
                            self._events.part_done(tasks.where(outcome.name))
                            continue
                        done += 1
                        status = "skipped"
                        if outcome.record is not None:
                            manifest.append(outcome.record)
                            status = outcome.record["status"]
                            self._faces += _faces_in(outcome.record)
                            self._at_limit += bool(outcome.record.get("faces_at_limit"))
                        tasks.took(outcome)
                        self._counts[status] += 1
                        self._events.done(outcome, status)
            except KeyboardInterrupt:
                return False
        return done == len(photos)

    def _schedule(self, photos: Sequence[PhotoPath], manifest: Manifest) -> Schedule:
        digest, search_digest = self._clip_digests
        return Schedule(
            (self._task(photo, manifest, self._settings.digest) for photo in photos if not photo.is_clip),
            (
                Clip(self._task(photo, manifest, digest), digest, search_digest)
                for photo in photos
                if photo.is_clip
            ),
            self._directory,
            self._stop.is_set,
        )

    def _task(self, photo: PhotoPath, manifest: Manifest, digest: str) -> Task:
        old = manifest.get(photo.name)
        if old is None:
            return Task(photo.path, photo.root, photo.name)
        fresh = self._skip_done and is_done(old, digest)
        files = tuple(recorded_files(old))
        return Task(
            photo.path,
            photo.root,
            photo.name,
            old["sha256"] if fresh else None,
            files,
            old["sha256"] if files else None,
        )

    def _finish(self, manifest: Manifest, may_have_leftovers: bool) -> None:
        """Bring the directory in order; after a full disk as far as that goes."""
        failing = sys.exception() is not None
        steps: tuple[Callable[[], object], ...] = (
            lambda: remove_work_folder(self._directory),
            lambda: remove_leftovers(self._directory) if may_have_leftovers else None,
            manifest.finish,
            lambda: write_run(self._directory, self._report),
        )
        for step in steps:
            try:
                step()
            except OutputError as error:
                if not failing:
                    raise
                _log.warning("%s", error)


def _refuse_strangers(photos: Iterable[PhotoPath], manifest: Manifest, made_in: object) -> None:
    """Refuse to replace results of other photographs, which have the same names below another folder.

    Raises
    ------
    ConfigError
        The output was made in another working directory from a photograph that is still there.
    """
    here = str(Path.cwd())
    if not isinstance(made_in, str) or made_in == here:
        return
    for photo in photos:
        record = manifest.get(photo.name)
        if record is None or Path(photo.path).is_absolute() or Path(record["photo"]).is_absolute():
            continue
        theirs = Path(made_in, record["photo"])
        if theirs.exists() and not (Path(photo.path).exists() and theirs.samefile(photo.path)):
            message = (
                f"its {record['photo']} is a photograph of {made_in}, and names start from where the command "
                "is run; choose another folder, or run it there"
            )
            raise ConfigError([Problem("output", "output.directory", message)])


def _faces_in(record: Mapping[str, Any]) -> int:
    """Faces of a photograph; of a clip its tracks."""
    clip = record.get("clip")
    return len(clip["tracks"] if clip else record["faces"])


def _settled(config: Config, executor: Executor) -> Config:
    engine = config.engine.model_copy(update={"threads": executor.threads})
    output = config.output.model_copy(update={"directory": str(Path(config.output.directory).absolute())})
    return config.model_copy(update={"engine": engine, "output": output})
