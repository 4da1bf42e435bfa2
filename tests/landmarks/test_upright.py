"""Faces that are said to be turned otherwise than they are, and those that are left as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from landmarks.arrays import Pixels
from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate
from landmarks.centerface import CenterFace
from landmarks.finder import FaceFinder
from landmarks.geometry import Box, Detection
from landmarks.judge import Judge
from landmarks.predictor import predictor_path
from landmarks.upright import SMALLEST_PX, SURE, TurnCheck
from pipeline.framing import head_angle

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def read(name: str) -> Pixels:
    return np.array(Image.open(SAMPLES / name).convert("RGB"))


@pytest.fixture(scope="module")
def check() -> TurnCheck:
    return TurnCheck(BlazeFace(), CenterFace())


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load(predictor=predictor_path(), rescue="never")


@pytest.mark.parametrize("name", ["astronaut.jpg", "grace_hopper.jpg", "obama.jpg", "obama_microphone.jpg"])
@pytest.mark.parametrize("wrong", [90, 135, 180, 230])
def test_a_turn_that_is_plainly_wrong_is_mended(
    check: TurnCheck, finder: FaceFinder, name: str, wrong: int
) -> None:
    image = read(name)
    (found,) = finder.detect(image)
    said = replace(found, score=0.7, detector="centerface", angle=found.angle + wrong)
    mended = check.checked(image, said)
    assert abs(mended.angle) < 50  # the nearest of four quarter turns, placed anew
    assert (mended.score, mended.detector) == (0.7, "centerface")
    assert mended.box.iou(found.box) > 0.5
    assert len(mended.keypoints) == 4


def test_what_is_right_sure_small_or_of_other_detectors_stays(check: TurnCheck, finder: FaceFinder) -> None:
    image = read("obama.jpg")
    (found,) = finder.detect(image)
    doubtful = replace(found, score=0.4, detector="blazeface@weak")
    assert check.checked(image, doubtful) is doubtful
    for wrong in (
        Detection(found.box, SURE, "blazeface", 15.0),
        Detection(found.box, 3.0, "hog", 180.0),
        Detection(Box(0, 0, SMALLEST_PX - 1, SMALLEST_PX), 0.6, "centerface", 90.0),
    ):
        assert check.checked(image, wrong) is wrong
    nothing = Detection(Box(0, 0, 90, 90), 0.6, "centerface", 90.0)
    assert check.checked(np.full((90, 90, 3), 70, np.uint8), nothing) is nothing


class Scores:
    """Both networks, which see a face by how it is turned."""

    def __init__(self, keen: dict[int, float], strict: dict[int, float]) -> None:
        self.keen, self.strict = keen, strict

    def found_near(self, image: Pixels, face: Candidate, *, threshold: float) -> Candidate | None:
        score = self.keen[round(face.angle) % 360]
        return replace(face, score=score, detector="seen") if score >= threshold else None

    def score_at(self, image: Pixels, face: Candidate) -> float:
        return self.strict[round(face.angle) % 360]


@pytest.mark.parametrize(
    ("keen", "strict", "expected"),
    [
        ((0.79, 0.7, 0.9, 0.7), (0.9, 0.0, 0.0, 0.0), 180),  # plain to BlazeFace alone
        ((0.79, 0.8, 0.85, 0.7), (0.9, 0.7, 0.6, 0.0), 90),  # clear to both, by so little
        ((0.79, 0.8, 0.85, 0.7), (0.9, 0.65, 0.6, 0.9), 0),  # not clear enough
        ((0.8, 0.95, 0.95, 0.95), (0.0, 0.9, 0.9, 0.9), 0),  # well seen as it is
        ((0.02, 0.7, 0.7, 0.82), (0.0, 0.0, 0.0, 0.9), 270),
        ((0.5, 0.91, 0.82, 0.82), (0.0, 0.0, 0.8, 0.9), 270),  # of several the clearest
    ],
)
def test_another_turn_is_taken_where_it_is_clear(
    keen: tuple[float, ...], strict: tuple[float, ...], expected: int
) -> None:
    turns = (0, 90, 180, 270)
    seen: Any = Scores(dict(zip(turns, keen, strict=True)), dict(zip(turns, strict, strict=True)))
    found = Detection(Box(20, 20, 50, 50), 0.6, "centerface")
    image = np.zeros((90, 90, 3), np.uint8)
    assert TurnCheck(seen, seen).checked(image, found).angle % 360 == expected


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_heads_in_a_turned_group_are_found_as_they_lie(finder: FaceFinder, turn: int) -> None:
    """Six faces of 45 to 70 pixels."""
    faces = finder.find(np.ascontiguousarray(np.rot90(read("group.jpg"), turn)))
    assert len(faces) == 6
    for face in faces:
        lean = (head_angle(face.points) + 90 * turn + 180) % 360 - 180
        assert abs(lean) < 45


def test_a_search_by_hog_alone_needs_no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Judge:
        raise AssertionError("it was made")

    monkeypatch.setattr("landmarks.finder.Judge.load", refuse)
    FaceFinder.load(predictor=predictor_path(), order=("hog",), rescue="never")
    with pytest.raises(AssertionError, match="it was made"):
        FaceFinder.load(predictor=predictor_path(), order=("hog",))
