"""From the upright pixel grid to the stored one and back: arrays, boxes and points alike.

An orientation is a number 1-8 of EXIF (2.32, tag 0x0112): how the stored grid is turned and mirrored to stand
upright.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.exports.values import MaskWindow
from pipeline.images import to_upright

_INVERSE = {6: 8, 8: 6}


def inverse(orientation: int) -> int:
    """The orientation that takes another one back."""
    return _INVERSE.get(orientation, orientation)


def oriented_size(size_wh: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a picture after an orientation is applied."""
    return size_wh[::-1] if orientation >= 5 else size_wh


def oriented_points(
    points: NDArray[np.int32], orientation: int, size_wh: tuple[int, int]
) -> NDArray[np.int32]:
    """Points of a picture after an orientation is applied to it.

    Parameters
    ----------
    points
        (N, 2) x, y: whole pixels; they may lie outside.
    orientation
        1-8.
    size_wh
        Width and height before.

    Returns
    -------
    (N, 2) int32
    """
    if orientation == 1:
        return points
    x, y = points[:, 0], points[:, 1]
    if orientation >= 5:
        x, y = y, x
    width, height = oriented_size(size_wh, orientation)
    if orientation in (3, 4, 7, 8):
        y = height - 1 - y
    if orientation in (2, 3, 6, 7):
        x = width - 1 - x
    return np.stack([x, y], axis=1).astype(np.int32)


def oriented_box(box: Box, orientation: int, size_wh: tuple[int, int]) -> Box:
    """A box of a picture after an orientation is applied to it; see `oriented_points`."""
    if orientation == 1:
        return box
    corners = np.array([[box.x, box.y], [box.x_max - 1, box.y_max - 1]], np.int32)
    moved = oriented_points(corners, orientation, size_wh)
    (x, y), (x_last, y_last) = moved.min(axis=0).tolist(), moved.max(axis=0).tolist()
    if box.area == 0:
        width, height = oriented_size((box.width, box.height), orientation)
        return Box(x, y, width, height)
    return Box(x, y, x_last + 1 - x, y_last + 1 - y)


def oriented_window(mask: MaskWindow, orientation: int, size_wh: tuple[int, int]) -> MaskWindow:
    """A mask of a picture after an orientation is applied to it; see `oriented_points`."""
    if orientation == 1 or mask.pixels.size == 0:
        return mask
    box = oriented_box(mask.box, orientation, size_wh)
    return MaskWindow(np.ascontiguousarray(to_upright(mask.pixels, orientation)), box.x, box.y)
