"""Box, Detection and FaceLandmarks: what they accept, hold and refuse."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.geometry import Box, Detection, FaceLandmarks

POINTS = np.arange(136, dtype=np.int32).reshape(68, 2)
DETECTION = Detection(Box(3, 4, 50, 60), 1.25, "hog")
BOXES = st.builds(
    Box, st.integers(-30, 30), st.integers(-30, 30), width=st.integers(0, 30), height=st.integers(0, 30)
)


def _pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x, box.x_max) for y in range(box.y, box.y_max)}


def test_box_is_half_open() -> None:
    box = Box(-2, 3, 5, 7)
    assert (box.x_max, box.y_max, box.area, box.side, box.center) == (3, 10, 35, 6.0, (0.5, 6.5))


def test_box_takes_numpy_integers_as_ints() -> None:
    box = Box(np.int32(1), np.int64(2), np.uint8(3), np.int16(4))  # type: ignore[arg-type]
    assert [type(value) for value in (box.x, box.y, box.width, box.height)] == [int] * 4


@pytest.mark.parametrize(
    "fields", [(0, 0, -1, 2), (0, 0, 2, -1), (0.5, 0, 1, 1), ("0", 0, 1, 1), (0, None, 1, 1)]
)
def test_box_refuses(fields: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"Box\.(x|y|width|height): "):
        Box(*fields)


def test_box_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Box(0, 0, 1, 1).x = 3  # type: ignore[misc]


@given(BOXES, BOXES)
def test_intersection_and_iou_count_pixels(first: Box, second: Box) -> None:
    shared, union = _pixels(first) & _pixels(second), _pixels(first) | _pixels(second)
    assert _pixels(first.intersection(second)) == shared
    assert first.iou(second) == second.iou(first) == (len(shared) / len(union) if union else 0.0)


@given(BOXES, st.integers(1, 20), st.integers(1, 20))
def test_clipped_keeps_the_pixels_of_the_frame(box: Box, width: int, height: int) -> None:
    clipped = box.clipped((width, height))
    assert _pixels(clipped) == _pixels(box) & _pixels(Box(0, 0, width, height))
    assert 0 <= clipped.x <= clipped.x_max <= width
    assert 0 <= clipped.y <= clipped.y_max <= height


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (((0, 0, 1, 1), 1.0, "hog"), r"Detection\.box"),
        ((Box(0, 0, 1, 1), float("nan"), "hog"), r"Detection\.score"),
        ((Box(0, 0, 1, 1), "high", "hog"), r"Detection\.score"),
        ((Box(0, 0, 1, 1), 1.0, ""), r"Detection\.detector"),
        ((Box(0, 0, 1, 1), 1.0, None), r"Detection\.detector"),
        ((Box(0, 0, 1, 1), 1.0, "hog", float("inf")), r"Detection\.angle"),
        ((Box(0, 0, 1, 1), 1.0, "hog", 0.0, ((1.0, 2.0),)), r"Detection\.keypoints: 4 points or none"),
        ((Box(0, 0, 1, 1), 1.0, "hog", 0.0, ((1.0, float("nan")),) * 4), r"Detection\.keypoints"),
        ((Box(0, 0, 1, 1), 1.0, "hog", 0.0, (1.0, 2.0, 3.0, 4.0)), r"Detection\.keypoints: points"),
    ],
)
def test_detection_refuses(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detection(*fields)


@pytest.mark.parametrize(("angle", "kept"), [(0, 0.0), (270, -90.0), (180, -180.0), (-181, 179.0)])
def test_detection_keeps_the_turn_within_half_a_turn(angle: float, kept: float) -> None:
    assert Detection(Box(0, 0, 1, 1), 1.0, "hog", angle).angle == kept


def test_landmarks_keep_a_read_only_copy() -> None:
    points = POINTS.copy()
    face = FaceLandmarks(points, DETECTION)
    points[0] = 99
    assert face.points[0].tolist() == [0, 1]
    assert face.points.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        face.points[0, 0] = 1


def test_landmarks_are_values() -> None:
    face = FaceLandmarks(POINTS, DETECTION)
    same = FaceLandmarks(POINTS.astype(np.int16), DETECTION)
    other = FaceLandmarks(POINTS + 1, DETECTION)
    assert face == same
    assert hash(face) == hash(same)
    assert face != other
    assert face != FaceLandmarks(POINTS, Detection(DETECTION.box, 1.25, "cnn"))
    assert face != "face"


def test_landmarks_pickle_and_stay_read_only() -> None:
    face = FaceLandmarks(POINTS, DETECTION)
    again = pickle.loads(pickle.dumps(face))
    assert again == face
    assert not again.points.flags.writeable


@pytest.mark.parametrize(
    ("points", "detection", "message"),
    [
        (POINTS[:67], DETECTION, r"\(68, 2\)"),
        (POINTS.astype(float), DETECTION, "integer"),
        (POINTS.astype(np.int64) * 10**9, DETECTION, "32 bits"),
        (POINTS, (3, 4, 50, 60), "Detection"),
    ],
)
def test_landmarks_refuse(points: np.ndarray, detection: Detection, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaceLandmarks(points, detection)
