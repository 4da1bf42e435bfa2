"""What a run would do, said without doing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import runner
from pipeline.config import Config
from pipeline.planning import Planned, is_done, plan
from tests import stand_ins
from tests.stand_ins import tree, write_photo


def config(output: str = "out") -> Config:
    values = {"paths": ["in"]}, {"directory": output}, {"executor": "serial"}
    return Config.model_validate(dict(zip(("input", "output", "execution"), values, strict=True)))


def test_plan_lists_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for index in range(2):
        write_photo(Path(f"in/{index}.png"), index)
    runner.run(config(), factory=stand_ins.bright, model_hashes=stand_ins.no_models)
    write_photo(Path("in/new.png"), 3)
    before = tree(Path("out"))
    assert plan(config(), model_hashes=stand_ins.no_models).photos == (
        Planned("in/0.png", "in/0.png", True),
        Planned("in/1.png", "in/1.png", True),
        Planned("in/new.png", "in/new.png", False),
    )
    again = plan(config(), force=True, model_hashes=stand_ins.no_models)
    assert [photo.done for photo in again.photos] == [False, False, False]
    assert tree(Path("out")) == before
    plan(config("nowhere"), model_hashes=stand_ins.no_models)
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"status": "ok", "digest": "d", "sha256": "s"}, True),
        ({"status": "no_face", "digest": "d", "sha256": "s"}, True),
        ({"status": "failed", "digest": "d", "sha256": "s"}, False),
        ({"status": "ok", "digest": "of other settings", "sha256": "s"}, False),
        ({"status": "ok", "digest": "d", "sha256": None}, False),
        ({}, False),
    ],
)
def test_what_counts_as_done(record: dict[str, str | None], expected: bool) -> None:
    assert is_done(record, "d") is expected
