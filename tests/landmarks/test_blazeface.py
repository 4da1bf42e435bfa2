"""BlazeFace: search, second look and placing anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate, merge
from landmarks.views import scaled_view, turned_view

ASTRONAUT = Path(__file__).parents[2] / "data" / "samples" / "astronaut.jpg"
FACE = Candidate(225.0, 127.0, 90.0, 90.0, 0.0, 1.0, "test")


@pytest.fixture(scope="module")
def blazeface() -> BlazeFace:
    return BlazeFace()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.array(Image.open(ASTRONAUT).convert("RGB"))


@pytest.mark.parametrize("face_px", [20, 40, 80])
def test_finds_faces_of_many_sizes(blazeface: BlazeFace, astronaut: np.ndarray, face_px: int) -> None:
    view = scaled_view(astronaut, 512 * face_px / 90)
    found = merge(blazeface.find_in(view, threshold=0.5))[0]
    assert (found.x, found.y) == pytest.approx((225, 127), abs=15)
    assert found.side == pytest.approx(90, rel=0.2)
    assert abs(found.angle) < 15


@pytest.mark.parametrize("quarters", range(4))
def test_turn_and_points_of_a_turned_face(blazeface: BlazeFace, astronaut: np.ndarray, quarters: int) -> None:
    photo = np.ascontiguousarray(np.rot90(astronaut, -quarters))  # clockwise
    found = merge(blazeface.find_in(turned_view(scaled_view(photo, 256), 90 * quarters), threshold=0.5))[0]
    assert (found.angle - 90 * quarters + 180) % 360 - 180 == pytest.approx(0, abs=10)
    points = np.array([(202, 103), (246, 104), (223, 130), (224, 148)])  # eyes, nose and mouth, seen by eye
    for _ in range(quarters):
        points = np.column_stack([512 - points[:, 1], points[:, 0]])
    assert np.asarray(found.keypoints) == pytest.approx(points, abs=6)


def test_scores_fall_and_reach_the_threshold(blazeface: BlazeFace, astronaut: np.ndarray) -> None:
    scores = [face.score for face in blazeface.find_in(scaled_view(astronaut, 256), threshold=0.4)]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert 0.4 <= scores[-1] <= scores[0] <= 1


def test_second_look_knows_a_face(blazeface: BlazeFace, astronaut: np.ndarray) -> None:
    assert blazeface.confirm(astronaut, FACE) > 0.8


@pytest.mark.parametrize("place", [(160, 370), (390, 420), (340, 60), (700, 90)])
def test_second_look_knows_what_is_none(
    blazeface: BlazeFace, astronaut: np.ndarray, place: tuple[int, int]
) -> None:
    assert blazeface.confirm(astronaut, replace(FACE, x=place[0], y=place[1])) < 0.3


def test_placing_anew_corrects_place_size_and_turn(blazeface: BlazeFace, astronaut: np.ndarray) -> None:
    off = replace(FACE, x=240.0, y=115.0, width=110.0, height=110.0, angle=30.0)
    placed = blazeface.refined(astronaut, off)
    assert (placed.x, placed.y) == pytest.approx((225, 127), abs=8)
    assert placed.side == pytest.approx(92, rel=0.1)
    assert abs(placed.angle) < 15
    assert (placed.score, placed.detector) == (off.score, off.detector)


def test_placing_anew_leaves_what_it_does_not_find(blazeface: BlazeFace, astronaut: np.ndarray) -> None:
    nothing = replace(FACE, x=340.0, y=60.0)
    assert blazeface.refined(astronaut, nothing) == nothing
