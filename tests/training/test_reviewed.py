"""Labels that people have made of a run's masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.corrections.layer import Corrections
from pipeline.manifest.journal import read_manifest
from tests.exports.runs import Shot, disc, write_run_of
from tests.training.synthetic import write_prepared
from training.datasets import CELEBA_FOLDER, load_training_data
from training.reviewed import read_reviewed

SIZE = (200, 120)
PAIR = (disc(SIZE, (50, 60), 20), disc(SIZE, (82, 60), 20))


def reviewed_run(folder: Path) -> Path:
    shots = [Shot(f"{name}.png", SIZE, PAIR, 1) for name in ("accepted", "corrected", "unseen", "left_out")]
    run = write_run_of(folder, [*shots, Shot("turned.jpg", SIZE, PAIR[:1], 6)], orientation="stored")
    layer = Corrections(run)
    records = {record["name"]: record for record in read_manifest(run)}
    layer.judge(records["photos/accepted.png"], "accept", who="anna")
    layer.judge(records["photos/turned.jpg"], "accept", who="anna")
    layer.judge(records["photos/left_out.png"], "reject", who="anna")
    drawn = np.zeros(SIZE[::-1], np.uint8)
    drawn[10:30, 100:120] = 3
    layer.correct(records["photos/corrected.png"], drawn, who="anna")
    return run


def test_a_sample_a_face_of_what_people_have_said_is_right(tmp_path: Path) -> None:
    run = reviewed_run(tmp_path)
    samples = list(read_reviewed(run, lambda stem: True))
    assert [(sample.name, sample.source) for sample in samples] == [
        ("accepted", "reviewed"),
        ("accepted", "reviewed"),
        ("corrected", "reviewed"),
        ("turned", "reviewed"),
    ]
    first, second, drawn, turned = samples
    assert (first.face > 127).sum() == PAIR[0].sum()
    assert (second.face > 127).sum() == PAIR[1].sum()
    assert (first.weight == 0).sum() == (PAIR[1] & ~PAIR[0])[:, :112].sum()  # as far as the sample reaches
    assert first.points is not None
    part_x, part_y = 50 - 20 - 41, 60 - 20 - 41
    expected = np.array([30 - 3, 40 - 2]) - np.array([max(part_x, 0), max(part_y, 0)])
    assert first.points[0].tolist() == expected.tolist()
    assert drawn.points is None
    assert (drawn.face > 127).sum() == 400
    assert drawn.weight.min() == 255
    assert (turned.face > 127).sum() == PAIR[0].sum()
    assert [sample.name for sample in read_reviewed(run, lambda stem: stem == "turned")] == ["turned"]


def test_a_run_that_nobody_has_reviewed_is_refused(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [Shot("a.png", SIZE, PAIR)])
    with pytest.raises(ValueError, match="no photograph there was accepted or corrected"):
        list(read_reviewed(run, lambda stem: True))


def test_they_are_a_source_of_training_data(tmp_path: Path) -> None:
    write_prepared(tmp_path / "data" / CELEBA_FOLDER, [f"{number}" for number in range(12)])
    data = load_training_data(tmp_path / "data", reviewed=reviewed_run(tmp_path / "run"))
    assert len(data.training["reviewed"]) == 4
    drawn = data.draw(np.random.default_rng(0), 50)
    assert any(sample.source == "reviewed" for sample in drawn)
