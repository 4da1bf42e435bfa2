"""Work that grows with its clip is not ended by the time limit while it goes on; other work is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.errors import PhotoError, TimeLimitError
from pipeline.executors.factory import create_executor
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings, is_limited
from pipeline.video.parts import ClipPart, Stage
from pipeline.video.reader import clip_sha256, probe
from pipeline.video.task import Clip
from tests import stand_ins
from tests.video.clips import write_clip


@dataclass(frozen=True)
class Slow(Work):
    """Lasts a while, and says whether it was ended."""

    seconds: float
    limited: bool

    @property
    def path(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"limited: {self.limited}"

    @property
    def is_limited(self) -> bool:
        return self.limited

    def run(self, worker: Worker) -> Outcome:
        time.sleep(self.seconds)
        return Outcome(self.name, None, step={"end": "done"})

    def failed(self, settings: WorkerSettings, error: PhotoError) -> Outcome:
        return Outcome(self.name, None, step={"end": type(error).__name__})


def test_the_limit_holds_for_work_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    execution: dict[str, Any] = {"executor": "process", "workers": 1, "time_limit_seconds": 0.5}
    config = Config.model_validate({"engine": {"cache_directory": "."}, "execution": execution})
    settings = WorkerSettings(config, stand_ins.obedient, "0" * 64, str(tmp_path))
    work = [Slow(1.5, limited=False), Slow(60, limited=True)]
    outcomes = create_executor(config).run(settings, work)
    ends = {outcome.name: (outcome.step or {})["end"] for outcome in outcomes}
    assert ends == {"limited: False": "done", "limited: True": "TimeLimitError"}


@dataclass(frozen=True)
class Telling(Slow):
    """Goes on for a while, tells so, and then hangs if it is to."""

    hangs: bool

    @property
    def name(self) -> str:
        return f"hangs: {self.hangs}"

    @property
    def tells_progress(self) -> bool:
        return True

    def run(self, worker: Worker) -> Outcome:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            worker.progress()
            time.sleep(0.02)
        while self.hangs:
            time.sleep(1)
        return Outcome(self.name, None, step={"end": "done"})


def test_the_limit_counts_from_the_last_sign_of_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    execution: dict[str, Any] = {"executor": "process", "workers": 1, "time_limit_seconds": 2}
    config = Config.model_validate({"engine": {"cache_directory": "."}, "execution": execution})
    settings = WorkerSettings(config, stand_ins.obedient, "0" * 64, str(tmp_path))
    work = [Telling(3, limited=True, hangs=False), Telling(0.1, limited=True, hangs=True)]
    outcomes = create_executor(config).run(settings, work)
    ends = {outcome.name: (outcome.step or {})["end"] for outcome in outcomes}
    assert ends == {"hangs: False": "done", "hangs: True": "TimeLimitError"}


def test_reading_a_clip_tells_that_it_goes_on(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [np.full((48, 64, 3), 9 * i, np.uint8) for i in range(20)])
    told: list[str] = []
    clip_sha256(str(path), lambda: told.append("bytes"))
    probe(str(path), max_pixels=10**6, progress=lambda: told.append("packet"))
    assert told.count("bytes") >= 1
    assert told.count("packet") >= 20


def test_signs_of_progress_are_few(tmp_path: Path) -> None:
    signs: list[int] = []
    config = Config.model_validate({"engine": {"cache_directory": "."}})
    settings = WorkerSettings(config, stand_ins.obedient, "0" * 64, str(tmp_path))
    worker = Worker(settings, on_progress=lambda: signs.append(1))
    for _ in range(1000):
        worker.progress()
    assert 1 <= len(signs) < 100


@pytest.mark.parametrize(
    ("stage", "limited"),
    [
        ("probe", True),
        ("find", True),
        ("link", False),
        ("judge", True),
        ("choose", False),
        ("segment", True),
        ("finish", False),
    ],
)
def test_stages_of_a_whole_clip_may_take_as_long_as_the_clip(stage: Stage, limited: bool) -> None:
    task = Task("a.mp4", ".", "a")
    assert is_limited(ClipPart(Clip(task, "d" * 64, "e" * 64), stage)) == limited
    assert is_limited(task)


def test_a_clip_that_cannot_be_read_through_is_not_read_by_the_run_and_keeps_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "out" / "masks" / "a.mkv"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"earlier")

    def hangs(*_: object) -> str:
        raise AssertionError("the file was read")

    monkeypatch.setattr("pipeline.video.clip.content_sha256", hangs)
    config = Config.model_validate({"engine": {"cache_directory": "."}, "output": {"directory": "out"}})
    settings = WorkerSettings(config, stand_ins.obedient, "0" * 64, str(tmp_path))
    task = Task("a.mp4", ".", "a", old_sha256="f" * 64, old_files=("masks/a.mkv",))
    part = ClipPart(Clip(task, "d" * 64, "e" * 64), "probe")
    record = part.failed(settings, TimeLimitError("took longer than 300 s")).record
    assert record is not None
    assert (record["status"], record["sha256"]) == ("failed", "f" * 64)
    assert record["errors"][0]["type"] == "TimeLimitError"
    assert record["kept_files"] == ["masks/a.mkv"]
    assert kept.exists()
