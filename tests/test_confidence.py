"""How far faces and landmarks can be believed: the clues by hand, the formula, and faces against no faces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.confidence import LANDMARKS, RIGHT, USUALLY_APART, Clues, read_clues, weighed
from pipeline.config import load_config
from pipeline.crop import crop_face
from pipeline.images import read_photo
from pipeline.photo import PhotoSegmenter
from pipeline.scores import CropScores

ROOT = Path(__file__).parents[1]


def face(detector: str = "blazeface", score: float = 0.8, *, seen: bool = False) -> FaceLandmarks:
    """A head around 64, 64 with a jaw of 40 pixels' radius; its detector is 4 pixels off at every point."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([np.cos(angles), np.sin(angles)], 1)
    points[17:36, 1] = -0.2
    points[36:42] = (-0.4, -0.3)
    points[42:48] = (0.4, -0.3)
    points[48:68] = (0, 0.5)
    placed = np.asarray((points * 40 + 64).round(), np.int32)
    keypoints = ((48.5, 56.5), (80.5, 56.5), (64.5, 60.5), (64.5, 88.5)) if seen else ()
    return FaceLandmarks(placed, Detection(Box(32, 32, 64, 64), score, detector, 0.0, keypoints))


def scores_of(margin: NDArray[Any]) -> CropScores:
    crop = crop_face(np.zeros((128, 128, 3), np.uint8), Box(0, 0, 128, 128))
    return CropScores(np.asarray(margin, np.float32), crop, (128, 128))


def test_clues_of_a_face_that_the_network_sees_in_full() -> None:
    clues = read_clues(face(seen=True), scores_of(np.full((128, 128), 20)), network=0.9, overstepped=0.5)
    expected = Clues(0.8, 0.0, 0.0, 0.9, 1.0, 0.0, 0.2, 4 / 64, 0.0)
    assert asdict(clues) == pytest.approx(asdict(expected), abs=1e-6)


def test_clues_of_half_a_face_by_another_detector() -> None:
    margin = np.full((128, 128), -20)
    margin[:, :64] = 20
    clues = read_clues(face("hog", 1.9), scores_of(margin), network=0.9, overstepped=0.0)
    assert (clues.blazeface, clues.centerface, clues.other_detector) == (0, 0, 1)
    assert clues.held == pytest.approx(-1)
    assert clues.missed == pytest.approx(0.5, abs=0.02)
    assert clues.apart == USUALLY_APART
    rescued = read_clues(face("centerface@tile", 0.7), scores_of(margin), network=0.9, overstepped=0.0)
    assert (rescued.blazeface, rescued.centerface, rescued.other_detector) == (0, 0.7, 0)


def test_landmarks_on_one_place_give_finite_clues() -> None:
    nowhere = FaceLandmarks(np.full((68, 2), -900, np.int32), Detection(Box(5, 5, 0, 0), -3.0, "hog"))
    clues = read_clues(nowhere, scores_of(np.zeros((128, 128))), network=0.0, overstepped=0.0)
    assert all(math.isfinite(value) for value in asdict(clues).values())
    assert 0 <= weighed(clues, RIGHT) <= 1


def test_the_formula_is_logistic() -> None:
    clues = Clues(0.5, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert weighed(clues, {"constant": 0.0}) == 0.5
    weights = {"constant": -1.0, "blazeface": 4.0, "network": 2.0}
    assert weighed(clues, weights) == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert weighed(clues, {"constant": 1e9}) == pytest.approx(1)


def test_weights_are_for_clues_and_point_the_right_way() -> None:
    names = {field.name for field in fields(Clues)}
    for weights in (RIGHT, LANDMARKS):
        assert set(weights) - {"constant"} <= names
        assert weights["blazeface"] > 0
        assert weights["held"] > 0
    assert RIGHT["centerface"] > 0


@pytest.fixture(scope="module")
def segmenter() -> Iterator[PhotoSegmenter]:
    with PhotoSegmenter.from_config(load_config(ROOT / "configs" / "default.yaml")) as loaded:
        yield loaded


def test_faces_are_believed_and_things_are_not(segmenter: PhotoSegmenter) -> None:
    real = segmenter.segment_file(ROOT / "data" / "samples" / "obama.jpg").faces
    assert all(face.confidence > 0.95 and face.landmark_quality > 0.9 for face in real)
    rocket = read_photo(ROOT / "data" / "samples" / "rocket.jpg", max_pixels=10**7).pixels
    found = real[0].landmarks
    weak = replace(found.detection, score=0.4, keypoints=())
    (thing,) = segmenter.segment_faces(rocket, [FaceLandmarks(found.points, weak)]).faces
    assert thing.confidence < 0.5
    assert thing.landmark_quality < 0.5


def test_faces_below_the_least_confidence_are_dropped(segmenter: PhotoSegmenter) -> None:
    image = read_photo(ROOT / "data" / "samples" / "obama.jpg", max_pixels=10**7).pixels
    (found,) = segmenter.find(image)
    beside = found.points - np.array([found.points[:, 0].min() + 5, 0], np.int32)
    thing = FaceLandmarks(beside, replace(found.detection, score=0.2, keypoints=()))
    strict = segmenter.config.model_copy(
        update={"faces": segmenter.config.faces.model_copy(update={"min_confidence": 0.9})}
    )
    choosy = PhotoSegmenter(strict, segmenter.finder, segmenter.network)
    assert len(segmenter.segment_faces(image, [thing, found]).faces) == 2
    kept = choosy.segment_faces(image, [thing, found])
    assert [face.landmarks for face in kept.faces] == [found]
    np.testing.assert_array_equal(kept.instances, segmenter.segment_faces(image, [found]).instances)
    assert choosy.segment_faces(image, [thing]).status == "no_face"
