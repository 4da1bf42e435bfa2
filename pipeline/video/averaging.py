"""Network scores averaged over neighbouring frames, carried along the motion inside the crop.

Crops move with the face, so what is left between two of them is small; it is found by optical flow on what
the network sees. A neighbour has a say where it shows the same thing: not behind a hand that has come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from pipeline.scores import CropScores
from pipeline.video.flow import carried, chained, flow_between

LOOK_DIFFERENCE = 10.0
"""Difference in grey, 0-255, at which a neighbour's weight has fallen to 1/e."""

MARGIN_LIMIT = 8.0
"""Scores beyond this are as sure as can be; without a limit one frame's extremes would outvote the others."""

_BLUR_PX = 5
_serials = count()


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores of one face in one frame, with what is needed to carry them.

    Attributes
    ----------
    scores
        Of the network.
    grey
        (grid height, grid width) uint8: the crop on the network's grid.
    """

    scores: CropScores
    grey: NDArray[np.uint8]
    _serial: int = field(default_factory=lambda: next(_serials), repr=False)
    _ways: dict[int, Float32Array] = field(default_factory=dict, repr=False)

    def way_to(self, other: Scored) -> Float32Array:
        """The motion to another one, found once: a frame's neighbours go the same way a frame later."""
        flow = self._ways.get(other._serial)
        if flow is None:
            flow = self._ways[other._serial] = flow_between(self.grey, other.grey)
        return flow


def scored(scores: CropScores) -> Scored:
    """Keep scores together with their crop's grey picture."""
    grey = cv2.cvtColor(scores.crop.pixels, cv2.COLOR_RGB2GRAY)
    shrinks = grey.shape[0] > scores.margin.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return Scored(scores, np.asarray(cv2.resize(grey, scores.grid_size_wh, interpolation=method), np.uint8))


def averaged(now: Scored, neighbours: Mapping[int, Scored]) -> CropScores:
    """Average a face's scores over neighbouring frames.

    Parameters
    ----------
    now
        The frame that is wanted.
    neighbours
        Frames before (-1, -2, ...) and after (1, 2, ...) -> the same face there. Only an unbroken row from
        the frame on is used: the way to the second leads through the first.

    Returns
    -------
    CropScores
        On the grid of ``now``.
    """
    total = np.ones(now.grey.shape, np.float32)
    margin = _limited(now.scores)
    for direction in (-1, 1):
        flow: Float32Array | None = None
        last = now
        for step in count(1):
            other = neighbours.get(direction * step)
            if other is None or not _comparable(other, now):
                break
            onward = last.way_to(other)
            flow = onward if flow is None else chained(flow, onward)
            weight = _agreement(now.grey, other.grey, flow)
            margin = margin + weight * carried(_limited(other.scores), flow)
            total = total + weight
            last = other
    return replace(now.scores, margin=np.asarray(margin / total, np.float32))


def _comparable(other: Scored, now: Scored) -> bool:
    return other.grey.shape == now.grey.shape and other.scores.crop.turn == now.scores.crop.turn


def _limited(scores: CropScores) -> NDArray[np.float32]:
    return np.clip(scores.margin, -MARGIN_LIMIT, MARGIN_LIMIT)


def _agreement(grey: NDArray[np.uint8], other: NDArray[np.uint8], flow: Float32Array) -> NDArray[np.float32]:
    """Weight 0-1 of a neighbour at every pixel: does it show the same there; 0 beyond its edge."""
    there = carried(other, flow)
    inside = carried(np.full(other.shape, 255, np.uint8), flow)
    difference = cv2.blur(cv2.absdiff(grey, there), (_BLUR_PX, _BLUR_PX)).astype(np.float32)
    weight = np.exp(-((difference / LOOK_DIFFERENCE) ** 2))
    return np.asarray(np.where(inside > 250, weight, 0), np.float32)
