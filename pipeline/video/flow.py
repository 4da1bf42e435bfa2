"""Motion between two small grey pictures (dense inverse search), and carrying arrays along it.

T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016; OpenCV's implementation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array, Pixels

_SMALLEST_SIDE_PX = 16
"""Below this the search has no room for its patches; such pictures are taken to stand still."""


def flow_between(first: Pixels, second: Pixels) -> Float32Array:
    """Where every pixel of one picture has gone in another.

    Parameters
    ----------
    first, second
        (h, w) uint8.

    Returns
    -------
    flow
        (h, w, 2) float32 x, y in pixels: ``second[p + flow[p]]`` shows what ``first[p]`` shows.
    """
    if min(first.shape) < _SMALLEST_SIDE_PX:
        return np.zeros((*first.shape, 2), np.float32)
    found = _search().calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)
    return np.asarray(found, np.float32)


def carried(array: NDArray[Any], flow: Float32Array, *, outside: float = 0.0) -> NDArray[Any]:
    """An array of the second picture as it lies in the first: ``result[p] = array[p + flow[p]]``, linear.

    Parameters
    ----------
    array
        (h, w) or (h, w, c), uint8 or float32.
    flow
        (h, w, 2) of `flow_between`.
    outside
        What comes from beyond the edge.
    """
    height, width = flow.shape[:2]
    x, y = _places(height, width)
    return np.asarray(
        cv2.remap(
            array,
            x + flow[..., 0],
            y + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(outside,) * 4,
        )
    )


def chained(first: Float32Array, second: Float32Array) -> Float32Array:
    """The flow over two steps: from one picture to the next, and from there on."""
    return np.asarray(first + carried(second, first), np.float32)


@cache
def _search() -> Any:
    library: Any = cv2  # its types do not know it
    return library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_FAST)


@cache
def _places(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y
