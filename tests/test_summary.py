"""What a run's end says to people, and to the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.summary import RunSummary


@pytest.mark.parametrize(
    ("counts", "interrupted", "expected"),
    [
        ({"ok": 2, "no_face": 1, "skipped": 4}, False, 0),
        ({}, False, 0),
        ({"ok": 2, "failed": 1}, False, 1),
        ({"ok": 2, "partial": 1}, False, 1),
        ({"failed": 1}, True, 130),
    ],
)
def test_exit_code(counts: dict[str, int], interrupted: bool, expected: int) -> None:
    assert RunSummary(Path("out"), 9, counts, interrupted=interrupted).exit_code == expected


def test_only_what_happened_is_told() -> None:
    text = str(RunSummary(Path("out"), 3, {"ok": 3, "failed": 0}, faces=5, seconds=1.26))
    assert text == "3 photographs in 1.3 s: 3 with faces; 5 faces.\nResults: out"


@pytest.mark.parametrize(
    ("total", "clips", "faces", "expected"),
    [
        (1, 0, 1, "1 photograph in 0.0 s: 1 with faces; 1 face."),
        (1, 1, 2, "1 clip in 0.0 s: 1 with faces; 2 faces."),
        (2, 2, 1, "2 clips in 0.0 s: 1 with faces; 1 face."),
        (2, 1, 0, "2 photographs and clips in 0.0 s: 1 with faces; 0 faces."),
        (0, 0, 0, "0 photographs in 0.0 s: 1 with faces; 0 faces."),
    ],
)
def test_one_is_said_as_one(total: int, clips: int, faces: int, expected: str) -> None:
    summary = RunSummary(Path("out"), total, {"ok": 1}, faces, clips=clips)
    assert str(summary).splitlines()[0] == expected


def test_one_that_is_left() -> None:
    summary = RunSummary(Path("out"), 2, {"ok": 1}, interrupted=True)
    assert "Interrupted with 1 photograph left;" in str(summary)


def test_everything_that_happened_is_told() -> None:
    counts = {"ok": 1, "no_face": 2, "partial": 3, "failed": 4, "skipped": 5}
    left_out = ("Not read: 1 .psd",)
    summary = RunSummary(Path("out"), 20, counts, 6, 2.0, True, left_out, clips=1, at_limit=7)
    first, *lines = str(summary).splitlines()
    assert first == (
        "20 photographs and clips in 2.0 s: 1 with faces, 2 without a face, 3 with faces that failed, "
        "4 failed, 5 done before; 6 faces."
    )
    assert lines[:2] == ["Results: out", "Not read: 1 .psd."]
    assert "too small to be found: 7" in lines[2]
    assert lines[3].startswith("Failures: ") and lines[3].endswith("manifest failed out")
    assert lines[4].startswith("Interrupted with 5 photographs and clips left")
