"""All stages in order, with a finder and engines that fail on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from landmarks.arrays import Float32Array, Pixels
from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import Config, CropConfig
from pipeline.crop import crop_face
from pipeline.engines.base import EngineInfo
from pipeline.errors import DetectionError, EngineError, SegmentationError
from pipeline.framing import frame_face
from pipeline.neighbours import HIDDEN_RGB, neighbours_hidden
from pipeline.network import FaceNetwork
from pipeline.photo import PhotoSegmenter
from pipeline.results import PhotoResult
from pipeline.scores import CropScores
from pipeline.uncrop import uncrop_mask


def face_at(x: int, y: int, size: int, score: float = 1.0) -> FaceLandmarks:
    """Landmarks on a circle in a square, those of the eyes above those of the mouth."""
    angles = (np.arange(68) - 49.5) * (2 * np.pi / 68)
    points = np.stack(
        [x + size / 2 + size / 2 * np.cos(angles), y + size / 2 + size / 2 * np.sin(angles)], axis=1
    )
    return FaceLandmarks(points.round().astype(np.int64), Detection(Box(x, y, size, size), score, "hog"))


class FixedFinder:
    """Finds what it is told."""

    def __init__(self, faces: Sequence[FaceLandmarks], error: Exception | None = None) -> None:
        self.faces = tuple(faces)
        self.error = error

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        if self.error:
            raise self.error
        return self.faces


NO_JAW = {"jaw_penalty": 0, "jaw_support": 0}

AS_DECIDED = Config.model_validate({"scores": NO_JAW, "refine": {"smallest_piece": 0}})
"""The network's own decision: landmarks on a circle have no jaw."""


class BrightnessEngine:
    """Bright is face: the margin is blue minus its mean."""

    info = EngineInfo("brightness", "1", "cpu", "f32", 1)

    def load(self) -> None:
        return

    def predict(self, batch: Float32Array) -> Float32Array:
        return np.stack([np.zeros_like(batch[:, 0]), batch[:, 0]], axis=1)

    def close(self) -> None:
        return


class FailsOnDark(BrightnessEngine):
    """Fails on any batch that holds a crop with nothing bright in it."""

    def predict(self, batch: Float32Array) -> Float32Array:
        if (batch.max(axis=(1, 2, 3)) < 0).any():
            raise EngineError("the engine does not like the dark")
        return super().predict(batch)


def segmenter(
    faces: Sequence[FaceLandmarks],
    config: Config | None = None,
    engine: BrightnessEngine | None = None,
    *,
    side_px: int = 32,
) -> PhotoSegmenter:
    network = FaceNetwork(engine or BrightnessEngine(), (side_px, side_px))
    return PhotoSegmenter(config or AS_DECIDED, FixedFinder(faces), network)


def photo(*bright: tuple[int, int, int], size_wh: tuple[int, int] = (200, 120)) -> Pixels:
    """Dark, with bright discs (x, y, diameter)."""
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]]
    for x, y, size in bright:
        inside = (columns - x - size / 2) ** 2 + (rows - y - size / 2) ** 2 <= (size / 2) ** 2
        image[inside] = 255
    return image


def iou(result: PhotoResult, image: Pixels) -> float:
    mask, truth = result.mask > 0, image[:, :, 0] > 0
    return float((mask & truth).sum() / (mask | truth).sum())


def test_masks_lie_where_the_faces_are() -> None:
    image = photo((20, 40, 50), (120, 50, 60))
    result = segmenter([face_at(20, 40, 50), face_at(120, 50, 60)]).segment(image)
    assert result.status == "ok"
    assert result.instances.shape == (120, 200)
    assert set(np.unique(result.instances)) == {0, 1, 2}
    assert iou(result, image) > 0.93
    assert result.instances[65, 45] == 1
    assert result.instances[80, 150] == 2
    assert all(0.9 < face.score <= 1 for face in result.faces)
    assert list(result.timings) == ["landmarks", "crop", "network", "uncrop"]


def test_a_photo_without_faces() -> None:
    result = segmenter([]).segment(photo())
    assert result.status == "no_face"
    assert not result.mask.any()
    assert result.mask.shape == (120, 200)


def test_a_face_beyond_the_frame_is_cut_by_it() -> None:
    image = photo((-25, 40, 50))
    result = segmenter([face_at(-25, 40, 50)]).segment(image)
    assert result.status == "ok"
    assert iou(result, image) > 0.9


