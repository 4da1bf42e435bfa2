"""Scores on the network's grid: the way there and back, and the decision."""

from __future__ import annotations

import numpy as np
import pytest

from landmarks.arrays import Pixels
from landmarks.geometry import Box
from pipeline.crop import FaceCrop, crop_face
from pipeline.scores import CropScores, disagreement, probability


def face(width: int, height: int) -> FaceCrop:
    image = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return crop_face(image, Box(0, 0, width, height))


def scores_of(
    margin: list[list[float]], crop: FaceCrop, limited: tuple[int, int] | None = None
) -> CropScores:
    return CropScores(np.array(margin, np.float32), crop, limited or crop.size_wh)


def test_nearest_decides_on_the_networks_grid() -> None:
    mask, crop_margin = scores_of([[1, -1], [0, 2]], face(4, 4)).decide(interpolation="nearest")
    assert mask.tolist() == [[255, 255, 0, 0]] * 2 + [[0, 0, 255, 255]] * 2
    assert crop_margin.tolist() == [[1, 1, -1, -1]] * 2 + [[0, 0, 2, 2]] * 2


def test_nearest_refines_before_and_passes_through_the_limited_size() -> None:
    seen: list[tuple[int, ...]] = []

    def refine(mask: Pixels) -> Pixels:
        seen.append(mask.shape)
        return mask

    columns = [[1.0, -1.0, 1.0, -1.0, 1.0]] * 5
    mask, _ = scores_of(columns, face(9, 9), (3, 3)).decide(interpolation="nearest", refine=refine)
    assert seen == [(5, 5)]
    assert mask.tolist() == [[255] * 3 + [0] * 3 + [0] * 3] * 9  # of five columns the limit keeps 0, 1 and 3


def test_scores_are_upsampled_before_the_decision() -> None:
    mask, crop_margin = scores_of([[3, -1], [3, -1]], face(8, 8)).decide()
    widths = (mask > 0).sum(axis=1)
    assert widths.tolist() == [5] * 8  # the edge lies where the scores cross zero, not half way
    assert (mask > 0).tolist() == (crop_margin > 0).tolist()


def test_points_of_the_photograph_come_to_the_grid_by_their_edges() -> None:
    crop = crop_face(np.zeros((50, 60, 3), np.uint8), Box(10, 20, 8, 4))
    scores = scores_of([[0] * 4] * 8, crop)  # half as wide and twice as high
    points = np.array([[9.5, 19.5], [17.5, 23.5], [10, 20], [12, 21]])
    assert scores.to_grid(points).tolist() == [[-0.5, -0.5], [3.5, 7.5], [-0.25, 0.5], [0.75, 2.5]]


@pytest.mark.parametrize(("turn", "expected"), [(0, [1, 0]), (1, [0, 6]), (2, [6, 3]), (3, [3, 1])])
def test_points_turn_with_the_crop(turn: int, expected: list[int]) -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    image[20, 11] = 255
    crop = crop_face(image, Box(10, 20, 8, 4), turn)
    height, width = crop.pixels.shape[:2]
    scores = CropScores(np.zeros((height, width), np.float32), crop, crop.size_wh)
    assert scores.to_grid(np.array([[11, 20]])).tolist() == [expected]
    assert crop.pixels[expected[1], expected[0], 0] == 255


def test_evidence_is_added_to_a_copy() -> None:
    scores = scores_of([[1, -1]], face(2, 1))
    more = scores.plus(np.array([[-3, 3]], np.float32))
    assert more.margin.tolist() == [[-2, 2]]
    assert scores.margin.tolist() == [[1, -1]]
    assert more.crop is scores.crop


def test_wrong_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"CropScores.margin: expected \(h, w\) float32, got \(2, 2\) int64"):
        CropScores(np.zeros((2, 2), np.int64), face(2, 2), (2, 2))
    with pytest.raises(ValueError, match=r"CropScores\.margin"):
        CropScores(np.zeros((0, 2), np.float32), face(2, 2), (2, 2))
    with pytest.raises(ValueError, match=r"CropScores.limited_size_wh: expected at least 1, got \(2, 0\)"):
        CropScores(np.zeros((2, 2), np.float32), face(2, 2), (2, 0))


def test_disagreement_is_a_share_of_the_face() -> None:
    one = np.array([[1, 1, -1, -1]], np.float32)
    other = np.array([[-1, 1, 1, -1]], np.float32)
    assert disagreement(one, other) == pytest.approx(2 / 3)
    assert (disagreement(one, one), disagreement(one, -one), disagreement(-abs(one), -abs(one))) == (0, 1, 0)


def test_probability_is_the_softmax_of_the_two_scores() -> None:
    scores = np.array([[2.0, -3.0], [0.5, 0.5], [-100, 100]])
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    margin = (scores[:, 1] - scores[:, 0]).astype(np.float32)
    np.testing.assert_allclose(probability(margin), softmax[:, 1], atol=1e-6)
