"""One policy for lost workers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.errors import EngineUnavailableError, TimeLimitError, WorkerLostError
from pipeline.executors.aftermath import Aftermath
from pipeline.executors.base import Attempt
from pipeline.executors.retries import MAX_FAILED_STARTS, Retries
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Worker, WorkerSettings
from tests import stand_ins

CRASH = WorkerLostError("its worker crashed")


def settings_of(directory: Path) -> WorkerSettings:
    config = Config.model_validate({"output": {"directory": str(directory)}})
    return WorkerSettings(config, stand_ins.bright, "d" * 64, str(directory))


def retries(directory: Path, *tasks: str | Task) -> Retries:
    settings = settings_of(directory)
    return Retries(settings, (Task(task, ".", task) if isinstance(task, str) else task for task in tasks))


def taken(waiting: Retries) -> Attempt:
    attempt = waiting.next()
    assert attempt is not None
    return attempt


def test_a_photograph_is_tried_twice_and_has_failed_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = retries(tmp_path, "a.jpg", "b.jpg")
    with caplog.at_level(logging.WARNING):
        assert waiting.lost(taken(waiting), CRASH) is None
    assert "'a.jpg': its worker crashed; trying it once more" in caplog.text
    second = taken(waiting)
    assert (second.task.path, second.number) == ("a.jpg", 2)
    assert waiting.lost(second, CRASH) is None
    third = taken(waiting)
    assert isinstance(third.task, Aftermath)
    outcome = third.task.run(Worker(settings_of(tmp_path)))
    assert outcome.record is not None
    assert (outcome.record["status"], outcome.record["errors"][0]["type"]) == ("failed", "WorkerLostError")
    assert taken(waiting).task.path == "b.jpg"
    assert waiting.next() is None


def test_a_photograph_that_cannot_even_be_read_keeps_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that does not answer: nothing but a worker touches it."""

    def hangs(path: str) -> None:
        pytest.fail("read outside of a worker")

    monkeypatch.setattr("pipeline.executors.aftermath.content_sha256", hangs)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.png").touch()
    old = Task("a.jpg", ".", "a.jpg", "5" * 64, ("masks/a.png", "overlays/a.jpg"), "5" * 64)
    waiting = retries(tmp_path, old)
    for _ in range(2):
        assert waiting.lost(taken(waiting), CRASH) is None
    outcome = waiting.lost(taken(waiting), TimeLimitError("took longer than 3 s"))
    assert outcome is not None
    assert outcome.record is not None
    assert (outcome.record["status"], outcome.record["errors"][0]["type"]) == ("failed", "WorkerLostError")
    assert outcome.record["kept_files"] == ["masks/a.png"]
    assert outcome.record["sha256"] == "5" * 64  # what they are of
    assert waiting.next() is None


def test_what_was_not_to_blame_does_not_count_as_tried(tmp_path: Path) -> None:
    waiting = retries(tmp_path, "a.jpg")
    for _ in range(5):
        waiting.again(taken(waiting))
    assert waiting.lost(taken(waiting), CRASH) is None


def test_new_photographs_are_drawn_one_by_one(tmp_path: Path) -> None:
    waiting = retries(tmp_path, "a.jpg", "b.jpg")
    assert len(waiting) == 0
    assert waiting.draw()
    assert len(waiting) == 1
    assert [taken(waiting).task.path, taken(waiting).task.path] == ["a.jpg", "b.jpg"]
    assert not waiting.draw()


def test_starts_that_fail_in_a_row_end_the_run(tmp_path: Path) -> None:
    waiting = retries(tmp_path)
    for _ in range(MAX_FAILED_STARTS - 1):
        waiting.start_failed(CRASH, workers="workers")
    waiting.started()
    for _ in range(MAX_FAILED_STARTS - 1):
        waiting.start_failed(CRASH, workers="workers")
    waiting.start_failed(CRASH, workers="workers", others_run=True)
    told = r"the workers die before they have loaded the models: .*\. Look"
    with pytest.raises(EngineUnavailableError, match=told):
        waiting.start_failed(CRASH, workers="workers", hint=". Look")