def test_the_two_halves_are_the_whole() -> None:
    image = photo((20, 40, 50), (120, 50, 60))
    segmenting = segmenter([face_at(20, 40, 50), face_at(120, 50, 60)])
    found = segmenting.find(image)
    assert found == (face_at(20, 40, 50), face_at(120, 50, 60))
    whole, half = segmenting.segment(image), segmenting.segment_faces(image, found[1:])
    assert [face.landmarks for face in half.faces] == [found[1]]
    np.testing.assert_array_equal(half.mask > 0, whole.instances == 2)
    assert list(half.timings) == ["crop", "network", "uncrop"]
    assert segmenting.segment_faces(image, []).status == "no_face"


def test_selection_is_applied() -> None:
    image = photo((20, 40, 50), (120, 50, 60))
    config = Config.model_validate({"faces": {"select": "largest"}})
    result = segmenter([face_at(20, 40, 50), face_at(120, 50, 60)], config).segment(image)
    assert len(result.faces) == 1
    assert result.mask[80, 150] == 255
    assert result.mask[65, 45] == 0


def test_faces_below_the_least_side_are_left_out_and_keep_their_pixels() -> None:
    image, heads = two_heads()
    heads = [heads[0], replace(heads[1], detection=Detection(Box(60, 40, 30, 30), 1.0, "hog"))]
    settings = {"scores": NO_JAW, "faces": {"min_side_px": 31}}
    choosy = segmenter(heads, Config.model_validate(settings))
    result = choosy.segment(image)
    assert [face.landmarks for face in result.faces] == [heads[0]]
    assert not result.mask[:, 73:].any()
    assert choosy.find(image) == (heads[0],)
    assert len(choosy.segment_faces(image, heads).faces) == 2


def test_the_smallest_of_the_faces_wanted_tell_of_others_that_were_missed() -> None:
    image, faces = photo((20, 40, 50)), [face_at(20, 40, 50), face_at(100, 10, 15), face_at(140, 10, 16)]
    for settings, expected in (({}, 1), ({"select": "largest"}, 0), ({"min_side_px": 15.5}, 0)):
        one = segmenter(faces, Config.model_validate({"faces": settings}))
        assert one.segment(image).at_limit == expected
        assert one.segment_faces(image, faces).at_limit == 0
    doubled = Config.model_validate({"detector": {"upsample": 1}})
    assert segmenter(faces, doubled).segment(image).at_limit == 0
    assert segmenter([*faces, face_at(160, 60, 7)], doubled).segment(image).at_limit == 1


def test_soft_masks_are_made_when_asked_for() -> None:
    image = photo((20, 40, 50))
    config = Config.model_validate({"output": {"soft_masks": True}})
    assert segmenter([face_at(20, 40, 50)]).segment(image).alpha is None
    alpha = segmenter([face_at(20, 40, 50)], config).segment(image).alpha
    assert alpha is not None
    assert alpha.shape == image.shape[:2]
    assert alpha[65, 45] == 255


def test_refinement_is_applied() -> None:
    image = photo((20, 40, 50))
    image[60:66, 40:46] = 0
    config = Config.model_validate({"refine": {"fill_holes": True}})
    assert segmenter([face_at(20, 40, 50)]).segment(image).mask[63, 43] == 0
    filled = segmenter([face_at(20, 40, 50)], config).segment(image)
    assert filled.mask[63, 43] == 255
    assert filled.instances[63, 43] == 1


def face_with_jaw() -> FaceLandmarks:
    """The face at 20, 40 of 50 pixels with a jaw line around the lower half of its circle."""
    found = face_at(20, 40, 50)
    points = found.points.copy()
    angles = np.linspace(0, np.pi, 17)
    points[:17] = np.stack([45 - 25 * np.cos(angles), 65 + 25 * np.sin(angles)], 1).round()
    points[27], points[30] = (45, 55), (45, 70)
    points[19], points[24] = (35, 50), (55, 50)
    return FaceLandmarks(points, found.detection)


def test_the_neck_is_held_to_the_jaw_line() -> None:
    image = photo((20, 40, 50))
    image[88:96, 43:47] = image[65, 45]  # as bright as the face, and below it
    face = face_with_jaw()
    masks = [
        segmenter([face], Config.model_validate({"scores": {"jaw_penalty": penalty}}), side_px=64)
        .segment(image)
        .mask
        for penalty in (0, 1e6)
    ]
    assert masks[0][94:].any()
    assert not masks[1][94:].any()
    assert (masks[1][45:80, 35:55] == masks[0][45:80, 35:55]).all()


