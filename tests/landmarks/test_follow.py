"""Faces are followed to where they have gone, to a part of a pixel, and lost when they are."""

from __future__ import annotations

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmarks.finder import FaceFinder
from landmarks.follow import Follower, Sight, candidate_of, likeness
from landmarks.predictor import predictor_path
from tests.video.clips import sample


@functools.cache
def finder() -> FaceFinder:
    return FaceFinder.load(predictor=predictor_path(), rescue="never")


def moved(x: float, y: float, degrees: float = 0, scale: float = 1) -> NDArray[np.uint8]:
    matrix = cv2.getRotationMatrix2D((390, 216), degrees, scale)
    matrix[:, 2] += np.array([x, y])
    return np.asarray(
        cv2.warpAffine(sample("obama"), matrix, (720, 900), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


@functools.cache
def begun() -> tuple[Follower, Sight]:
    follower = finder().follower()
    (face,) = finder().find(sample("obama"))
    return follower, follower.sight(sample("obama"), face)


@pytest.mark.parametrize(("x", "y", "degrees"), [(0, 0, 0), (14, -9, 0), (0, 0, 12), (6, 5, -40)])
def test_landmarks_go_with_the_face(x: float, y: float, degrees: float) -> None:
    follower, sight = begun()
    image = moved(0, 0, degrees / 2) if degrees else sample("obama")
    before = follower.follow(image, sight)
    assert before is not None
    now = follower.follow(moved(x, y, degrees), before)
    assert now is not None
    matrix = cv2.getRotationMatrix2D((390, 216), degrees, 1)
    expected = sight.points @ matrix[:, :2].T + matrix[:, 2] + (x, y)
    assert np.linalg.norm(now.points - expected, axis=1).mean() < 0.03 * sight.candidate.side


def test_points_lie_between_pixels() -> None:
    _, sight = begun()
    assert np.abs(sight.points - np.rint(sight.points)).max() > 0.2


def test_the_shift_leads_to_a_face_that_has_jumped() -> None:
    follower, sight = begun()
    far = moved(150, 100)
    led = follower.follow(far, sight, shift=(150, 100))
    assert led is not None
    assert np.linalg.norm(led.points - sight.points - (150, 100), axis=1).mean() < 8


@pytest.mark.parametrize("what", ["gone", "covered"])
def test_a_face_that_is_no_longer_there_is_lost(what: str) -> None:
    follower, sight = begun()
    image = np.full_like(sample("obama"), 90)
    if what == "covered":
        image = sample("obama").copy()
        cv2.rectangle(image, (230, 60), (550, 420), (60, 120, 60), -1)
    assert follower.follow(image, sight) is None


def test_looks_tell_a_face_from_another() -> None:
    follower, sight = begun()
    again = follower.sight(sample("obama_microphone"), finder().find(sample("obama_microphone"))[0])
    other = follower.sight(sample("grace_hopper"), finder().find(sample("grace_hopper"))[0])
    assert likeness(sight, sight) == pytest.approx(1, abs=1e-3)
    assert likeness(sight, again) > likeness(sight, other) + 0.2


def test_the_box_of_landmarks_is_near_the_detectors() -> None:
    for name in ("obama", "astronaut", "grace_hopper"):
        (face,) = finder().find(sample(name))
        box = face.detection.box
        candidate = candidate_of(face.points.astype(float), 0.5, "x")
        assert abs(candidate.x - box.center[0]) < 0.1 * box.width
        assert abs(candidate.y - box.center[1]) < 0.1 * box.width
        assert 0.8 < candidate.side / box.width < 1.25


def test_a_face_that_is_found_where_it_was_followed_to_keeps_its_parts_of_pixels() -> None:
    follower, sight = begun()
    (face,) = finder().find(sample("obama"))
    rescored = replace(face, detection=replace(face.detection, score=0.42))
    again = follower.found_again(sight, rescored)
    assert again is not None
    assert again.points is sight.points
    assert again.score == 0.42
    elsewhere = replace(face, points=face.points + round(0.05 * sight.candidate.side))
    assert follower.found_again(sight, elsewhere) is None
