"""The crop of a face: conventions, and heads that are turned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import CropConfig
from pipeline.framing import face_box, frame_face, head_angle, quarter_turns
from pipeline.turns import turned_box, turned_points, turned_size
from pipeline.uncrop import uncrop_mask

SIZE_WH = (200, 120)


def upright_points() -> NDArray[np.int32]:
    """Landmarks of an upright head around 100, 60: eyes above the mouth, the jaw below."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([np.cos(angles), np.sin(angles)], 1) * 20
    points[17:36] = np.stack([np.linspace(-15, 15, 19), np.full(19, -14)], 1)
    points[36:48] = np.stack([np.linspace(-12, 12, 12), np.full(12, -6)], 1)
    points[48:68] = np.stack([np.linspace(-7, 7, 20), np.full(20, 11)], 1)
    return np.asarray((points + np.array([100, 60])).round(), np.int32)


def face_of(points: NDArray[np.int32]) -> FaceLandmarks:
    return FaceLandmarks(points, Detection(Box(80, 40, 40, 40), 1.0, "drawn"))


def turned_by(degrees: float) -> NDArray[np.int32]:
    """The head turned clockwise around its middle."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(((upright_points() - [100, 60]) @ matrix.T + [100, 60]).round(), np.int32)


@pytest.mark.parametrize(
    ("degrees", "turns"),
    [
        (0, 0),
        (30, 0),
        (42, 0),
        (48, 1),
        (90, 1),
        (130, 1),
        (140, 2),
        (180, 2),
        (-140, 2),
        (-90, 3),
        (-48, 3),
        (-42, 0),
    ],
)
def test_a_head_is_brought_nearest_to_upright(degrees: int, turns: int) -> None:
    points = turned_by(degrees)
    assert abs((head_angle(points) - degrees + 180) % 360 - 180) < 3
    assert quarter_turns(points) == turns


def test_landmarks_on_one_place_have_no_turn() -> None:
    assert quarter_turns(np.full((68, 2), 7)) == 0


@pytest.mark.parametrize("convention", ["cpp", "matlab"])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_turned_photograph_gives_the_turned_box_and_the_same_crop(turn: int, convention: str) -> None:
    settings = CropConfig.model_validate({"convention": convention})
    image = np.random.default_rng(5).integers(1, 256, (SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    upright = frame_face(image, face_of(upright_points()), settings)
    lying_image = np.ascontiguousarray(np.rot90(image, -turn))
    lying_points = turned_points(upright_points(), SIZE_WH, -turn)
    lying = frame_face(lying_image, face_of(lying_points), settings)
    assert (upright.turn, lying.turn) == (0, turn)
    assert lying.box == turned_box(upright.box, SIZE_WH, -turn)
    np.testing.assert_array_equal(lying.pixels, upright.pixels)
    never = frame_face(lying_image, face_of(lying_points), settings.model_copy(update={"upright": "never"}))
    assert never.turn == 0
    assert never.box == face_box(lying_points, turned_size(SIZE_WH, turn), settings)


@given(st.integers(0, 3), st.integers(-30, 30), st.integers(-30, 30))
def test_uncrop_of_a_turned_heads_crop_is_the_photograph(turn: int, x: int, y: int) -> None:
    image = np.random.default_rng(6).integers(1, 256, (SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    points = turned_by(90 * turn) + np.array([3 * x, 2 * y], np.int32)
    crop = frame_face(image, face_of(points), CropConfig())
    back = np.dstack([uncrop_mask(crop.pixels[:, :, channel], crop) for channel in range(3)])
    inside = np.zeros(image.shape[:2], bool)
    inside[crop.frame_slices] = True
    np.testing.assert_array_equal(back[inside], image[inside])
    assert not back[~inside].any()


def test_the_matlab_convention_is_shifted_to_whole_half_open_pixels() -> None:
    points = np.array([[60, 40], [99, 40], [60, 79], [99, 79]] * 17, np.int32)
    matlab = CropConfig.model_validate({"convention": "matlab"})
    # By hand: columns 61-100, 1-based, become 56.5-104 (4 more, and 0.5 for the mean rounded up), rows 1-84;
    # the square of 84 rows is 42 to either side of the rounded middles 80 and 43: 38-122 and 1-85.
    assert face_box(points, (200, 200), matlab) == Box(37, 0, 85, 85)
    assert face_box(points, (200, 200), CropConfig()) == Box(38, 0, 83, 83)
