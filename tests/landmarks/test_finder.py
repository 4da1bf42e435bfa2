"""Faces are found in the samples, at their place, also when they are turned, dark, tiny or cut."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from landmarks.finder import FaceFinder
from landmarks.geometry import FaceLandmarks
from landmarks.predictor import predictor_path
from landmarks.sessions import open_network

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SINGLE_FACES = {  # middle of the face, x, y
    "astronaut.jpg": (225, 125),
    "astronaut_dark_grey.jpg": (225, 125),
    "grace_hopper.jpg": (268, 235),
    "obama.jpg": (390, 215),
    "obama_microphone.jpg": (390, 215),
}


def _read(name: str) -> np.ndarray:
    return np.array(Image.open(SAMPLES / name).convert("RGB"))


def _turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The astronaut turned about her face, and the map of points."""
    turn = cv2.getRotationMatrix2D((225, 125), degrees, 1)
    return np.asarray(
        cv2.warpAffine(image, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE), np.uint8
    ), turn


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load(predictor=predictor_path(), cnn_max_side_px=90)


@pytest.fixture(scope="module")
def hog() -> FaceFinder:
    return FaceFinder.load(predictor=predictor_path(), order=("hog",), rescue="never")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return _read("astronaut.jpg")


@pytest.fixture(scope="module")
def astronaut_face(hog: FaceFinder, astronaut: np.ndarray) -> FaceLandmarks:
    return hog.find(astronaut)[0]  # the second, at a score of 0.04, is on her suit


def _difference(points: np.ndarray, expected: np.ndarray) -> float:
    """Mean distance of landmarks as a share of the distance of the eyes."""
    eyes = expected[36:42].mean(axis=0) - expected[42:48].mean(axis=0)
    return float(np.hypot(*(points - expected).T).mean() / np.hypot(*eyes))


@pytest.mark.parametrize(("name", "middle"), SINGLE_FACES.items())
def test_single_faces(finder: FaceFinder, name: str, middle: tuple[int, int]) -> None:
    image = _read(name)
    before = image.copy()
    (face,) = finder.find(image)
    box = face.detection.box
    assert face.detection.detector in {"blazeface", "centerface"}
    assert np.hypot(*(np.array(box.center) - middle)) < 0.3 * box.width
    inside = (face.points >= [box.x - 0.3 * box.width, box.y - 0.3 * box.height]) & (
        face.points <= [box.x_max + 0.3 * box.width, box.y_max + 0.3 * box.height]
    )
    assert inside.all()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", ["astronaut.jpg", "grace_hopper.jpg", "obama.jpg"])
def test_landmarks_agree_with_those_of_full_size_hog(finder: FaceFinder, hog: FaceFinder, name: str) -> None:
    image = _read(name)
    (face,), expected = finder.find(image), hog.find(image)[0]
    assert face.detection.box.iou(expected.detection.box) > 0.6
    assert _difference(face.points, expected.points) < 0.06


def test_group_has_six_faces(finder: FaceFinder) -> None:
    faces = finder.find(_read("group.jpg"))
    middles = sorted(
        (round(x / 100), round(y / 100)) for x, y in (face.detection.box.center for face in faces)
    )
    assert middles == [(2, 7), (4, 3), (7, 2), (7, 6), (10, 2), (11, 6)]
    assert finder.find(_read("group.jpg")) == faces


def test_no_face_where_there_is_none(finder: FaceFinder) -> None:
    assert finder.find(_read("rocket.jpg")) == ()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (700, 2, 3), (30, 40, 3)])
