"""The whole chain against upstream's steps, written down a second time in OpenCV's own words.

Upstream: ``getFaceBBoxFromLandmarks`` (square) cuts the crop, ``FaceSeg::process`` of face_seg.cpp makes its
mask. Here the network is run by OpenCV's reader of Caffe's files, so that nothing is shared with the pipeline
but the photograph and the landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmarks.arrays import Pixels
from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.fillers import bilinear_kernel
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import load_config
from pipeline.loading import load_network
from pipeline.photo import PhotoSegmenter

CONFIGS = Path(__file__).parents[1] / "configs"
NET_SIDE = 100
FACES_AT = ((40, 60, 42), (150, 30, 140), (300, 120, 420))
"""Left, top and side of three faces' landmarks; crops smaller than the network, larger, above 350 pixels."""


class GivenFaces:
    """Finds the faces it was made with."""

    def __init__(self, faces: Sequence[FaceLandmarks]) -> None:
        self.faces = tuple(faces)

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        return self.faces


def face_at(left: int, top: int, side: int) -> FaceLandmarks:
    rng = np.random.default_rng(side)
    points = rng.integers((left, top), (left + side, top + round(side * 0.8)), (68, 2))
    return FaceLandmarks(points.astype(np.int32), Detection(Box(left, top, side, side), 1.0, "hog"))


