"""The network stage with small engines: preprocessing against a plain restatement, batches, the decision."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array
from landmarks.geometry import Box
from pipeline.crop import FaceCrop, crop_face
from pipeline.engines.base import EngineInfo
from pipeline.errors import ModelFormatError, SegmentationError
from pipeline.network import MEAN_BGR, FaceNetwork


class RecordingEngine:
    """Keeps what it was given; the face score of a pixel is its blue value, mean added again."""

    info = EngineInfo("recording", "1", "cpu", "f32", 1)

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes
        self.batches: list[Float32Array] = []

    def load(self) -> None:
        self.batches.clear()

    def predict(self, batch: Float32Array) -> Float32Array:
        self.batches.append(batch.copy())
        count, _, height, width = batch.shape
        scores = np.zeros((count, self.classes, height, width), np.float32)
        scores[:, 15 if self.classes == 21 else 1] = batch[:, 0] + MEAN_BGR[0]
        scores[:, 2:15] = 1e6  # other classes must not matter: the rule is no argmax over all
        return scores

    def close(self) -> None:
        self.batches.clear()


class OddEngine(RecordingEngine):
    """Gives what it is told to give."""

    def __init__(self, scores: Float32Array) -> None:
        super().__init__()
        self.scores = scores

    def predict(self, batch: Float32Array) -> Float32Array:
        return self.scores


def face(width: int, height: int, seed: int = 3) -> FaceCrop:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return crop_face(image, Box(0, 0, width, height))


def test_input_is_bgr_minus_mean_stretched_with_cubic_interpolation() -> None:
    engine = RecordingEngine()
    crop = face(40, 30)
    FaceNetwork(engine, (16, 24)).scores([crop])
    (batch,) = engine.batches
    bgr = cv2.resize(crop.pixels[:, :, ::-1].copy(), (16, 24), interpolation=cv2.INTER_CUBIC).astype(
        np.float64
    )
    assert batch.shape == (1, 3, 24, 16)
    assert batch.dtype == np.float32
    for channel, mean in enumerate((104.00698793, 116.66876762, 122.67891434)):
        np.testing.assert_allclose(batch[0, channel], bgr[:, :, channel] - mean, atol=1e-4)


def test_a_crop_of_the_networks_size_is_not_resampled() -> None:
    engine = RecordingEngine()
    crop = face(16, 16)
    (scores,) = FaceNetwork(engine, (16, 16)).scores([crop])
    np.testing.assert_allclose(scores.margin, crop.pixels[:, :, 2], atol=1e-4)


@pytest.mark.parametrize(
    ("size_wh", "shape_hw"),
    [((40, 20), (8, 16)), ((16, 50), (50, 16)), ((8, 10), (10, 8)), ((33, 33), (16, 16))],
)
def test_without_scale_crops_only_shrink_to_the_width_and_keep_their_shape(
    size_wh: tuple[int, int], shape_hw: tuple[int, int]
) -> None:
    engine = RecordingEngine()
    (scores,) = FaceNetwork(engine, (16, 16), scale=False).scores([face(*size_wh)])
    assert scores.margin.shape == shape_hw


def test_larger_crops_are_limited_by_area_first() -> None:
    engine = RecordingEngine()
    network = FaceNetwork(engine, (16, 16), max_side_px=20)
    crop = face(60, 30)
    assert network.limited_size_wh((60, 30)) == (20, 10)
    assert network.limited_size_wh((1000, 1)) == (20, 1)
    (scores,) = network.scores([crop])
    assert scores.limited_size_wh == (20, 10)
    small = cv2.resize(crop.pixels[:, :, ::-1].copy(), (20, 10), interpolation=cv2.INTER_AREA)
    stretched = cv2.resize(small, (16, 16), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    np.testing.assert_allclose(engine.batches[0][0], stretched.transpose(2, 0, 1) - MEAN_BGR[:, None, None])


def test_batches_keep_the_order_and_their_size() -> None:
    engine = RecordingEngine()
    crops = [face(16, 16, seed) for seed in range(7)]
    together = FaceNetwork(engine, (16, 16), batch_size=3).scores(crops)
    assert [len(batch) for batch in engine.batches] == [3, 3, 1]
    for crop, scores in zip(crops, together, strict=True):
        assert scores.crop is crop
        np.testing.assert_allclose(scores.margin, crop.pixels[:, :, 2], atol=1e-4)


def test_crops_of_different_shapes_go_in_batches_of_their_own() -> None:
    engine = RecordingEngine()
    sizes = [(8, 8), (8, 9), (8, 8)]
    scores = FaceNetwork(engine, (16, 16), scale=False).scores([face(*size) for size in sizes])
    assert [of_crop.margin.shape for of_crop in scores] == [(8, 8), (9, 8), (8, 8)]
    assert sorted(len(batch) for batch in engine.batches) == [1, 2]


def test_no_crops_need_no_engine() -> None:
    engine = RecordingEngine()
    assert FaceNetwork(engine, (16, 16)).scores([]) == []
    assert engine.batches == []


def test_face_of_21_classes_is_channel_15_against_channel_0() -> None:
    crop = face(16, 16)
    (two,) = FaceNetwork(RecordingEngine(2), (16, 16)).scores([crop])
    (many,) = FaceNetwork(RecordingEngine(21), (16, 16)).scores([crop])
    np.testing.assert_array_equal(two.margin, many.margin)


def test_mirror_averages_with_the_mirrored_crop() -> None:
    class LeftEngine(RecordingEngine):
        def predict(self, batch: Float32Array) -> Float32Array:
            scores = super().predict(batch)
            scores[:, 1, :, 0] += 100
            return scores

    crop = face(4, 4)
    (plain,) = FaceNetwork(RecordingEngine(), (4, 4)).scores([crop])
    (mirrored,) = FaceNetwork(LeftEngine(), (4, 4), mirror=True).scores([crop])
    np.testing.assert_allclose(mirrored.margin - plain.margin, [[50, 0, 0, 50]] * 4, atol=1e-3)
    assert (plain.mirror_disagreement, mirrored.mirror_disagreement) == (None, 0.0)


def test_it_is_told_how_far_the_mirrored_crop_is_apart() -> None:
    class Lopsided(RecordingEngine):
        def predict(self, batch: Float32Array) -> Float32Array:
            scores = np.zeros((len(batch), 2, 4, 8), np.float32)
            scores[:, 1, :, :5] = 1  # the left five of eight columns, whatever is shown
            scores[:, 0, :, 5:] = 1
            return scores

    crops = [face(8, 4, seed) for seed in range(3)]
    for scores in FaceNetwork(Lopsided(), (8, 4), mirror=True, batch_size=2).scores(crops):
        assert scores.mirror_disagreement == pytest.approx(6 / 8)  # columns 3 and 4 alone are face in both


@pytest.mark.parametrize(
    "shape", [(1, 2, 16, 15), (2, 2, 16, 16), (2, 16, 16)], ids=["width", "batch", "dimensions"]
)
def test_scores_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    engine = OddEngine(np.zeros(shape, np.float32))
    with pytest.raises(SegmentationError, match=r"scores of shape .* expected \(1, classes, 16, 16\)"):
        FaceNetwork(engine, (16, 16)).scores([face(16, 16)])


def test_scores_that_are_not_finite_are_refused() -> None:
    engine = OddEngine(np.full((1, 2, 16, 16), np.inf, np.float32))
    engine.scores[:, 0] = 0
    with pytest.raises(SegmentationError, match="not finite"):
        FaceNetwork(engine, (16, 16)).scores([face(16, 16)])


def test_unknown_number_of_classes_is_refused() -> None:
    with pytest.raises(ModelFormatError, match=r"7 classes.*2 \(face is 1\)"):
        FaceNetwork(OddEngine(np.zeros((1, 7, 16, 16), np.float32)), (16, 16)).scores([face(16, 16)])
