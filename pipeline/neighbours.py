"""Several heads in one crop: whose face a pixel can be, by the landmarks of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from pipeline.crop import FaceCrop
from pipeline.outline import outline_points
from pipeline.scores import CropScores

TOLERANCE = 0.15
"""Head widths by which a pixel must lie nearer to the other head: the outline of a hidden head is a guess. On
80 made couples cheek to cheek this costs 0.0002 of the faces' pixels, 0.1 costs 0.0007."""

STEEPNESS = 80.0
"""The score of a pixel nearer to the other head is at most this much for every head width that is left up to
`TOLERANCE`: the other head wins what both claim before it is taken from the face altogether."""

SAME_HEAD = 0.5
"""Outlines that share more than this of the smaller one's area are one head found twice."""

TOUCHING = 0.05
"""Another face that comes so near to a head's outline, in widths of the head, is taken for an occluder by the
network now and then, and skin beside it, too. So far from the outline is believed what it sees without."""

HIDDEN_RGB = (30, 25, 20)
"""Pixels of other faces are made so dark before the network looks again. Grey, or the colour of what lies
around, is as good to a thousandth."""

_SUBPIXEL_BITS = 4


def without_neighbours(
    scores: CropScores, points: NDArray[np.integer[Any]], others: Sequence[NDArray[np.integer[Any]]]
) -> CropScores:
    """The scores of a face without the pixels that belong to other heads in its crop.

    A pixel belongs to another head if it lies nearer to that head's outline than to the face's own, by more
    than `TOLERANCE`, each measured in widths of its head. Where both outlines lie the higher score tells
    which head hides the other (`pipeline.uncrop.uncrop_instances`).

    Parameters
    ----------
    scores
        Of the crop.
    points
        (68, 2) landmarks x, y of the face in pixels of the photograph.
    others
        The same of every other head of the photograph.

    Returns
    -------
    scores
        The same object where no other head reaches into the crop.
    """
    near = [on_grid for on_grid in map(scores.to_grid, others) if _meets(on_grid, scores.grid_size_wh)]
    if not near:
        return scores
    shape_hw = scores.margin.shape[0], scores.margin.shape[1]
    own = _widths_from(scores.to_grid(points), shape_hw)
    held = scores.margin
    for on_grid in near:
        theirs = _widths_from(on_grid, shape_hw)
        if _is_one_head(own == 0, theirs == 0):
            continue
        behind = own - theirs
        at_most = np.float32(STEEPNESS) * (np.float32(TOLERANCE) - behind)
        held = np.where(behind > 0, np.minimum(held, at_most), held)
    return scores if held is scores.margin else replace(scores, margin=held)


def neighbours_hidden(
    scores: CropScores,
    number: int,
    points: Sequence[NDArray[np.integer[Any]]],
    instances: NDArray[np.integer[Any]],
) -> FaceCrop | None:
    """The crop of a face with the other faces in it darkened, if one of them touches its head.

    Parameters
    ----------
    scores
        Of the crop.
    number
        Of the face in the instance map, from 1.
    points
        (68, 2) landmarks x, y of every face of the map in pixels of the photograph, in the order of numbers.
    instances
        (H, W) instance map of the photograph.

    Returns
    -------
    crop
        None where no other face is nearer to the head's outline than `TOUCHING`. A face that is the same head
        found twice is none.
    """
    crop, shape_hw = scores.crop, (scores.margin.shape[0], scores.margin.shape[1])
    window = instances[crop.frame_slices]
    present = [int(other) for other in np.unique(window) if other not in (0, number)]
    if not present:
        return None
    own = _widths_from(scores.to_grid(points[number - 1]), shape_hw)
    theirs = {other: _widths_from(scores.to_grid(points[other - 1]), shape_hw) for other in present}
    others = [other for other in present if not _is_one_head(own == 0, theirs[other] == 0)]
    hidden = np.zeros(crop.pixels.shape[:2], np.uint8)
    crop.in_frame(hidden)[:] = np.isin(window, others)
    on_grid = cv2.resize(hidden, scores.grid_size_wh, interpolation=cv2.INTER_NEAREST) > 0
    if not (own[on_grid] < TOUCHING).any():
        return None
    pixels = crop.pixels.copy()
    pixels[hidden > 0] = HIDDEN_RGB
    return replace(crop, pixels=pixels)


def seen_alone(scores: CropScores, points: NDArray[np.integer[Any]], margin: Float32Array) -> CropScores:
    """The scores of a face with what the network has seen on and beside its head while others were hidden.

    Nothing is taken from the face.

    Parameters
    ----------
    scores
        Of the crop as it is.
    points
        (68, 2) landmarks x, y of the face in pixels of the photograph.
    margin
        (grid height, grid width) float32, of the crop that `neighbours_hidden` gives.
    """
    own = _widths_from(scores.to_grid(points), (margin.shape[0], margin.shape[1]))
    more = np.where(own <= TOUCHING, np.maximum(scores.margin, margin), scores.margin)
    return replace(scores, margin=more)


def _meets(points: NDArray[np.float64], size_wh: tuple[int, int]) -> bool:
    """Whether landmarks on the grid reach into it."""
    return bool((points.max(axis=0) >= 0).all() and (points.min(axis=0) < size_wh).all())


def _widths_from(points: NDArray[np.float64], shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """How far every pixel lies from a head's outline, in widths of it: 0 inside, infinite without one."""
    width = float(np.linalg.norm(points[16] - points[0]))
    outside = np.full(shape_hw, 255, np.uint8)
    corners = np.rint(outline_points(points) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(outside, [corners], (0,), shift=_SUBPIXEL_BITS)
    if width < 1 or outside.all():
        return np.full(shape_hw, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5) / width, np.float32)


def _is_one_head(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    smaller = min(int(np.count_nonzero(first)), int(np.count_nonzero(second)))
    return int(np.count_nonzero(first & second)) > SAME_HEAD * smaller