def test_tiny_and_thin_photographs(finder: FaceFinder, shape: tuple[int, ...]) -> None:
    assert finder.find(np.full(shape, 90, np.uint8)) == ()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((50, 50), np.uint8),
        np.zeros((50, 50, 4), np.uint8),
        np.zeros((50, 50, 3), np.float32),
        np.zeros((0, 50, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_photograph(finder: FaceFinder, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        finder.find(image)


def test_read_only_and_strided_photographs(finder: FaceFinder, astronaut: np.ndarray) -> None:
    expected = finder.find(astronaut)
    strided = np.repeat(astronaut, 2, axis=1)[:, ::2]
    strided.flags.writeable = False
    assert finder.find(strided) == expected


@pytest.mark.parametrize("max_side_px", [256, 384])
def test_scaled_hog_search_finds_the_same_face(
    astronaut: np.ndarray, astronaut_face: FaceLandmarks, max_side_px: int
) -> None:
    large = np.repeat(np.repeat(astronaut, 2, axis=0), 2, axis=1)
    scaled = FaceFinder.load(
        predictor=predictor_path(), order=("hog",), rescue="never", max_side_px=max_side_px, upsample=1
    )
    face = scaled.find(large)[0]
    assert face.detection.detector == "hog"
    assert _difference(face.points / 2, astronaut_face.points) < 0.06
    assert face.detection.box.width == pytest.approx(2 * astronaut_face.detection.box.width, rel=0.25)


def test_small_faces_in_a_large_photograph(finder: FaceFinder, astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(7)
    photo = np.repeat(np.repeat(rng.integers(60, 200, (30, 40, 3), np.uint8), 100, axis=0), 100, axis=1)
    head = astronaut[10:260, 100:350]  # its face is 90 pixels wide
    places = [(200, 150), (1900, 1400), (3700, 2700)]
    for x, y in places:
        photo[y : y + 250, x : x + 250] = head
    found = finder.find(photo)
    middles = sorted(face.detection.box.center for face in found)
    assert len(middles) == 3
    for (x, y), middle in zip(places, middles, strict=True):
        assert np.hypot(*(np.array(middle) - [x + 125, y + 115])) < 25


@pytest.mark.parametrize("degrees", [-90, -45, 30, 45, 90, 180])
def test_turned_faces(
    finder: FaceFinder, astronaut: np.ndarray, astronaut_face: FaceLandmarks, degrees: int
) -> None:
    turned, turn = _turned(astronaut, degrees)
    face = max(finder.find(turned), key=lambda face: face.detection.score)
    expected = astronaut_face.points @ turn[:, :2].T + turn[:, 2]
    assert _difference(face.points, expected) < 0.06


@pytest.mark.parametrize("gamma", [0.4, 4.0])
def test_pale_and_dark_faces(
    finder: FaceFinder, astronaut: np.ndarray, astronaut_face: FaceLandmarks, gamma: float
) -> None:
    table = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    (face,) = finder.find(table[astronaut])
    assert _difference(face.points, astronaut_face.points) < 0.1


def test_face_cut_by_the_frame(finder: FaceFinder, astronaut: np.ndarray) -> None:
    (face,) = finder.find(np.ascontiguousarray(astronaut[:, 215:]))
    assert face.detection.box.x < 0
    assert face.points[:, 0].min() < 0


def test_face_that_fills_the_photograph(finder: FaceFinder, astronaut: np.ndarray) -> None:
    (face,) = finder.find(np.ascontiguousarray(astronaut[72:182, 178:274]))
    assert face.detection.box.width > 70


@pytest.mark.parametrize(
    ("name", "face", "aside", "down", "degrees"),
    [
        ("astronaut_dark_grey.jpg", (174, 71, 97), 0.1, 0.1, -20),
        ("group.jpg", (674, 496, 138), 0.0, 0.1, 20),
        ("group.jpg", (674, 496, 138), -0.1, 0.1, 20),  # found by a harder search
        ("group.jpg", (674, 496, 138), 0.1, 0.1, 0),
    ],
)
def test_a_face_behind_a_telephone(
    finder: FaceFinder, name: str, face: tuple[int, int, int], aside: float, down: float, degrees: float
) -> None:
    """``face`` is left, top and side of its box; the telephone's place is in sides of it."""
    left, top, side = face
    middle = 1.2 * side
    start_x, start_y = int(left - 0.7 * side), max(int(top - 0.7 * side), 0)
    photo = _read(name)[start_y : start_y + int(2.4 * side), start_x : start_x + int(2.4 * side)].copy()
    phone = (middle + aside * side, middle + down * side), (0.5 * side, 0.95 * side), degrees
    cv2.fillPoly(photo, [np.rint(cv2.boxPoints(phone)).astype(np.int32)], (18, 18, 22))
    boxes = [found.box for found in finder.detect(photo)]
    assert len(boxes) == 1
    assert np.hypot(*(np.array(boxes[0].center) - middle)) < 0.25 * side
    assert boxes[0].width == pytest.approx(side, rel=0.3)


def test_hog_only_is_plain_dlib(
    astronaut: np.ndarray, hog: FaceFinder, astronaut_face: FaceLandmarks
) -> None:
    assert astronaut_face.detection.detector == "hog"
    assert not any(face.detection.score > 0.1 for face in hog.find(_turned(astronaut, 90)[0]))


def test_rescue_when_hog_finds_nothing(astronaut: np.ndarray) -> None:
    rescued = FaceFinder.load(predictor=predictor_path(), order=("hog",), cnn_max_side_px=90)
    (face,) = rescued.find(np.rot90(astronaut[:256, 100:356]))
    assert face.detection.detector.startswith("blazeface@")


def test_each_network_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counting(path: Path, **options: bool) -> object:
        opened.append(path.name)
        return open_network(path, **options)

    for module in ("blazeface", "centerface"):
        monkeypatch.setattr(f"landmarks.{module}.open_network", counting)
    FaceFinder.load(predictor=predictor_path(), rescue="always").follower()
    assert sorted(opened) == ["blazeface_full_range.onnx", "blazeface_short_range.onnx", "centerface.onnx"]


def test_rescue_always_adds_without_repeating(astronaut: np.ndarray) -> None:
    head = astronaut[:256, 100:356]
    photo = np.concatenate([head, np.rot90(head)], axis=1)
    always = FaceFinder.load(predictor=predictor_path(), order=("hog",), rescue="always", cnn_max_side_px=90)
    first, second = always.find(photo)
    assert first.detection.detector == "hog"
    assert second.detection.box.center[0] > 256


def test_cnn_finds_the_face(astronaut: np.ndarray) -> None:
    cnn = FaceFinder.load(predictor=predictor_path(), order=("cnn",), rescue="never", cnn_max_side_px=260)
    (face,) = cnn.find(np.ascontiguousarray(astronaut[:240, 110:350]))
    assert face.detection.detector == "cnn"
    assert np.hypot(*(np.array(face.detection.box.center) - [115, 125])) < 20


@pytest.mark.parametrize(
    "settings",
    [
        {"order": ()},
        {"order": ("haar",)},
        {"rescue": "sometimes"},
        {"max_side_px": 0},
        {"upsample": 4},
        {"cnn_max_side_px": 0},
    ],
)
def test_refuses_settings(settings: dict[str, object]) -> None:
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}: |detector: one of joint, "):
        FaceFinder.load(predictor=predictor_path(), **settings)  # type: ignore[arg-type]
