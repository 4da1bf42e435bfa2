"""Both detectors together: small, many and turned faces; and what only one of them takes for a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate
from landmarks.centerface import OVERLAP_PX, PATCH_SHARE, TILE_PX, CenterFace
from landmarks.geometry import Detection
from landmarks.joint import COARSE_PIXELS, PORTRAIT_COARSER, WHOLE_PIXELS, JointDetector
from landmarks.judge import Judge
from landmarks.views import scaled_view, turned_view

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
FACE = Candidate(223.0, 122.0, 92.0, 92.0, 0.0, 1.0, "test")


def _read(name: str) -> Pixels:
    return np.array(Image.open(SAMPLES / name).convert("RGB"))


@pytest.fixture(scope="module")
def joint() -> JointDetector:
    return JointDetector(SearchSettings())


@pytest.fixture(scope="module")
def centerface() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="module")
def judge(centerface: CenterFace) -> Judge:
    return Judge(BlazeFace(), centerface)


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    return _read("astronaut.jpg")


def _head(astronaut: Pixels, face_px: int) -> Pixels:
    """The head, 1.6 times as large as its face of so many pixels."""
    side = round(face_px * 1.6)
    return np.asarray(
        cv2.resize(astronaut[50:197, 150:297], (side, side), interpolation=cv2.INTER_AREA), np.uint8
    )


def _background(width: int, height: int) -> Pixels:
    coarse = np.random.default_rng(3).integers(60, 200, (height // 50 + 1, width // 50 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _with_heads(photo: Pixels, head: Pixels, places: list[tuple[int, int]]) -> Pixels:
    photo, side = photo.copy(), len(head)
    for x, y in places:
        photo[y - side // 2 : y - side // 2 + side, x - side // 2 : x - side // 2 + side] = head
    return photo


def _near(found: list[Detection], place: tuple[int, int], face_px: float) -> bool:
    return any(
        np.hypot(*(np.array(face.box.center) - place)) < 0.4 * face_px
        and 0.6 < face.box.width / face_px < 1.7
        for face in found
    )


@pytest.mark.parametrize("face_px", [20, 40])
def test_a_group_of_small_faces(joint: JointDetector, astronaut: Pixels, face_px: int) -> None:
    places = [(100 + 170 * column, 120 + 190 * row) for row in range(3) for column in range(5)]
    photo = _with_heads(_background(900, 620), _head(astronaut, face_px), places)
    found = joint.find(photo)
    assert all(_near(found, place, face_px) for place in places)
    assert len(found) == len(places)


def test_faces_that_are_hardly_hinted_at(
    joint: JointDetector, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(60 + 90 * column, 60 + 90 * row) for row in range(9) for column in range(10)]
    photo = _with_heads(_background(960, 840), _head(astronaut, 14), places)
    counts = []
    for faint_px in (0, 20):
        monkeypatch.setattr("landmarks.joint.FAINT_PX", faint_px)
        found = joint.find(photo)
        counts.append(sum(_near(found, place, 14) for place in places))
        assert len(found) == counts[-1]
    assert counts[1] >= counts[0] + 10


@pytest.mark.parametrize("size_wh", [(6000, 4000), (20000, 2500)])
def test_faces_of_80_pixels_in_very_large_photographs(
    joint: JointDetector, astronaut: Pixels, size_wh: tuple[int, int]
) -> None:
    width, height = size_wh
    places = [(width * step // 11, height // 2 + (height // 4) * (step % 3 - 1)) for step in range(1, 11)]
    photo = _with_heads(_background(width, height), _head(astronaut, 80), places)
    found = joint.find(photo)
    assert sum(_near(found, place, 80) for place in places) == 10
    assert len(found) == 10


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_face_beside_an_upright_one(joint: JointDetector, astronaut: Pixels, degrees: int) -> None:
    head = scaled_view(_head(astronaut, 110), 176)
    photo = _background(900, 620)
    turned = turned_view(head, -degrees).pixels
    photo[200:376, 100:276] = head.pixels
    photo[200 : 200 + turned.shape[0], 500 : 500 + turned.shape[1]] = turned
    upright, other = sorted(joint.find(photo), key=lambda face: face.box.x)
    assert abs(upright.angle) < 20
    assert abs((other.angle - degrees + 180) % 360 - 180) < 20


def test_a_photograph_without_faces_has_none(joint: JointDetector) -> None:
    assert joint.find(_read("rocket.jpg")) == []


def test_the_fine_look_is_made_where_it_pays(
    joint: JointDetector, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    find_in = CenterFace.find_in

    def counting(self: CenterFace, view: object, **options: object) -> list[Candidate]:
        height, width = view.pixels.shape[:2]  # type: ignore[attr-defined]
        seen.append(height * width)
        return find_in(self, view, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(CenterFace, "find_in", counting)
    portrait = astronaut[:360, 60:420]
    large = np.asarray(cv2.resize(portrait, (1200, 1200), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert len(joint.find(large)) == 1
    assert max(seen) <= 1.02 * COARSE_PIXELS * PORTRAIT_COARSER
    seen.clear()
    assert len(joint.find(_with_heads(_background(1200, 1200), _head(astronaut, 150), [(500, 600)]))) == 1
    assert COARSE_PIXELS * PORTRAIT_COARSER < max(seen) <= 1.02 * COARSE_PIXELS
    seen.clear()
    places = [(300 + 150 * step, 500) for step in range(5)]
    joint.find(_with_heads(_background(1200, 1200), _head(astronaut, 30), places))
    assert COARSE_PIXELS < max(seen) <= 1.02 * WHOLE_PIXELS


def test_beside_a_clear_portrait_blazeface_does_not_look_at_the_finest_size(
    joint: JointDetector, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[int] = []
    find_in = BlazeFace.find_in

    def counting(self: BlazeFace, view: object, **options: object) -> list[Candidate]:
        longest.append(max(view.pixels.shape[:2]))  # type: ignore[attr-defined]
        return find_in(self, view, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(BlazeFace, "find_in", counting)
    portrait = astronaut[:300, 80:380]
    for side_px, finest_px in ((1200, 150), (600, 256)):
        longest.clear()
        photo = np.asarray(cv2.resize(portrait, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.uint8)
        (face,) = joint.find(photo)
        assert face.box.width == pytest.approx(92 / 300 * side_px, rel=0.2)
        assert max(longest) == finest_px


def test_small_faces_in_a_small_photograph(joint: JointDetector, astronaut: Pixels) -> None:
    places = [(60 + 120 * column, 70 + 110 * row) for row in range(3) for column in range(5)]
    photo = _with_heads(_background(600, 360), _head(astronaut, 18), places)
    found = joint.find(photo)
    assert sum(_near(found, place, 18) for place in places) >= 13
    assert len(found) <= len(places)


def test_the_judge_believes_a_face_and_not_its_surroundings(judge: Judge, astronaut: Pixels) -> None:
    placed = judge.convinced(astronaut, FACE)
    assert placed is not None
    assert (placed.score, placed.detector) == (FACE.score, FACE.detector)
    for x, y in ((160, 370), (390, 420), (340, 60), (700, 90)):
        assert judge.convinced(astronaut, Candidate(x, y, 90.0, 90.0, 0.0, 1.0, "test")) is None


@pytest.mark.parametrize(("side", "heard"), [(190.0, None), (120.0, 0.88), (45.0, 0.88)])
def test_what_is_seen_of_a_face_does_not_speak_for_its_ear(
    joint: JointDetector, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch, side: float, heard: float | None
) -> None:
    ear = Candidate(346.0, 254.0, 80.0, 80.0, 8.0, 0.61, "blazeface")
    face = Candidate(330.0, 260.0, side, side, 0.0, 0.88, "centerface")
    asked: dict[str, float | None] = {}

    def convinced(self: Judge, image: Pixels, candidate: Candidate, *, seen: float | None = None) -> None:
        asked[candidate.detector] = seen

    monkeypatch.setattr(Judge, "convinced", convinced)
    monkeypatch.setattr("landmarks.joint.proposals", lambda image, found: [ear])
    monkeypatch.setattr(JointDetector, "_seen_by_centerface", lambda self, image, coarser: [face])
    assert joint.candidates(astronaut) == []
    assert asked == {"blazeface": heard, "centerface": 0.88}


class _Says:
    """Both networks, saying what the test wants: scores of CenterFace, and of BlazeFace's finds and looks."""

    def __init__(self, strict: float, found: Candidate | None, look: float) -> None:
        self.strict, self.found, self.look = strict, found, look

    def score_at(self, image: Pixels, candidate: Candidate, share: float = 0.45) -> float:
        return self.strict

    def found_near(self, image: Pixels, candidate: Candidate, *, threshold: float) -> Candidate | None:
        return self.found

    def confirm(self, image: Pixels, candidate: Candidate, share: float = 0.3) -> float:
        return self.look


