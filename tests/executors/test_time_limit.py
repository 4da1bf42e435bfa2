"""Work that grows with its clip is not ended by the time limit; other work is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.errors import PhotoError
from pipeline.executors.factory import create_executor
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work, Worker, WorkerSettings, is_limited
from pipeline.video.parts import ClipPart, Stage
from pipeline.video.task import Clip
from tests import stand_ins


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


@pytest.mark.parametrize(
    ("stage", "limited"),
    [
        ("probe", False),
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
