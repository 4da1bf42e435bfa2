"""Network scores averaged over neighbouring frames, carried along the motion inside the crop.

Crops move with the face, so what is left between two of them is small; it is found by optical flow on what
the network sees. Where a head turns quickly, its landmarks say most of the way beforehand. A neighbour has a
say where it shows the same thing: not behind a hand that has come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Float64Array, Pixels
from pipeline.scores import CropScores
from pipeline.video.flow import chained, flow_between, flow_from, places, sampled

LOOK_DIFFERENCE = 10.0
"""Difference in grey, 0-255, at which a neighbour's weight has fallen to 1/e."""

MARGIN_LIMIT = 8.0
"""Scores beyond this are as sure as can be; without a limit one frame's extremes would outvote the others."""

_BLUR_PX = 5
_BEYOND = 1e4  # grey of what lies beyond a neighbour's edge: like nothing
_serials = count()


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of one face in one frame, with what is needed to carry them.

    Attributes
    ----------
    scores
        Of the network.
    grey
        (grid height, grid width) uint8: the crop on the network's grid.
    points
        (n, 2) landmarks x, y on that grid; None: not known.
    """

    scores: CropScores
    grey: Pixels
    points: Float64Array | None = None
    _serial: int = field(default_factory=lambda: next(_serials), repr=False)
    _ways: dict[int, Float32Array] = field(default_factory=dict, repr=False)

    @cached_property
    def layers(self) -> Float32Array:
        """(grid height, grid width, 2) float32: the grey picture, and the limited margin."""
        limited = np.clip(self.scores.margin, -MARGIN_LIMIT, MARGIN_LIMIT)
        return np.stack([self.grey.astype(np.float32), limited], axis=-1)

    def way_to(self, other: Scored) -> Float32Array:
        """The motion to another one, found once: a frame's neighbours go the same way a frame later."""
        flow = self._ways.get(other._serial)
        if flow is None:
            flow = self._ways[other._serial] = self._flow_to(other)
        return flow

    def _flow_to(self, other: Scored) -> Float32Array:
        if self.points is None or other.points is None:
            return flow_between(self.grey, other.grey)
        return flow_from(_similarity(self.points, other.points), self.grey, other.grey)


def scored(scores: CropScores, points: Float64Array | None = None) -> Scored:
    """Keep scores together with their crop's grey picture.

    Parameters
    ----------
    scores
        Of the network.
    points
        (n, 2) landmarks x, y in pixels of the frame; None: not known.
    """
    grey = cv2.cvtColor(scores.crop.pixels, cv2.COLOR_RGB2GRAY)
    shrinks = grey.shape[0] > scores.margin.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(grey, scores.grid_size_wh, interpolation=method), np.uint8)
    return Scored(scores, small, None if points is None else scores.to_grid(points))


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
    margin = now.layers[..., 1]
    for direction in (-1, 1):
        flow: Float32Array | None = None
        last = now
        for step in count(1):
            other = neighbours.get(direction * step)
            if other is None or not _comparable(other, now):
                break
            onward = last.way_to(other)
            flow = onward if flow is None else chained(flow, onward)
            there = sampled(other.layers, places(flow), outside=_BEYOND)
            weight = _agreement(now.layers[..., 0], there[..., 0])
            margin = margin + weight * np.clip(there[..., 1], -MARGIN_LIMIT, MARGIN_LIMIT)
            total = total + weight
            last = other
    return replace(now.scores, margin=np.asarray(margin / total, np.float32))


def _comparable(other: Scored, now: Scored) -> bool:
    return other.grey.shape == now.grey.shape and other.scores.crop.turn == now.scores.crop.turn


def _agreement(grey: Float32Array, there: Float32Array) -> Float32Array:
    """Weight 0-1 of a neighbour at every pixel: does it show the same there; 0 beyond its edge."""
    difference = np.asarray(cv2.blur(cv2.absdiff(grey, there), (_BLUR_PX, _BLUR_PX)), np.float32)
    return np.asarray(cv2.exp(-((difference / np.float32(LOOK_DIFFERENCE)) ** 2)), np.float32)


def _similarity(first: Float64Array, second: Float64Array) -> Float64Array:
    """(2, 3) turn, scale and shift that bring points nearest to others, by least squares."""
    origin, target = first.mean(axis=0), second.mean(axis=0)
    from_z = (first - origin) @ np.array([1, 1j])
    to_z = (second - target) @ np.array([1, 1j])
    factor = np.vdot(from_z, to_z) / max(float(np.vdot(from_z, from_z).real), 1e-9)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target - linear @ origin])
