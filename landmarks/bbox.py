"""The crop box of a face from its landmarks, as ``find_face_landmarks`` computes it."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Convention = Literal["cpp", "matlab"]


def bbox_from_landmarks(
    points: npt.ArrayLike,
    frame_size_wh: tuple[int, int],
    *,
    square: bool = True,
    convention: Convention = "cpp",
) -> tuple[int, int, int, int] | tuple[float, float, float, float]:
    """Box around a face: the landmarks' extent, a tenth wider, and up over the forehead.

    Parameters
    ----------
    points
        (n, 2); landmarks x, y in pixels, n >= 1. Integers (0-based) for ``"cpp"``; integers or finite reals
        (1-based) for ``"matlab"``.
    frame_size_wh
        Width and height of the photograph in pixels, at least 1 x 1.
    square
        Grow the shorter side to the longer one before the last clamp to the frame; a box at the border comes
        out clamped and no longer square.
    convention
        ``"cpp"``: integers, 0-based; the result is the OpenCV rectangle of the two corner pixels, so the last
        row and column are dropped (width = max - min), and a face whose box misses the frame gives a
        rectangle outside of it. ``"matlab"``: 1-based real numbers in and out, width = max - min + 1, which
        is not above zero for a face whose box misses the frame.

    Returns
    -------
    (x, y, width, height)
        Four ints for ``"cpp"``, four floats for ``"matlab"``.

    Raises
    ------
    ValueError
        If the points have another shape, dtype or no finite values, the frame is empty, or the convention is
        unknown.

    Notes
    -----
    Two functions of the same purpose with different numbers, both of YuvalNirkin/find_face_landmarks:
    ``getFaceBBoxFromLandmarks`` in sequence_face_landmarks/utilities.cpp and ``bbox_from_landmarks`` in
    interfaces/matlab/bbox_from_landmarks.m.
    """
    coordinates = np.asarray(points)
    if coordinates.ndim != 2 or coordinates.shape[1] != 2 or len(coordinates) == 0:
        raise ValueError(
            f"points: an array of shape (n, 2) with n >= 1 is expected, got shape {coordinates.shape}"
        )
    width, height = (int(side) for side in frame_size_wh)
    if width < 1 or height < 1:
        raise ValueError(f"frame_size_wh: at least (1, 1) is expected, got {frame_size_wh}")
    if convention == "cpp":
        if not np.issubdtype(coordinates.dtype, np.integer):
            raise ValueError(f"points: integers are expected (convention 'cpp'), got {coordinates.dtype}")
        return _cpp_box(coordinates, width, height, square)
    if convention == "matlab":
        if not np.issubdtype(coordinates.dtype, np.number) or np.issubdtype(
            coordinates.dtype, np.complexfloating
        ):
            raise ValueError(
                f"points: real numbers are expected (convention 'matlab'), got {coordinates.dtype}"
            )
        if not np.isfinite(coordinates).all():
            raise ValueError("points: finite numbers are expected, got nan or infinity")
        return _matlab_box(coordinates.astype(np.float64), width, height, square)
    raise ValueError(f"convention: 'cpp' or 'matlab' is expected, got {convention!r}")


def _round_half_away(value: float) -> int:
    """C's and MATLAB's ``round``: to the nearest, halves away from zero (Python's goes to the even one)."""
    whole = math.floor(abs(value))
    whole += abs(value) - whole >= 0.5
    return whole if value >= 0 else -whole


def _divide(numerator: int, denominator: int) -> int:
    """C's integer division: the quotient is cut towards zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def _cpp_box(
    points: npt.NDArray[Any], frame_width: int, frame_height: int, square: bool
) -> tuple[int, int, int, int]:
    # Names and steps follow the C++ function; all Python ints. (There a negative sum of coordinates, a face
    # mostly left of or above the frame, wraps in an unsigned division; here it is divided as it is meant.)
    x_min, y_min = (int(value) for value in points.min(axis=0))
    x_max, y_max = (max(int(value), -1) for value in points.max(axis=0))  # its running maximum starts at -1
    x_sum, y_sum = (sum(int(value) for value in column) for column in points.T)
    width, height = x_max - x_min + 1, y_max - y_min + 1
    x_dev = _divide(x_min + x_max, 2) - _divide(x_sum, len(points))
    y_dev = _divide(y_min + y_max, 2) - _divide(y_sum, len(points))

    # Single precision here, and only here, as in the C++ expression.
    aspect = max(np.float32(width) / np.float32(height), np.float32(1))
    over_forehead = np.float32(height) * (aspect * np.float32(2) - np.float32(1))
    side = _round_half_away(0.1 * width)

    x_min = max(0, x_min - side - abs(min(x_dev, 0)))
    y_min = max(0, y_min - _round_half_away(float(over_forehead)) - abs(min(y_dev, 0)))
    x_max = min(frame_width - 1, x_max + side + max(x_dev, 0))
    y_max = min(frame_height - 1, y_max + _round_half_away(0.1 * height) + max(y_dev, 0))

    if square:
        size = max(x_max - x_min + 1, y_max - y_min + 1)
        x_min = _divide(x_min + x_max, 2) - _divide(size - 1, 2)
        y_min = _divide(y_min + y_max, 2) - _divide(size - 1, 2)
        x_max, y_max = min(x_min + size - 1, frame_width - 1), min(y_min + size - 1, frame_height - 1)
        x_min, y_min = max(0, x_min), max(0, y_min)

    # cv::Rect(corner, corner) puts crossed corners in order: that is how a face off the frame comes out.
    return min(x_min, x_max), min(y_min, y_max), abs(x_max - x_min), abs(y_max - y_min)


def _matlab_box(
    points: npt.NDArray[np.float64], frame_width: int, frame_height: int, square: bool
) -> tuple[float, float, float, float]:
    sides = []
    lows, highs = points.min(axis=0), points.max(axis=0)
    width, height = (float(extent) for extent in highs - lows + 1)
    over_forehead = height * (max(width / height, 1.0) * 2 - 1)
    means = points.sum(axis=0) / len(points)
    for low, high, mean, before, after, limit in zip(
        lows.tolist(),
        highs.tolist(),
        means.tolist(),
        (0.1 * width, over_forehead),
        (0.1 * width, 0.1 * height),
        (frame_width, frame_height),
        strict=True,
    ):
        deviation = (low + high) / 2 - _round_half_away(mean)
        start = max(low - _round_half_away(before) - abs(min(deviation, 0.0)), 1.0)
        end = min(high + _round_half_away(after) + max(deviation, 0.0), float(limit))
        sides.append((start, end, limit))

    if square:
        size = max(high - low + 1 for low, high, _ in sides)
        half = _round_half_away((size - 1) / 2)
        centers = [_round_half_away((low + high) / 2) for low, high, _ in sides]
        sides = [
            (max(center - half, 1.0), min(center + half, float(limit)), limit)
            for center, (_, _, limit) in zip(centers, sides, strict=True)
        ]

    (x_min, x_max, _), (y_min, y_max, _) = sides
    return float(x_min), float(y_min), float(x_max - x_min + 1), float(y_max - y_min + 1)