def test_a_jaw_line_through_the_middle_of_the_networks_face_is_not_believed() -> None:
    image = photo((20, 40, 50))
    image[70:105, 20:70] = image[65, 45]  # the face goes on a good way below
    face = face_with_jaw()
    settings = {"scores": {"jaw_penalty": 1e6, "jaw_support": 1e6}}
    held = segmenter([face], Config.model_validate(settings)).segment(image)
    alone = segmenter([face]).segment(image)
    np.testing.assert_array_equal(held.mask, alone.mask)
    assert held.mask[93, 45] == 255


def two_heads() -> tuple[Pixels, list[FaceLandmarks]]:
    """One bright picture around two heads side by side: the network alone cannot tell them apart."""
    image = photo((20, 40, 40), (66, 40, 40))
    image[45:75, 30:100] = 255
    return image, [with_outline(40, 60, 20), with_outline(86, 60, 20)]


def with_outline(x: int, y: int, radius: int) -> FaceLandmarks:
    """An upright head around x, y: the jaw on the lower half of a circle, all else in it."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([np.cos(angles), np.sin(angles)], 1)
    points[17:27] = np.stack([np.linspace(-0.7, 0.7, 10), np.full(10, -0.5)], 1)
    points[27:36] = np.stack([np.zeros(9), np.linspace(-0.3, 0.2, 9)], 1)
    points[36:48] = np.stack([np.linspace(-0.6, 0.6, 12), np.full(12, -0.3)], 1)
    points[48:68] = np.stack([np.linspace(-0.4, 0.4, 20), np.full(20, 0.5)], 1)
    box = Box(x - radius, y - radius, 2 * radius, 2 * radius)
    placed = np.asarray((points * radius + [x, y]).round(), np.int32)
    return FaceLandmarks(placed, Detection(box, 1.0, "hog"))


def test_the_neighbours_pixels_belong_to_the_neighbour() -> None:
    image, heads = two_heads()
    alone = segmenter(heads, Config.model_validate({"scores": {**NO_JAW, "neighbours": False}})).segment(
        image
    )
    told = segmenter(heads, Config.model_validate({"scores": NO_JAW})).segment(image)
    assert uncrop_mask(alone.faces[0].mask, alone.faces[0].crop)[60, 74] == 255
    first, second = (uncrop_mask(face.mask, face.crop) for face in told.faces)
    assert not first[:, 73:].any()
    assert not second[:, :53].any()
    assert np.count_nonzero(told.mask != alone.mask) < 20  # single pixels of the edge
    assert (told.instances[60, 22:63] == 1).all() and (told.instances[60, 64:104] == 2).all()


def test_a_head_that_is_not_wanted_keeps_its_pixels_too() -> None:
    image, heads = two_heads()
    settings = {"scores": NO_JAW, "faces": {"select": "largest"}}
    result = segmenter(heads, Config.model_validate(settings)).segment(image)
    assert len(result.faces) == 1
    assert not result.mask[:, 73:].any()


def test_a_head_found_twice_keeps_its_pixels_and_one_head_is_left_as_it_is() -> None:
    image = photo((20, 40, 40))
    twice = [with_outline(40, 60, 20), with_outline(44, 62, 20)]
    settings = Config.model_validate({"scores": NO_JAW})
    off = Config.model_validate({"scores": {**NO_JAW, "neighbours": False}})
    for heads in (twice, twice[:1]):
        with_rule, without = (segmenter(heads, config).segment(image) for config in (settings, off))
        np.testing.assert_array_equal(with_rule.instances, without.instances)


class Shy(BrightnessEngine):
    """Takes what lies right of the middle for no face as long as much of the crop is bright."""

    def predict(self, batch: Float32Array) -> Float32Array:
        scores = super().predict(batch)
        crowded = (batch[:, 0] > 0).mean(axis=(1, 2)) > 0.25
        scores[crowded, 1, :, batch.shape[3] // 2 :] = -50
        return scores


def test_skin_beside_a_face_that_touches_is_looked_at_again_with_that_face_hidden() -> None:
    image, heads = photo((20, 40, 40), (61, 40, 40)), [with_outline(40, 60, 20), with_outline(81, 60, 20)]
    one = segmenter(heads, Config.model_validate({"scores": NO_JAW}), Shy(), side_px=128)
    pairs = [(head, frame_face(image, head, CropConfig())) for head in heads]
    once, shown = one.decide(one.score(pairs, []), (200, 120)), one.segment(image)
    assert once.instances[60, 50] == 0
    assert shown.instances[60, 50] == 1
    assert (shown.instances[once.instances > 0] == once.instances[once.instances > 0]).all()


def test_faces_are_hidden_where_they_touch_only() -> None:
    image, heads = two_heads()
    image[:] = 200
    points = [head.points for head in heads]
    crop = crop_face(image, Box(10, 30, 70, 60), 1)
    scores = CropScores(np.ones((70, 60), np.float32), crop, (60, 70))
    instances = np.zeros(image.shape[:2], np.uint8)
    instances[50:70, 25:55] = 1
    instances[50:70, 64:70] = 2  # the outline of the first head ends at 60, and is 40 pixels wide
    assert neighbours_hidden(scores, 1, points, instances) is None
    instances[50:70, 61:70] = 2
    hidden = neighbours_hidden(scores, 1, points, instances)
    assert hidden is not None
    expected = np.where((instances == 2)[..., None], np.array(HIDDEN_RGB, np.uint8), image)
    np.testing.assert_array_equal(hidden.pixels, np.rot90(expected[30:90, 10:80], 1))
    assert (crop.pixels == 200).all()
    assert neighbours_hidden(scores, 1, [points[0], points[0] + 2], instances) is None
    assert neighbours_hidden(scores, 1, points, np.minimum(instances, 1)) is None


def test_a_small_crop_is_face_up_to_the_jaw_line() -> None:
    image = photo((20, 40, 50))
    image[88:91, 43:48] = 0  # the chin, up to the line, lost in a shadow

    def mask(support: float, side_px: int) -> Pixels:
        config = Config.model_validate({"scores": {"jaw_support": support}})
        return segmenter([face_with_jaw()], config, side_px=side_px).segment(image).mask

    without, supported = mask(0, 128), mask(1e6, 128)
    assert not without[89:91, 44:47].any()
    assert supported[89:91, 44:47].all()
    assert (supported[45:80, 35:55] == without[45:80, 35:55]).all()
    np.testing.assert_array_equal(mask(1e6, 16), mask(0, 16))  # the crop is more than twice as large


def test_one_failing_face_costs_only_itself() -> None:
    image = photo((20, 40, 50))
    faces = [face_at(20, 40, 50), face_at(140, 60, 40)]
    result = segmenter(faces, engine=FailsOnDark()).segment(image)
    assert result.status == "partial"
    assert len(result.faces) == 1
    assert [(error.stage, error.type) for error in result.errors] == [("network", "EngineError")]
    assert "does not like the dark" in result.errors[0].message
    assert iou(result, image) > 0.93


def test_when_every_face_fails_so_does_the_photo() -> None:
    with pytest.raises(EngineError, match="the dark"):
        segmenter([face_at(20, 40, 50)], engine=FailsOnDark()).segment(photo())
    with pytest.raises(SegmentationError, match="none of 2 faces"):
        segmenter([face_at(20, 40, 50), face_at(120, 40, 50)], engine=FailsOnDark()).segment(photo())


def test_a_face_whose_crop_is_empty_is_an_error() -> None:
    with pytest.raises(SegmentationError, match="its crop is empty"):
        segmenter([face_at(0, 0, 1)]).segment(photo(size_wh=(1, 1)))


def test_errors_of_dlib_become_ours() -> None:
    broken = PhotoSegmenter(
        Config(), FixedFinder([], RuntimeError("bad alloc")), FaceNetwork(BrightnessEngine(), (32, 32))
    )
    with pytest.raises(DetectionError, match=r"search for faces failed.*bad alloc"):
        broken.segment(photo())


def test_wrong_pictures_are_refused() -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        for refusing in (segmenter([]).segment, segmenter([]).find):
            with pytest.raises(ValueError, match=r"image: expected \(H, W, 3\) uint8"):
                refusing(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"image: expected \(H, W, 3\) uint8"):
            segmenter([]).segment_faces(wrong, [])  # type: ignore[arg-type]


def test_the_photo_is_not_changed() -> None:
    image = photo((20, 40, 50))
    before = image.copy()
    segmenter([face_at(20, 40, 50)]).segment(image)
    assert (image == before).all()
