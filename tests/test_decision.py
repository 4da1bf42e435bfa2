"""From the scores of one face to its mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import Config
from pipeline.crop import crop_face
from pipeline.decision import decide_face
from pipeline.models.settling import network_settings
from pipeline.results import FaceResult
from pipeline.scores import CropScores

SIDE = 64
PHOTO = np.zeros((SIDE, SIDE, 3), np.uint8)


def face() -> FaceLandmarks:
    """A face in the middle, its jaw a half circle."""
    turns = np.linspace(0, np.pi, 17)
    jaw = np.stack([32 - 20 * np.cos(turns), 30 + 24 * np.sin(turns)], axis=1)
    rest = np.random.default_rng(1).uniform((22, 18), (42, 44), (51, 2))
    points = np.rint(np.concatenate([jaw, rest])).astype(np.int32)
    return FaceLandmarks(points, Detection(Box(12, 10, 40, 44), 0.9, "hog"))


def scores(margin: np.ndarray) -> CropScores:
    crop = crop_face(PHOTO, Box(0, 0, SIDE, SIDE))
    return CropScores(margin.astype(np.float32), crop, crop.size_wh)


def decided(margin: np.ndarray, **sections: Any) -> tuple[FaceResult, np.ndarray]:
    alone = {"scores": {"jaw_penalty": 0, "jaw_support": 0}, "refine": {"smallest_piece": 0.0}}
    config = Config.model_validate({**alone, **sections})
    known = face()
    return decide_face(known, scores(margin), known.points, [known], config, network_settings(config))


def disc(value: float = 5.0) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.where(np.hypot(rows - 32, columns - 32) < 18, value, -5.0)


def test_the_mask_is_where_the_margin_is_positive_and_wins_there_only() -> None:
    result, winning = decided(disc())
    np.testing.assert_array_equal(result.mask > 0, disc() > 0)
    np.testing.assert_array_equal(winning > 0, disc() > 0)
    assert not winning[disc() <= 0].any()
    assert result.alpha is None
    assert result.score == pytest.approx(1 / (1 + np.exp(-5.0)))


def test_a_face_without_a_pixel_has_no_score() -> None:
    result, winning = decided(np.full((SIDE, SIDE), -1.0))
    assert result.score == 0.0
    assert not result.mask.any() and not winning.any()


def test_pixels_that_refinement_adds_win_as_well() -> None:
    margin = disc()
    margin[30:34, 30:34] = -2.0
    result, winning = decided(margin, refine={"smallest_piece": 0.0, "fill_holes": True})
    assert (result.mask[30:34, 30:34] == 255).all()
    assert (winning[30:34, 30:34] > 0).all()


def test_a_soft_mask_is_made_where_it_is_asked_for() -> None:
    result, _ = decided(disc(0.0), output={"soft_masks": True})
    assert result.alpha is not None
    assert set(np.unique(result.alpha).tolist()) == {2, 128}  # of margins of -5 and 0
