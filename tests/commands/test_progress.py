"""What the user of a run sees on the way."""

from __future__ import annotations

import pytest

from pipeline.commands.progress import Progress
from pipeline.executors.worker import Outcome
from pipeline.manifest.records import blank_record, error_entry
from pipeline.manifest.schema import Record
from pipeline.results import StageError


def failed(*messages: str) -> Record:
    record = blank_record(name="a.png", path="in/a.png", root="in", digest="d", orientation="upright")
    record["errors"] = [error_entry(StageError("read", "ImageReadError", text)) for text in messages]
    return record


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_failures_are_told_whether_there_is_a_bar_or_not(
    quiet: bool, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with Progress(quiet=quiet) as progress:
        progress.begun(2)
        progress.part_done("clip.mp4: find, 3 chunks left")
        progress.done(Outcome("b.png", None), "skipped")
        progress.done(Outcome("a.png", failed("is no image", "in/a.png: is short")), "failed")
    shown = capsys.readouterr().err
    assert "failed: in/a.png: is no image\n" in shown
    assert "failed: in/a.png: is short\n" in shown
    assert ("2/2" in shown) is (terminal and not quiet)
    assert ("3 chunks left" in shown) is (terminal and not quiet)
    assert ("failed=1" in shown) is (terminal and not quiet)


def test_a_run_that_never_begins_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress():
        pass
    assert capsys.readouterr().err == ""


def test_stopping_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Progress().stopping()
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