def upstream_box(points: NDArray[Any], frame_size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width, height by getFaceBBoxFromLandmarks with square = true."""

    def rounded(value: float) -> int:
        return int(value + 0.5)

    def quotient(value: int, divisor: int) -> int:
        return int(value / divisor)

    width, height = frame_size_wh
    (xmin, ymin), (xmax, ymax) = points.min(0).tolist(), points.max(0).tolist()
    w, h = xmax - xmin + 1, ymax - ymin + 1
    deviation = [
        quotient(low + high, 2) - quotient(total, len(points))
        for low, high, total in ((xmin, xmax, points[:, 0].sum()), (ymin, ymax, points[:, 1].sum()))
    ]
    tall = np.float32(2) * max(np.float32(w) / np.float32(h), np.float32(1)) - np.float32(1)
    xmin -= rounded(0.1 * w) + abs(min(deviation[0], 0))
    xmax += rounded(0.1 * w) + max(deviation[0], 0)
    ymin -= rounded(float(np.float32(h) * tall)) + abs(min(deviation[1], 0))
    ymax += rounded(0.1 * h) + max(deviation[1], 0)
    xmin, xmax = (min(max(x, 0), width - 1) for x in (xmin, xmax))
    ymin, ymax = (min(max(y, 0), height - 1) for y in (ymin, ymax))
    side = max(xmax - xmin + 1, ymax - ymin + 1)
    xmin, ymin = (
        quotient(xmin + xmax, 2) - quotient(side - 1, 2),
        quotient(ymin + ymax, 2) - quotient(side - 1, 2),
    )
    xmax, ymax = min(xmin + side - 1, width - 1), min(ymin + side - 1, height - 1)
    xmin, ymin = max(xmin, 0), max(ymin, 0)
    return xmin, ymin, xmax - xmin, ymax - ymin


def upstream_process(net: cv2.dnn.Net, bgr: Pixels, *, scale: bool, postprocess: bool) -> Pixels:
    """FaceSeg::process: the mask (0 or 255) of a BGR picture, as large as the picture."""
    scaled: Any = bgr
    if not scale and bgr.shape[1] > NET_SIDE:
        ratio = float(np.float32(NET_SIDE) / np.float32(bgr.shape[1]))
        scaled = cv2.resize(bgr, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)
    if scale and bgr.shape[:2] != (NET_SIDE, NET_SIDE):
        scaled = cv2.resize(bgr, (NET_SIDE, NET_SIDE), interpolation=cv2.INTER_CUBIC)
    mean = (104.00698793, 116.66876762, 122.67891434)
    net.setInput(cv2.dnn.blobFromImage(scaled, 1.0, mean=mean, swapRB=False, crop=False))
    scores = net.forward()
    face = scores[0, 15 if scores.shape[1] == 21 else 1]
    mask = cv2.compare(face, scores[0, 0], cv2.CMP_GT)
    if postprocess:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    if mask.shape != bgr.shape[:2]:
        mask = cv2.resize(mask, (bgr.shape[1], bgr.shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(mask, np.uint8)


def upstream_mask(
    net: cv2.dnn.Net, photo: Pixels, points: NDArray[Any], *, scale: bool, postprocess: bool
) -> Pixels:
    """Mask of one face, as large as its crop; crops above 350 pixels go through 350."""
    x, y, width, height = upstream_box(points, (photo.shape[1], photo.shape[0]))
    crop = cv2.cvtColor(photo[y : y + height, x : x + width], cv2.COLOR_RGB2BGR)
    longest = max(width, height)
    if longest > 350:
        limited_wh = round(width * 350 / longest), round(height * 350 / longest)
        crop = cv2.resize(crop, limited_wh, interpolation=cv2.INTER_AREA)
    mask = upstream_process(net, np.asarray(crop, np.uint8), scale=scale, postprocess=postprocess)
    if mask.shape != (height, width):
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    return mask


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """A smooth coloured picture of 700 x 560 pixels."""
    coarse = np.random.default_rng(12).integers(0, 256, (14, 18, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (700, 560), interpolation=cv2.INTER_CUBIC), np.uint8)


def smooth_scores(network: CaffeNetwork) -> CaffeNetwork:
    """The network with bilinear deconvolutions: masks are then areas, not noise that smoothing wipes out."""
    blobs = [
        [
            bilinear_kernel(layer.blobs[0].shape)
            * np.eye(len(layer.blobs[0]), dtype=np.float32)[:, :, None, None]
        ]
        if layer.type == "Deconvolution"
        else layer.blobs
        for layer in network.layers
    ]
    return network.with_blobs(blobs)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Number of classes -> prototxt of a narrow FCN-8s with random weights."""
    folder = tmp_path_factory.mktemp("upstream")
    paths = {}
    for classes, seed in ((2, 18), (21, 9)):
        paths[classes] = folder / f"fcn8s_{classes}.prototxt"
        network = random_fcn8s(classes, (NET_SIDE, NET_SIDE), width_divisor=16, seed=seed)
        write_caffe(smooth_scores(network), paths[classes], paths[classes].with_suffix(".caffemodel"))
    return paths


@pytest.mark.parametrize("name", ["fcn8s.yaml", "fcn8s_300.yaml"])
@pytest.mark.parametrize("scale", [True, False], ids=["stretched", "scale off"])
@pytest.mark.parametrize("smooth", [False, True], ids=["raw", "smoothed"])
def test_masks_are_upstreams(
    name: str, scale: bool, smooth: bool, photo: Pixels, networks: dict[int, Path], tmp_path: Path
) -> None:
    prototxt = networks[21 if name == "fcn8s.yaml" else 2]
    config = load_config(
        CONFIGS / name,
        [
            f"network.model={prototxt}",
            f"network.scale={str(scale).lower()}",
            f"refine.smooth={str(smooth).lower()}",
            "engine.threads=1",
            f"engine.cache_directory={tmp_path}",
        ],
    )
    faces = [face_at(*place) for place in FACES_AT]
    segmenter = PhotoSegmenter(config, GivenFaces(faces), load_network(config))
    result = segmenter.segment(photo)
    segmenter.close()
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(prototxt.with_suffix(".caffemodel")))
    assert result.status == "ok"
    assert len(result.faces) == len(faces)
    for found in result.faces:
        expected = upstream_mask(net, photo, found.landmarks.points, scale=scale, postprocess=smooth)
        assert 0.02 < np.mean(expected > 0) < 0.98
        assert found.mask.shape == expected.shape
        assert np.array_equal(found.mask, expected)


def test_the_three_faces_meet_every_branch(photo: Pixels) -> None:
    sides = [
        max(upstream_box(face_at(*place).points, (photo.shape[1], photo.shape[0]))[2:]) for place in FACES_AT
    ]
    assert sides[0] < NET_SIDE < sides[1] < 350 < sides[2]
