"""Agreement of masks that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from landmarks.arrays import Mask
from pipeline.metrics import SMALLEST_FACE_PX, compare


def boxes(*places: tuple[int, int, int, int], side: int = 100) -> Mask:
    """A mask of rectangles: left, top, width, height."""
    mask = np.zeros((side, side), bool)
    for left, top, width, height in places:
        mask[top : top + height, left : left + width] = True
    return mask


def test_half_of_a_face_and_one_too_many() -> None:
    scores = compare(boxes((10, 10, 10, 20), (60, 60, 5, 5)), boxes((10, 10, 20, 20)))
    assert scores.iou == 200 / (400 + 25)
    assert scores.pixel_accuracy == 1 - 225 / 10_000
    assert (scores.faces, scores.faces_found) == (1, 1)  # half of it is enough
    assert compare(boxes((10, 10, 9, 20)), boxes((10, 10, 20, 20))).faces_found == 0


def test_specks_of_the_truth_are_no_faces() -> None:
    truth = boxes((0, 0, 8, 8), (20, 20, 7, 9), (40, 40, 8, 7))
    assert SMALLEST_FACE_PX == 64
    assert compare(truth, truth).faces == 1


def test_the_boundary_counts_as_met_within_its_tolerance() -> None:
    truth = boxes((20, 20, 40, 40))  # of 141 pixels of diagonal 1.06 are the tolerance
    assert compare(boxes((21, 20, 40, 40)), truth).boundary_f == 1.0
    moved = compare(boxes((20, 30, 40, 40)), truth)
    # Of each 156 edge pixels meet: 31 of either side, and the corner just beyond where a side ends.
    assert moved.boundary_f == pytest.approx(64 / 156, abs=4 / 156)
    assert compare(boxes(), truth).boundary_f == 0.0


def test_nothing_and_nothing_agree() -> None:
    scores = compare(boxes(), boxes())
    assert (scores.iou, scores.pixel_accuracy, scores.boundary_f, scores.faces) == (1.0, 1.0, 1.0, 0)


def test_what_the_truth_does_not_say_counts_nowhere() -> None:
    ignore = boxes((0, 0, 100, 50))
    scores = compare(boxes((0, 0, 100, 60)), boxes((0, 50, 100, 10)), ignore)
    assert (scores.iou, scores.pixel_accuracy) == (1.0, 1.0)
    everything = np.ones((100, 100), bool)
    assert compare(boxes((0, 0, 9, 9)), boxes(), everything).pixel_accuracy == 1.0


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(9, 9\) of the truth, got \(8, 8\)"):
        compare(boxes(side=8), boxes(side=9))
