"""bbox_from_landmarks against 500 boxes computed by the two upstream functions, and its properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarks.bbox import bbox_from_landmarks

VECTORS = Path(__file__).parent.parent / "data" / "bbox_from_landmarks.npz"

FACE = np.array([[40, 60], [80, 60], [60, 80], [50, 95], [70, 95]])


@pytest.mark.parametrize("convention", ["cpp", "matlab"])
@pytest.mark.parametrize(("shape", "square"), [("square", True), ("rect", False)])
def test_equals_every_upstream_box(convention: str, shape: str, square: bool) -> None:
    with np.load(VECTORS) as vectors:
        sizes, landmarks, expected = (
            vectors["size_wh"],
            vectors["landmarks"],
            vectors[f"{convention}_{shape}"],
        )
    boxes = [
        bbox_from_landmarks(points, (size[0], size[1]), square=square, convention=convention)  # type: ignore[arg-type]
        for points, size in zip(landmarks, sizes, strict=True)
    ]
    assert len(boxes) == 500
    np.testing.assert_array_equal(boxes, expected)


def test_by_hand() -> None:
    # w 41, h 36, centre (60, 77), mean (60, 78): left and right round(4.1) = 4,
    # top round(36 * (82 / 36 - 1)) + 1 = 47, bottom round(3.6) = 4
    assert bbox_from_landmarks(FACE, (640, 480), square=False) == (36, 13, 48, 86)
    # 49 x 87 grown to 87 x 87: x from 60 - 43
    assert bbox_from_landmarks(FACE, (640, 480)) == (17, 13, 86, 86)


def test_types_of_the_result() -> None:
    assert [type(value) for value in bbox_from_landmarks(FACE, (640, 480))] == [int] * 4
    assert [type(value) for value in bbox_from_landmarks(FACE, (640, 480), convention="matlab")] == [
        float
    ] * 4


def test_matlab_takes_real_coordinates() -> None:
    box = bbox_from_landmarks(FACE + 0.5, (640, 480), square=False, convention="matlab")
    # centre (60.5, 78), mean (60.5, 78.5) rounded to (61, 79): deviations -0.5 and -1
    assert box == (36.0, 13.5, 49.5, 87.0)


def test_face_right_of_the_frame_gives_the_rectangle_of_crossed_corners() -> None:
    x, _, width, _ = bbox_from_landmarks(FACE + np.array([1000, 0]), (640, 480), square=False)
    assert (x, width) == (639, 1036 - 639)


def test_face_left_of_the_frame_starts_its_maximum_at_minus_one() -> None:
    # All x below -1: upstream's running maximum stays at its initial -1. w = 960, right = 96, mean -940.
    x, _, width, _ = bbox_from_landmarks(FACE - np.array([1000, 0]), (640, 480), square=False)
    assert (x, width) == (0, 95 + max(-480 + 940, 0))


@pytest.mark.parametrize(
    ("points", "size_wh", "options", "message"),
    [
        (np.zeros((68, 3), int), (10, 10), {}, r"shape \(n, 2\)"),
        (np.zeros((0, 2), int), (10, 10), {}, r"n >= 1"),
        (np.zeros((68, 2)), (10, 10), {}, "integers"),
        (np.full((68, 2), np.nan), (10, 10), {"convention": "matlab"}, "finite"),
        (np.zeros((68, 2), int), (0, 10), {}, "frame_size_wh"),
        (np.zeros((68, 2), int), (10, 10), {"convention": "python"}, "'cpp' or 'matlab'"),
    ],
)
def test_refuses(points: np.ndarray, size_wh: tuple[int, int], options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bbox_from_landmarks(points, size_wh, **options)  # type: ignore[arg-type]


@st.composite
def _faces_in_frames(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    width, height = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    points = draw(
        st.lists(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)), min_size=1, max_size=68)
    )
    return np.array(points), (width, height)


@settings(max_examples=200, deadline=None)
@given(_faces_in_frames(), st.booleans())
def test_cpp_box_of_a_face_in_the_frame_stays_in_the_frame(
    case: tuple[np.ndarray, tuple[int, int]], square: bool
) -> None:
    points, (frame_width, frame_height) = case
    before = points.copy()
    x, y, width, height = bbox_from_landmarks(points, (frame_width, frame_height), square=square)
    assert all(type(value) is int for value in (x, y, width, height))
    assert x >= 0 and y >= 0 and width >= 0 and height >= 0
    assert x + width <= frame_width - 1 and y + height <= frame_height - 1  # the last pixel is dropped
    # Every landmark is inside the closed rectangle of the two corner pixels.
    assert (points >= [x, y]).all() and (points <= [x + width, y + height]).all()
    np.testing.assert_array_equal(points, before)


@settings(max_examples=200, deadline=None)
@given(_faces_in_frames(), st.booleans())
def test_matlab_box_of_a_face_in_the_frame_stays_in_the_frame(
    case: tuple[np.ndarray, tuple[int, int]], square: bool
) -> None:
    points, (frame_width, frame_height) = case
    x, y, width, height = bbox_from_landmarks(
        points + 1, (frame_width, frame_height), square=square, convention="matlab"
    )
    assert x >= 1 and y >= 1 and width > 0 and height > 0
    assert x + width - 1 <= frame_width and y + height - 1 <= frame_height
