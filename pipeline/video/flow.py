"""Motion between two small grey pictures (dense inverse search), and carrying arrays along it.

T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016; OpenCV's implementation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array, Float64Array, Pixels

WORTH_GUESSING_PX = 4.0
"""Motion below this is found without a guess."""

_SMALLEST_SIDE_PX = 16
"""Below this the search has no room for its patches; such pictures are taken to stand still."""


def flow_between(first: Pixels, second: Pixels, *, halvings: int = 2) -> Float32Array:
    """Where every pixel of one picture has gone in another.

    Parameters
    ----------
    first, second
        (h, w) uint8.
    halvings
        How often the pictures are halved for the finest look.

    Returns
    -------
    flow
        (h, w, 2) float32 x, y in pixels: ``second[p + flow[p]]`` shows what ``first[p]`` shows.
    """
    if min(first.shape) < _SMALLEST_SIDE_PX:
        return np.zeros((*first.shape, 2), np.float32)
    found = _search(halvings).calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)
    return np.asarray(found, np.float32)


def flow_from(guess: Float64Array, first: Pixels, second: Pixels) -> Float32Array:
    """What `flow_between` gives, for motion so large that it must be known roughly beforehand.

    Parameters
    ----------
    guess
        (2, 3): takes x, y, 1 of the first picture to x, y of the second. One that moves no corner by
        `WORTH_GUESSING_PX` is not used.
    first, second
        (h, w) uint8.
    """
    height, width = first.shape
    grid = _grid(height, width)
    linear, shift = guess[:, :2], guess[:, 2]
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
    if np.abs(corners @ linear.T + shift - corners).max() < WORTH_GUESSING_PX:
        return flow_between(first, second, halvings=1)
    guessed = np.asarray(grid @ linear.T + shift, np.float32)
    nearer = sampled(second, guessed)
    rest = places(flow_between(first, np.asarray(nearer, np.uint8), halvings=1))
    return np.asarray(rest @ linear.T + shift, np.float32) - grid


def carried(
    array: NDArray[Any], flow: Float32Array, *, outside: float | tuple[float, ...] = 0.0
) -> NDArray[Any]:
    """An array of the second picture as it lies in the first: ``result[p] = array[p + flow[p]]``, linear.

    Parameters
    ----------
    array
        (h, w) or (h, w, c), uint8 or float32.
    flow
        (h, w, 2) of `flow_between`.
    outside
        What comes from beyond the edge: of every channel, or one value each.
    """
    return sampled(array, places(flow), outside=outside)


def places(flow: Float32Array) -> Float32Array:
    """Where every pixel of the first picture lies in the second: (h, w, 2) float32 x, y."""
    return _grid(*flow.shape[:2]) + flow


def sampled(
    array: NDArray[Any], at: Float32Array, *, outside: float | tuple[float, ...] = 0.0
) -> NDArray[Any]:
    """An array at the `places` of another grid, linear; arguments are as of `carried`."""
    nothing: Any = None  # the second of two maps, which are one here
    beyond = outside if isinstance(outside, tuple) else (outside,) * 4
    return np.asarray(
        cv2.remap(array, at, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)
    )


def chained(first: Float32Array, second: Float32Array) -> Float32Array:
    """The flow over two steps: from one picture to the next, and from there on."""
    return np.asarray(first + carried(second, first), np.float32)


def resized(flow: Float32Array, size_wh: tuple[int, int]) -> Float32Array:
    """The same motion on a grid of another size, in pixels of that."""
    height, width = flow.shape[:2]
    scales = size_wh[0] / width, size_wh[1] / height
    larger = np.asarray(cv2.resize(flow, size_wh, interpolation=cv2.INTER_LINEAR), np.float32)
    larger *= scales[0] if scales[0] == scales[1] else np.array(scales, np.float32)  # one number is quicker
    return larger


@cache
def _search(halvings: int) -> Any:
    library: Any = cv2  # its types do not know it
    search = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(halvings)
    search.setVariationalRefinementIterations(2)  # five are no more exact on faces, at 1.3 times the price
    return search


@cache
def _grid(height: int, width: int) -> Float32Array:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], axis=-1)
