from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

from tests.training.synthetic import face_points, write_prepared
from training.scoring import masked_iou
from training.validate import (
    Row,
    bootstrap_interval,
    held_out,
    landmark_outline,
    table,
    trait_table,
)


def test_iou_of_known_masks() -> None:
    a, b = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    a[:2], b[1:3] = 255, 255
    everywhere = np.full_like(a, 255)
    assert masked_iou(a, b, everywhere) == pytest.approx(1 / 3)
    everywhere[0] = 0
    assert masked_iou(a, b, everywhere) == pytest.approx(1 / 2)
    assert masked_iou(a * 0, b * 0, everywhere) == 1.0


def test_landmark_outline_spans_jaw_and_lifted_brows() -> None:
    points = face_points()
    mask = landmark_outline(points, (128, 128))
    lifted = points[19] + points[27] - points[30]
    assert mask[round(float(lifted[1])) + 2, round(float(lifted[0]))] == 255
    assert mask[60, 64] == 255
    assert mask[125, 64] == mask[60, 5] == 0


def test_bootstrap_interval_holds_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.05, 200).astype(np.float32)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low < 0.03
    assert bootstrap_interval(values) == (low, high)


def test_table_counts_faces_that_were_not_found_as_zero() -> None:
    rows = [Row("set", "plain", "a", True, 0.8, 0.9, 0.7), Row("set", "plain", "b", False, 0, 0, 0)]
    line = table(rows).splitlines()[-1]
    assert line.startswith("| set | plain | 2 | 1 | 0.4000 (")
    assert ") | 0.4500 | " in line
    assert line.endswith("| 0.3500 |")


def test_traits_are_compared_with_their_own_set() -> None:
    rows = [
        Row("easy", "plain", "a", True, 0.96, 0.96, 0.8, ("dark",)),
        Row("easy", "plain", "b", True, 0.98, 0.98, 0.8),
        Row("easy", "grey", "a", True, 0.1, 0.1, 0.8, ("dark",)),
        Row("hard", "plain", "c", False, 0.90, 0.90, 0.8, ("dark", "hat")),
        Row("hard", "plain", "d", True, 0.80, 0.80, 0.8),
    ]
    dark, hat = trait_table(rows).splitlines()[2:]
    assert dark == "| dark | 2 | 1 | 0.930 | 0.906 | +0.020 |"
    assert hat.startswith("| hat | 1 | 0 | 0.900 |")


def test_only_held_out_photographs_are_measured(tmp_path: Path) -> None:
    stems = [f"Person_{number:03d}_0001" for number in range(60)]
    write_prepared(tmp_path / "lfw_parts", stems, size=32)
    write_prepared(tmp_path / "lfw_occluded_val", ["Ann_Lee_0001"], size=32)
    found = [(dataset, item.name) for dataset, item in held_out(tmp_path)]
    from training.datasets import is_lfw_validation

    assert [name for dataset, name in found if dataset == "LFW parts"] == [
        s for s in stems if is_lfw_validation(s)
    ]
    assert ("LFW occluded", "Ann_Lee_0001") in found
