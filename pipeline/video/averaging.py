"""Network scores averaged over neighbouring frames, carried along the motion inside the crop.

Crops move with the face, so what is left between two of them is small; it is found by optical flow on what
the network sees. Where a head turns quickly, its landmarks say most of the way beforehand. A neighbour has a
say where it shows the same thing: not behind a hand that has come in.

The nearest frames are carried on the network's grid, those beyond them on one of half its sides, which costs
a quarter and is as good: the edge itself lies where this frame and the nearest ones see it.
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
from pipeline.video.flow import chained, flow_between, flow_from, places, resized, sampled

LOOK_DIFFERENCE = 12.0
"""Difference in grey, 0-255, at which a neighbour's weight has fallen to 1/e."""

MARGIN_LIMIT = 8.0
"""Scores beyond this are as sure as can be; without a limit one frame's extremes would outvote the others."""

_BLUR_PX, _COARSE_BLUR_PX = 5, 3
_BEYOND = (1e4, 0.0)  # grey and margin of what lies beyond a neighbour's edge: like nothing
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
    _coarse_ways: dict[int, Float32Array] = field(default_factory=dict, repr=False)

    @cached_property
    def layers(self) -> Float32Array:
        """(grid height, grid width, 2) float32: the grey picture, and the limited margin."""
        limited = np.clip(self.scores.margin, -MARGIN_LIMIT, MARGIN_LIMIT)
        return np.stack([self.grey.astype(np.float32), limited], axis=-1)

    @cached_property
    def coarse_layers(self) -> Float32Array:
        """The same on a grid of half the sides."""
        size_wh = [max(side // 2, 1) for side in self.scores.grid_size_wh]
        return np.asarray(cv2.resize(self.layers, size_wh, interpolation=cv2.INTER_AREA), np.float32)

    @cached_property
    def coarse_grey(self) -> Pixels:
        """The grey picture on the grid of `coarse_layers`."""
        height, width = self.coarse_layers.shape[:2]
        return np.asarray(cv2.resize(self.grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def way_to(self, other: Scored) -> Float32Array:
        """The motion to another one, found once: a frame's neighbours go the same way a frame later."""
        flow = self._ways.get(other._serial)
        if flow is None:
            width, height = self.scores.grid_size_wh
            flow = self._ways[other._serial] = resized(self.coarse_way_to(other), (width, height))
        return flow

    def coarse_way_to(self, other: Scored) -> Float32Array:
        """The same on the grid of `coarse_layers`, where it is looked for: it is no less exact there."""
        flow = self._coarse_ways.get(other._serial)
        if flow is None:
            flow = self._coarse_ways[other._serial] = self._flow_to(other)
        return flow

    def _flow_to(self, other: Scored) -> Float32Array:
        if self.points is None or other.points is None:
            return flow_between(self.coarse_grey, other.coarse_grey, halvings=1)
        similarity = _similarity(self._coarse(self.points), other._coarse(other.points))
        return flow_from(similarity, self.coarse_grey, other.coarse_grey)

    def _coarse(self, points: Float64Array) -> Float64Array:
        """Points of the grid on that of `coarse_layers`; the outer edges of both are one."""
        height, width = self.coarse_layers.shape[:2]
        return (points + 0.5) * (np.array([width, height]) / self.scores.grid_size_wh) - 0.5


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
    # Up to here linear sampling skips no pixel, at a tenth of the price.
    shrinks = grey.shape[0] > 2 * scores.margin.shape[0]
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
    near, far = _Sum(now.layers, _BLUR_PX), _Sum(now.coarse_layers, _COARSE_BLUR_PX)
    for direction in (-1, 1):
        flow: Float32Array | None = None
        last = now
        for step in count(1):
            other = neighbours.get(direction * step)
            if other is None or not _comparable(other, last):
                break
            onward = last.coarse_way_to(other)
            if flow is None:
                near.add(other.layers, last.way_to(other))
                flow = onward
            else:
                flow = chained(flow, onward)
                far.add(other.coarse_layers, flow)
            last = other
    sums = near.sums + cv2.resize(far.sums, now.scores.grid_size_wh, interpolation=cv2.INTER_LINEAR)
    margin = (now.layers[..., 1] + sums[..., 1]) / (1 + sums[..., 0])
    return replace(now.scores, margin=np.asarray(margin, np.float32))


class _Sum:
    """What neighbours say of one frame's pixels, on one grid.

    Parameters
    ----------
    layers
        The frame's own.
    blur_px
        Side of the squares whose mean difference decides how much a neighbour may say.
    """

    def __init__(self, layers: Float32Array, blur_px: int) -> None:
        self._grey = np.ascontiguousarray(layers[..., 0])
        self._blur_px = blur_px
        self._weight = np.zeros_like(self._grey)
        self._margin = np.zeros_like(self._grey)

    @property
    def sums(self) -> Float32Array:
        """(h, w, 2) float32: weights, and weighted margins."""
        return np.asarray(cv2.merge([self._weight, self._margin]), np.float32)

    def add(self, layers: Float32Array, flow: Float32Array) -> None:
        """Add a neighbour to which the flow leads."""
        grey, margin = cv2.split(sampled(layers, places(flow), outside=_BEYOND))
        difference = cv2.blur(cv2.absdiff(self._grey, grey), (self._blur_px, self._blur_px))
        weight = cv2.exp(cv2.multiply(difference, difference, scale=-1 / LOOK_DIFFERENCE**2))
        cv2.accumulate(weight, self._weight)
        cv2.accumulateProduct(weight, margin, self._margin)


def _comparable(other: Scored, one: Scored) -> bool:
    """Whether one's grid can be carried to the other's: landmarks lead the way where crops lie otherwise."""
    led = one.points is not None and other.points is not None
    return other.grey.shape == one.grey.shape and (led or other.scores.crop.turn == one.scores.crop.turn)


def _similarity(first: Float64Array, second: Float64Array) -> Float64Array:
    """(2, 3) turn, scale and shift that bring points nearest to others, by least squares."""
    origin, target = first.mean(axis=0), second.mean(axis=0)
    from_z = (first - origin) @ np.array([1, 1j])
    to_z = (second - target) @ np.array([1, 1j])
    factor = np.vdot(from_z, to_z) / max(float(np.vdot(from_z, from_z).real), 1e-9)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target - linear @ origin])
