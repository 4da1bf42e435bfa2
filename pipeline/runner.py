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
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.config import Config
from pipeline.environment import describe_machine, describe_program
from pipeline.errors import ConfigError, OutputError, Problem
from pipeline.executors.base import Executor
from pipeline.executors.children import EXIT_NO_GUARD, starts_up
from pipeline.executors.factory import create_executor
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, SegmenterFactory, WorkerSettings
from pipeline.inputs import PhotoPath, list_photos
from pipeline.manifest.digest import result_digest
from pipeline.manifest.journal import DONE, Manifest, read_manifest, read_run, write_run
from pipeline.manifest.records import recorded_files
from pipeline.output_directory import locked, prepared, tells_case
from pipeline.outputs import remove_leftovers
from pipeline.progress import Progress
from pipeline.summary import RunSummary
from pipeline.video.schedule import Schedule
from pipeline.video.store import remove_work_folder
from pipeline.video.task import Clip, clip_digests

ModelHashes = Callable[[Config], Mapping[str, str]]

_log = logging.getLogger(__name__)


def run(
    config: Config,
    *,
    force: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    factory: SegmenterFactory | None = None,
    model_hashes: ModelHashes | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> RunSummary:
    """Do all photographs that a configuration names.

    Parameters
    ----------
    config
        What to do.
    force
        Do photographs again that are done, and look through whole disks where they are named.
    quiet
        No progress bar on standard error.
    verbose
        Log failures with their tracebacks.
    factory
        Makes the segmenter in each worker; None: `pipeline.photo.PhotoSegmenter.from_config`.
    model_hashes
        SHA-256 of the model files, by which results are known to be up to date; None:
        `pipeline.loading.model_hashes`.
    on_outcome
        Called with every outcome after it has been recorded.

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
    models = (model_hashes or _default_model_hashes())(config)
    photos, left_out = _list(config, whole_disks=force)
    directory = Path(config.output.directory)
    executor = create_executor(config)
    settings = WorkerSettings(
        _settled(config, executor),
        factory or _default_factory(),
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
        on_outcome = on_outcome or (lambda outcome: None)
        clips = clip_digests(config, models)
        run = _Run(config, executor, settings, report, on_outcome, clips, force=force, quiet=quiet)
        return run.all(photos)


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do with one photograph.

    Attributes
    ----------
    path
        Its path.
    name
        Name of its outputs.
    done
        Whether it was done before, and is left alone unless it has changed since.
    """

    path: str
    name: str
    done: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: its photographs, and sentences on what it leaves out."""

    photos: tuple[Planned, ...]
    left_out: tuple[str, ...] = ()


def plan(config: Config, *, force: bool = False, model_hashes: ModelHashes | None = None) -> Plan:
    """Say what `run` would do, and do nothing; wrong configurations and models are raised as by `run`."""
    models = (model_hashes or _default_model_hashes())(config)
    digests = {False: result_digest(config, models), True: clip_digests(config, models)[0]}
    photos, left_out = _list(config, whole_disks=force)
    is_clip = {photo.name: photo.is_clip for photo in photos}
    records = read_manifest(Path(config.output.directory)) if config.execution.skip_done and not force else ()
    done = {
        record["name"] for record in records if _is_done(record, digests[is_clip.get(record["name"], False)])
    }
    planned = tuple(Planned(photo.path, photo.name, photo.name in done) for photo in photos)
    return Plan(planned, tuple(left_out))


class _Run:
    """One run on its way."""

    def __init__(
        self,
        config: Config,
        executor: Executor,
        settings: WorkerSettings,
        report: dict[str, Any],
        on_outcome: Callable[[Outcome], None],
        clip_digests: tuple[str, str],
        *,
        force: bool,
        quiet: bool,
    ) -> None:
        self._config = config
        self._executor = executor
        self._settings = settings
        self._report = report
        self._on_outcome = on_outcome
        self._clip_digests = clip_digests
        self._skip_done = config.execution.skip_done and not force
        self._quiet = quiet
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
        with _interruptible(self._stop), Progress(len(photos), enabled=not self._quiet) as progress:
            try:
                tasks = self._schedule(photos, manifest)
                with closing(self._executor.run(self._settings, tasks)) as outcomes:  # type: ignore[type-var]
                    for outcome in outcomes:
                        if outcome.engine and outcome.engine not in self._engines:
                            self._engines.append(outcome.engine)
                        if outcome.step is not None:
                            tasks.took(outcome)
                            progress.show(tasks.where(outcome.name))
                            continue
                        done += 1
                        status = "skipped"
                        if outcome.record is not None:
                            manifest.append(outcome.record)
                            status = outcome.record["status"]
                            self._faces += _faces_in(outcome.record)
                            self._at_limit += bool(outcome.record.get("faces_at_limit"))
                            for line in failure_lines(outcome.record):
                                progress.report(line)
                        tasks.took(outcome)
                        self._counts[status] += 1
                        progress.advance(status)
                        self._on_outcome(outcome)
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
        fresh = self._skip_done and _is_done(old, digest)
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


def failure_lines(record: Mapping[str, Any]) -> list[str]:
    """What went wrong with a photograph, a line an error, each with its path."""
    photo = record["photo"]
    messages = [error["message"] for error in record["errors"]]
    return [f"failed: {text if text.startswith(photo) else f'{photo}: {text}'}" for text in messages]


def _is_done(record: Mapping[str, Any], digest: str) -> bool:
    return record.get("status") in DONE and record.get("digest") == digest and bool(record.get("sha256"))


def _faces_in(record: Mapping[str, Any]) -> int:
    """Faces of a photograph; of a clip its tracks."""
    clip = record.get("clip")
    return len(clip["tracks"] if clip else record["faces"])


def _list(config: Config, *, whole_disks: bool) -> tuple[list[PhotoPath], list[str]]:
    """The photographs, and what is to be told of what was left out."""
    directory, left_out = Path(config.output.directory), list[str]()
    photos = list_photos(
        config.input,
        output_directory=directory,
        case_sensitive=tells_case(directory),
        on_left_out=left_out.append,
        clips=config.video,
        whole_disks=whole_disks,
    )
    return photos, left_out


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """First Ctrl-C (or termination): no new photographs; second: KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        # Not by print: the signal may have come in the middle of one.
        with suppress(OSError):
            os.write(2, b"\nStopping: finishing photographs in hand; Ctrl-C again stops at once.\n")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _settled(config: Config, executor: Executor) -> Config:
    engine = config.engine.model_copy(update={"threads": executor.threads})
    output = config.output.model_copy(update={"directory": str(Path(config.output.directory).absolute())})
    return config.model_copy(update={"engine": engine, "output": output})


def _default_factory() -> SegmenterFactory:
    from pipeline.photo import PhotoSegmenter  # noqa: PLC0415 - loads dlib and OpenCV

    return PhotoSegmenter.from_config


def _default_model_hashes() -> ModelHashes:
    from pipeline.loading import model_hashes  # noqa: PLC0415 - loads dlib and OpenCV

    return model_hashes
