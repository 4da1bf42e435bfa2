"""Crops in, scores out: preprocessing and the engine. One code for every engine.

The formulas are those of upstream's ``face_seg.cpp`` (Nirkin et al., "On Face Segmentation, Face Swapping,
and Face Perception", FG 2018): BGR minus the mean, stretched with cubic interpolation, and a pixel is face
where the score of channel 0 is below the score of the face channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array, Pixels
from pipeline.crop import FaceCrop
from pipeline.engines.base import Engine
from pipeline.errors import ModelFormatError, SegmentationError
from pipeline.models.catalogue import ModelFiles
from pipeline.scores import CropScores, disagreement

MEAN_BGR = np.array([104.00698793, 116.66876762, 122.67891434], np.float32)
"""Mean of the training pictures, BGR, 0-255 (face_seg.h)."""

FACE_CHANNEL = {2: 1, 21: 15}
"""Number of classes -> channel of the face: face_seg.cpp; 15 is "person" of PASCAL VOC's 21 classes."""


def face_channel_of(classes: int, known: int | None = None, path: str = "network.model") -> int:
    """Which channel of a network's output is the face.

    Parameters
    ----------
    classes
        Channels of the output.
    known
        The answer, if the network's entry has it.
    path
        What messages name.

    Raises
    ------
    ModelFormatError
        Nobody knows.
    """
    channel = FACE_CHANNEL.get(classes) if known is None else known
    if channel is None or not 0 < channel < classes:
        raise ModelFormatError(
            path,
            f"the network has {classes} classes",
            "Known are 2 (face is 1) and 21 (face is 15); use such a network.",
        )
    return channel


class FaceNetwork:
    """A face segmentation network with everything around its engine.

    Parameters
    ----------
    engine
        A loaded engine.
    input_size_wh
        Width and height of the network's input as its prototxt gives them, pixels.
    scale
        True: stretch every crop to that size. False: only shrink crops that are wider, keep their shape.
    max_side_px
        Crops with a longer side are first shrunk to this, by area; None for no limit.
    mirror
        Average the scores with those of the mirrored crop.
    batch_size
        Crops that go through the engine at once, at most.
    face_channel
        Channel of the score that is the face; None: what `FACE_CHANNEL` says for the number of classes.
    model
        The network's files, for who wants to say what runs; None: not known.
    """

    def __init__(
        self,
        engine: Engine,
        input_size_wh: tuple[int, int],
        *,
        scale: bool = True,
        max_side_px: int | None = None,
        mirror: bool = False,
        batch_size: int = 8,
        face_channel: int | None = None,
        model: ModelFiles | None = None,
    ) -> None:
        self.engine = engine
        self.input_size_wh = input_size_wh
        self.scale = scale
        self.max_side_px = max_side_px
        self.mirror = mirror
        self.batch_size = batch_size
        self.face_channel = face_channel
        self.model = model

    def scores(self, crops: Sequence[FaceCrop]) -> list[CropScores]:
        """Face score minus background score of every crop, on the network's grid.

        Parameters
        ----------
        crops
            Crops of any sizes.

        Returns
        -------
        scores
            One a crop, in the same order.

        Raises
        ------
        EngineError
            The engine failed.
        SegmentationError
            The engine gave an array of another shape than the batch asks for, or one that is not finite.
        ModelFormatError
            The network has a number of classes with no known face channel.
        """
        inputs = [self._preprocess(crop.pixels) for crop in crops]
        margins: dict[int, tuple[Float32Array, float | None]] = {}
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, array in enumerate(inputs):
            by_shape.setdefault(array.shape, []).append(index)
        for indices in by_shape.values():
            for start in range(0, len(indices), self.batch_size):
                chosen = indices[start : start + self.batch_size]
                batch = np.stack([inputs[index] for index in chosen])
                for index, predicted in zip(chosen, self._predict(batch), strict=True):
                    margins[index] = predicted
        return [
            CropScores(margins[index][0], crop, self.limited_size_wh(crop.size_wh), margins[index][1])
            for index, crop in enumerate(crops)
        ]

    def limited_size_wh(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Width and height of a crop after ``max_side_px``."""
        longest = max(size_wh)
        if self.max_side_px is None or longest <= self.max_side_px:
            return size_wh
        ratio = self.max_side_px / longest
        return max(round(size_wh[0] * ratio), 1), max(round(size_wh[1] * ratio), 1)

    def _preprocess(self, pixels: Pixels) -> Float32Array:
        """(h, w, 3) uint8 RGB to (3, H, W) float32 BGR minus mean."""
        size_wh = (pixels.shape[1], pixels.shape[0])
        limited_wh = self.limited_size_wh(size_wh)
        image: NDArray[Any] = pixels
        if limited_wh != size_wh:
            image = cv2.resize(image, limited_wh, interpolation=cv2.INTER_AREA)
        if self.scale:
            if limited_wh != self.input_size_wh:
                image = cv2.resize(image, self.input_size_wh, interpolation=cv2.INTER_CUBIC)
        elif limited_wh[0] > self.input_size_wh[0]:
            ratio = float(np.float32(self.input_size_wh[0]) / np.float32(limited_wh[0]))  # as in C++
            image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)
        centred = np.empty((3, *image.shape[:2]), np.float32)
        for plane, mean, channel in zip(centred, MEAN_BGR, reversed(cv2.split(image)), strict=True):
            np.subtract(channel, mean, out=plane)
        return centred

    def _predict(self, batch: Float32Array) -> list[tuple[Float32Array, float | None]]:
        """(n, 3, H, W) to n margins (H, W), each with the disagreement of crop and mirror image."""
        margins = self._margin_of_scores(batch)
        if not self.mirror:
            return [(margin, None) for margin in margins]
        mirrored = self._margin_of_scores(np.ascontiguousarray(batch[:, :, :, ::-1]))[:, :, ::-1]
        means = (margins + mirrored) * np.float32(0.5)
        apart = [disagreement(one, other) for one, other in zip(margins, mirrored, strict=True)]
        return list(zip(means, apart, strict=True))

    def _margin_of_scores(self, batch: Float32Array) -> Float32Array:
        scores = self.engine.predict(batch)
        count, _, height, width = batch.shape
        if scores.ndim != 4 or scores.shape[0] != count or scores.shape[2:] != (height, width):
            raise SegmentationError(
                f"the engine gave scores of shape {scores.shape} for a batch of shape {batch.shape}; "
                f"expected ({count}, classes, {height}, {width})"
            )
        channel = face_channel_of(scores.shape[1], self.face_channel)
        margin = np.asarray(scores[:, channel] - scores[:, 0], np.float32)
        if not np.isfinite(margin).all():
            raise SegmentationError(
                "the engine gave scores that are not finite; check the weights, or use engine.precision: f32"
            )
        return margin
