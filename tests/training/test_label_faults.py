"""Known faults of labels, and that they stay places in a few photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.datasets import is_celeba_validation
from training.label_faults import read_faults, without_faults

FULL_PORTRAIT = np.full((512, 512), 255, np.uint8)


def test_the_faults_that_are_kept_are_small_places_in_held_out_portraits() -> None:
    faults = read_faults()
    assert set(faults) == {"CelebAMask-HQ"}
    for stem, polygons in faults["CelebAMask-HQ"].items():
        assert is_celeba_validation(stem)
        left_out = without_faults(FULL_PORTRAIT, polygons) == 0
        assert 0 < left_out.mean() < 0.06
        xs, ys, width, height = cv2.boundingRect(left_out.astype(np.uint8))
        assert xs >= 0 and ys >= 0 and xs + width < 512 and ys + height < 512


def test_only_what_lies_in_the_polygon_loses_its_weight() -> None:
    weight = np.full((20, 20), 255, np.uint8)
    sure = without_faults(weight, [[(5, 5), (10, 5), (10, 12), (5, 12)]])
    assert (weight == 255).all()
    assert (sure[5:13, 5:11] == 0).all()
    assert (sure == 0).sum() == 8 * 6
    np.testing.assert_array_equal(without_faults(weight, []), weight)


@pytest.mark.parametrize(
    "entry", ["{polygon: [[1, 2], [3, 4]], fault: x}", "{polygon: [[1, 2], [3, 4], [5, 6]]}"]
)
def test_an_entry_without_a_place_or_a_reason_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(f"set:\n  stem:\n    - {entry}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="stem needs"):
        read_faults(path)