def _judge_that_hears(strict: float, found: Candidate | None, look: float = 0.0) -> Judge:
    says = _Says(strict, found, look)
    return Judge(says, says)  # type: ignore[arg-type]


@pytest.mark.parametrize(("strict", "side"), [(0.9, 40.0), (0.9, 70.0), (0.2, 70.0)])
def test_a_box_is_not_that_of_a_larger_face_beside_it(astronaut: Pixels, strict: float, side: float) -> None:
    small = Candidate(200.0, 200.0, 36.0, 36.0, 0.0, 0.8, "centerface")
    found = Candidate(210.0, 204.0, side, side, 0.0, 0.8, "centerface")
    face = _judge_that_hears(strict, found, look=1.0).convinced(astronaut, small, seen=0.8)
    assert face is not None
    assert face.side == (36.0 if strict > 0.5 and side > 60 else side)


class _SaysBySize(_Says):
    """CenterFace sees a face wherever it takes another share of the picture than in the usual second look."""

    def score_at(self, image: Pixels, candidate: Candidate, share: float = PATCH_SHARE) -> float:
        return 0.0 if share == PATCH_SHARE else self.strict


@pytest.mark.parametrize(
    ("network", "side", "score", "strict", "look", "believed"),
    [
        ("centerface", 200.0, 0.6, 0.4, 0.1, True),  # 0.6 + 3/4 x 0.4 + 1/4 x 0.1 = 0.925
        ("centerface@pad", 200.0, 0.6, 0.4, 0.1, True),
        ("centerface", 200.0, 0.6, 0.4, 0.0, False),
        ("centerface", 200.0, 0.6, 0.2, 0.5, False),
        ("centerface", 200.0, 0.4, 0.8, 0.1, False),  # the search hardly saw it
        ("blazeface", 200.0, 0.6, 0.8, 0.1, False),
        ("centerface", 80.0, 0.6, 0.8, 0.1, False),  # small: the usual second look is as good
    ],
)
def test_a_large_face_that_is_seen_weakly_but_at_every_size(
    astronaut: Pixels, network: str, side: float, score: float, strict: float, look: float, believed: bool
) -> None:
    says = _SaysBySize(strict, None, look)
    judge = Judge(says, says)  # type: ignore[arg-type]
    place = Candidate(250.0, 250.0, side, side, 0.0, score, network)
    expected = place if believed else None
    assert judge.convinced(astronaut, place, seen=score) == expected
    assert judge.convinced_in_rescue(astronaut, place) == expected


