"""Quarter turns: a picture turned by multiples of 90 degrees, and where its points and boxes come to lie.

``turn`` counts quarter turns counter-clockwise, as in `numpy.rot90`: a face that lies turned clockwise by 90
degrees is upright after one. Nothing is resampled, so every turn can be undone to the pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box

TURNS = (0, 1, 2, 3)


def turned_size(size_wh: tuple[int, int], turn: int) -> tuple[int, int]:
    """Width and height of a picture of ``size_wh`` after a turn, pixels."""
    return (size_wh[1], size_wh[0]) if turn % 2 else size_wh


def turned_points(points: NDArray[Any], size_wh: tuple[int, int], turn: int) -> NDArray[Any]:
    """Where points of a picture lie after it was turned.

    Parameters
    ----------
    points
        (n, 2) x, y in pixels, the centre of the first one at 0, 0; whole numbers stay whole.
    size_wh
        Width and height of the picture before the turn, pixels.
    turn
        Quarter turns counter-clockwise.

    Returns
    -------
    points
        (n, 2) of the same dtype.
    """
    x, y = points[:, 0], points[:, 1]
    width, height = size_wh
    if turn % 4 == 1:
        return np.stack([y, width - 1 - x], axis=1)
    if turn % 4 == 2:
        return np.stack([width - 1 - x, height - 1 - y], axis=1)
    if turn % 4 == 3:
        return np.stack([height - 1 - y, x], axis=1)
    return points


def turned_box(box: Box, size_wh: tuple[int, int], turn: int) -> Box:
    """Where a box of a picture of ``size_wh`` lies after it was turned; the box may leave the picture."""
    width, height = size_wh
    if turn % 4 == 1:
        return Box(box.y, width - box.x_max, box.height, box.width)
    if turn % 4 == 2:
        return Box(width - box.x_max, height - box.y_max, box.width, box.height)
    if turn % 4 == 3:
        return Box(height - box.y_max, box.x, box.height, box.width)
    return box
