"""Choice of faces against an independent restatement of upstream's score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.geometry import Box, Detection, FaceLandmarks
from landmarks.selection import main_score, select_faces

FRAME_WH = (640, 480)


def _face(x: int, y: int, width: int, height: int, score: float = 1.0) -> FaceLandmarks:
    return FaceLandmarks(np.zeros((68, 2), np.int32), Detection(Box(x, y, width, height), score, "hog"))


def _upstream_main(boxes: list[tuple[int, int, int, int]], width: int, height: int) -> int:
    """Index of the main face, restated from getSequenceStats and getMainFaceID for one frame."""
    best, best_score = -1, 0.0
    max_distance = 0.25 * np.sqrt(float(width) ** 2 + float(height) ** 2)
    max_size = 0.25 * (width + height)
    for index, (x, y, w, h) in enumerate(boxes):
        position = np.array([(x + (x + w)) * 0.5, (y + (y + h)) * 0.5])
        distance = np.linalg.norm(position - np.array([width * 0.5, height * 0.5]))
        central = np.clip(1 - distance / max_distance, 0, 1)
        size = np.clip((w + h) * 0.5 / max_size, 0, 1)
        score = float(central + 1 + size) / 3
        if score > best_score + 1e-12:
            best, best_score = index, score
    return best


def test_main_prefers_the_central_face_to_a_slightly_larger_one_at_the_side() -> None:
    side, middle = _face(0, 0, 110, 110), _face(270, 190, 100, 100)
    assert select_faces([side, middle], FRAME_WH, "main") == (middle,)
    assert select_faces([side, middle], FRAME_WH, "largest") == (side,)
    assert select_faces([side, middle], FRAME_WH, "all") == (side, middle)


def test_main_score_by_hand() -> None:
    # Centre of the frame, 112 wide of 0.25 * (640 + 480) = 280: (1 + 1 + 0.4) / 3
    assert main_score(Box(264, 184, 112, 112), FRAME_WH) == pytest.approx(0.8)
    # Farther than a quarter of the diagonal (200) from the centre, larger than 280: (0 + 1 + 1) / 3
    assert main_score(Box(-200, -200, 300, 300), FRAME_WH) == pytest.approx(2 / 3)


@pytest.mark.parametrize("mode", ["main", "largest"])
def test_first_wins_ties(mode: str) -> None:
    first, second = _face(100, 190, 100, 100, 0.1), _face(440, 190, 100, 100, 0.9)
    assert select_faces([first, second], FRAME_WH, mode) == (first,)  # type: ignore[arg-type]
    assert select_faces([second, first], FRAME_WH, mode) == (second,)  # type: ignore[arg-type]


def test_small_faces_are_left_out_before_the_choice() -> None:
    middle, side, flat = _face(300, 220, 30, 30), _face(0, 0, 48, 48), _face(200, 200, 60, 36)
    faces = [middle, side, flat]
    assert select_faces(faces, FRAME_WH, "main") == (middle,)
    assert select_faces(faces, FRAME_WH, "main", min_side_px=48.5) == ()
    assert select_faces(faces, FRAME_WH, "main", min_side_px=31) == (flat,)
    assert select_faces(faces, FRAME_WH, "all", min_side_px=48) == (side, flat)
    assert select_faces(faces, FRAME_WH, "all", min_side_px=30) == (middle, side, flat)


@pytest.mark.parametrize("mode", ["main", "largest", "all"])
def test_no_faces(mode: str) -> None:
    assert select_faces([], FRAME_WH, mode) == ()  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.integers(-50, 640), st.integers(-50, 480), st.integers(1, 400), st.integers(1, 400)),
        min_size=1,
        max_size=6,
    )
)
def test_main_equals_upstream(boxes: list[tuple[int, int, int, int]]) -> None:
    faces = [_face(*box, score=index) for index, box in enumerate(boxes)]
    (chosen,) = select_faces(faces, FRAME_WH, "main")
    expected = faces[_upstream_main(boxes, *FRAME_WH)]
    scores = [main_score(face.detection.box, FRAME_WH) for face in (chosen, expected)]
    assert chosen == expected or scores[0] == pytest.approx(scores[1], abs=1e-12)


@pytest.mark.parametrize(("size_wh", "mode"), [((640, 480), "first"), ((0, 480), "main")])
def test_refuses(size_wh: tuple[int, int], mode: str) -> None:
    with pytest.raises(ValueError, match=r"mode|frame_size_wh"):
        select_faces([_face(0, 0, 5, 5)], size_wh, mode)  # type: ignore[arg-type]