@pytest.mark.parametrize(
    ("side", "strict", "look", "at_first", "in_rescue"),
    [
        (200.0, 0.05, 0.56, True, False),  # a dog's head
        (200.0, 0.0, 0.7, True, True),  # a veil
        (50.0, 0.54, 0.01, True, False),  # a hen's
        (50.0, 0.8, 0.0, True, True),
        (50.0, 0.1, 1.0, False, False),
    ],
)
def test_the_harder_searches_are_judged_more_strictly(
    astronaut: Pixels, side: float, strict: float, look: float, at_first: bool, in_rescue: bool
) -> None:
    place = Candidate(250.0, 250.0, side, side, 0.0, 0.5, "blazeface@weak")
    judge = _judge_that_hears(strict, Candidate(250.0, 250.0, side, side, 0.0, 0.7, "blazeface"), look)
    assert (judge.convinced(astronaut, place) is not None) is at_first
    assert (judge.convinced_in_rescue(astronaut, place) is not None) is in_rescue


def test_small_faces_that_centerface_sees_well_are_not_looked_at_again(
    joint: JointDetector, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    score_at = CenterFace.score_at

    def counting(self: CenterFace, image: Pixels, candidate: Candidate) -> float:
        asked.append(candidate.side)
        return score_at(self, image, candidate)

    monkeypatch.setattr(CenterFace, "score_at", counting)
    places = [(100 + 170 * column, 120 + 190 * row) for row in range(3) for column in range(5)]
    photo = _with_heads(_background(900, 620), _head(astronaut, 24), places)
    looks = []
    for least in (1.1, 0.4):
        monkeypatch.setattr("landmarks.joint.BELIEVED", least)
        asked.clear()
        assert len(joint.find(photo)) == len(places)
        looks.append(len(asked))
    assert looks[0] >= len(places) > 4 * looks[1]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_judge_sees_which_way_a_head_is_turned(judge: Judge, astronaut: Pixels, quarters: int) -> None:
    photo = np.ascontiguousarray(np.rot90(astronaut, -quarters))
    x, y = {1: (512 - 122, 223), 2: (512 - 223, 512 - 122), 3: (122, 512 - 223)}[quarters]
    face = judge.convinced(photo, Candidate(x, y, 92.0, 92.0, 0.0, 1.0, "test"))
    assert face is not None
    assert abs((face.angle - 90 * quarters + 180) % 360 - 180) < 15


def test_tiles_find_what_the_whole_finds(centerface: CenterFace, astronaut: Pixels) -> None:
    edge = TILE_PX - OVERLAP_PX // 2
    places = [(100, 100), (edge, 300), (1300, 500), (edge, edge)]
    photo = _with_heads(_background(1400, 1400), _head(astronaut, 36), places)
    found = [face.detection() for face in centerface.find_in(scaled_view(photo, 1400), threshold=0.5)]
    assert len(found) == len(places)
    assert all(_near(found, place, 36) for place in places)
