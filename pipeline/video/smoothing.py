"""Landmarks and crops that don't shake: what was seen before and after a frame speaks for it too.

Every value is the middle of a polynomial in time, fitted to its neighbourhood with Gaussian weights
(Cleveland, "Robust Locally Weighted Regression", JASA 1979, without the robust rounds). It has no lag, works
in real time whatever the frame rate does, and follows even motion exactly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from landmarks.arrays import Float64Array
from landmarks.geometry import Box

LANDMARK_SECONDS = 0.05
"""Width (one standard deviation) of the neighbourhood of landmarks: light."""

CENTRE_SECONDS = 0.13
"""That of the crop's centre."""

SIZE_SECONDS = 0.30
"""That of the crop's size: strong, for it shakes most and changes slowest."""

STRAY_LANDMARKS, STRAY_CENTRE, STRAY_SIZE = 0.02, 0.04, 0.06
"""Shares of the face's size by which a smoothed value may differ from what was seen; beyond, it follows."""

MEDIAN_SECONDS = 0.1
"""Time on each side of a frame whose median stands for what was seen of the crop: motion passes, and a frame
whose landmarks jump does not pull the crop along."""

REACH = 3.0
"""Standard deviations on each side that still have a say."""

_ROUNDING = 1e-6  # seconds by which times on a grid miss each other

JUMP = 1.0
"""Sizes of the face by which landmarks must jump from a frame to the next to be taken for another place."""


def reach_seconds(steady: float) -> float:
    """How much time on each side of a frame shapes its values.

    Parameters
    ----------
    steady
        Strength, see `steady_track`.
    """
    return REACH * max(SIZE_SECONDS, CENTRE_SECONDS, LANDMARK_SECONDS) * steady


@dataclass(frozen=True, slots=True, eq=False)
class SteadyTrack:
    """A track's values for every one of its frames.

    Attributes
    ----------
    points
        (n, 68, 2) float64 landmarks x, y, pixels.
    extents
        (n, 4) float64: left, top, right, bottom of the crop before it is held to the frame, pixels.
    """

    points: Float64Array
    extents: Float64Array


def steady_track(seconds: Float64Array, points: Float64Array, *, steady: float) -> SteadyTrack:
    """Smooth a track.

    Parameters
    ----------
    seconds
        (n,) times, rising. Values near the ends of what is given are less sure than those further in: give
        `reach_seconds` more than is wanted, where there is more.
    points
        (n, 68, 2) landmarks as seen.
    steady
        Strength: 1 is the usual one, 2 twice the time on each side; 0: as seen.

    Returns
    -------
    SteadyTrack
    """
    extents = extents_of(points)
    if steady <= 0 or len(seconds) < 2:
        return SteadyTrack(points, extents)
    smooth_points, smooth_extents = np.empty_like(points), np.empty_like(extents)
    for start, stop in _pieces(points, extents):
        part = slice(start, stop)
        smooth_points[part], smooth_extents[part] = _steady_piece(
            seconds[part], points[part], extents[part], steady
        )
    return SteadyTrack(smooth_points, smooth_extents)


def extents_of(points: Float64Array) -> Float64Array:
    """The crop of landmarks before it meets the frame, in real numbers.

    It is the first half of `landmarks.bbox.bbox_from_landmarks` without its rounding, which shakes: a tenth
    of the width to each side, up over the forehead, and further to where the mean lies off the middle.

    Parameters
    ----------
    points
        (n, 68, 2) landmarks.

    Returns
    -------
    (n, 4) float64
        Left, top, right, bottom: of the outermost pixels' centres.
    """
    low, high, mean = points.min(axis=1), points.max(axis=1), points.mean(axis=1)
    width, height = (high - low + 1).T
    off = (low + high) / 2 - mean
    over_forehead = height * (2 * np.maximum(width / height, 1) - 1)
    left = low[:, 0] - 0.1 * width + np.minimum(off[:, 0], 0)
    top = low[:, 1] - over_forehead + np.minimum(off[:, 1], 0)
    right = high[:, 0] + 0.1 * width + np.maximum(off[:, 0], 0)
    bottom = high[:, 1] + 0.1 * height + np.maximum(off[:, 1], 0)
    return np.stack([left, top, right, bottom], axis=1)


def box_in_frame(extent: Float64Array, frame_size_wh: tuple[int, int], *, square: bool) -> Box | None:
    """Hold a crop to the frame, as the second half of `landmarks.bbox.bbox_from_landmarks` does.

    Parameters
    ----------
    extent
        (4,) left, top, right, bottom.
    frame_size_wh
        Width and height of the frame in pixels.
    square
        Grow the shorter side to the longer one; at the frame's edge it is cut again.

    Returns
    -------
    Box or None
        Whole pixels; None where nothing of the crop lies in the frame.
    """
    limits = np.array(frame_size_wh, np.float64) - 1
    low, high = np.maximum(extent[:2], 0), np.minimum(extent[2:], limits)
    if (high <= low).any():
        return None
    size = high - low
    if square:
        size = np.full(2, size.max())
    corner = np.rint((low + high - size) / 2)
    far = np.minimum(corner + np.rint(size), limits)
    corner = np.maximum(corner, 0)
    width, height = (far - corner).astype(int).tolist()
    if min(width, height) < 1:
        return None
    return Box(int(corner[0]), int(corner[1]), width, height)


def _pieces(points: Float64Array, extents: Float64Array) -> list[tuple[int, int]]:
    """Parts of a track without jumps: landmark files may give one number to two faces after one another."""
    sizes = (extents[:, 2:] - extents[:, :2]).mean(axis=1)
    steps = np.linalg.norm(np.diff(points.mean(axis=1), axis=0), axis=1)
    breaks = np.flatnonzero(steps > JUMP * sizes[1:]) + 1
    edges = [0, *breaks.tolist(), len(points)]
    return list(itertools.pairwise(edges))


def _steady_piece(
    seconds: Float64Array, points: Float64Array, extents: Float64Array, steady: float
) -> tuple[Float64Array, Float64Array]:
    size = (extents[:, 2:] - extents[:, :2]).mean(axis=1)
    flat = points.reshape(len(points), -1)
    fitted = fit(seconds, flat, LANDMARK_SECONDS * steady, degree=2)
    limit = STRAY_LANDMARKS * size[:, None]
    smooth = flat + np.clip(fitted - flat, -limit, limit)

    seen = median(
        seconds, np.concatenate([extents[:, :2] + extents[:, 2:], extents[:, 2:] - extents[:, :2]], 1)
    )
    centres, sides = seen[:, :2] / 2, np.log(seen[:, 2:])
    near = fit(seconds, centres, CENTRE_SECONDS * steady, degree=2)
    middle = _following(centres, near, STRAY_CENTRE * size)
    far = fit(seconds, sides, SIZE_SECONDS * steady, degree=1)
    extent = np.exp(_following(sides, far, np.full(len(size), STRAY_SIZE)))
    return smooth.reshape(points.shape), np.concatenate([middle - extent / 2, middle + extent / 2], axis=1)


def _following(seen: Float64Array, fitted: Float64Array, limit: Float64Array) -> Float64Array:
    """The fitted values, pulled after what was seen where they would stray further than the limit."""
    difference = fitted - seen
    return seen + np.clip(difference, -limit[:, None], limit[:, None])


def median(seconds: Float64Array, values: Float64Array) -> Float64Array:
    """Median of the values around every time, over as many frames before it as after it.

    Parameters
    ----------
    seconds
        (n,) times, rising.
    values
        (n, k).

    Returns
    -------
    (n, k) float64
        What rises or falls evenly is as it was.
    """
    places = np.arange(len(seconds))
    before = places - np.searchsorted(seconds, seconds - MEDIAN_SECONDS - _ROUNDING, side="left")
    after = np.searchsorted(seconds, seconds + MEDIAN_SECONDS + _ROUNDING, side="right") - 1 - places
    reach = np.minimum(before, after).tolist()
    return np.stack([np.median(values[at - r : at + r + 1], axis=0) for at, r in enumerate(reach)])


def fit(seconds: Float64Array, values: Float64Array, width: float, *, degree: int) -> Float64Array:
    """Local polynomial fit at every time.

    Parameters
    ----------
    seconds
        (n,) times, rising.
    values
        (n, k).
    width
        Standard deviation of the weights in seconds.
    degree
        Of the polynomial; lower where there are too few neighbours.

    Returns
    -------
    (n, k) float64
    """
    result = np.empty_like(values)
    first = np.searchsorted(seconds, seconds - REACH * width, side="left")
    last = np.searchsorted(seconds, seconds + REACH * width, side="right")
    for index, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        offset = (seconds[start:stop] - seconds[index]) / width
        basis = np.vander(offset, min(degree, max((stop - start - 1) // 2, 0)) + 1, increasing=True)
        root = np.exp(-(offset**2) / 4)[:, None]
        # The value at offset 0 is the constant term: one row of the weighted pseudo-inverse.
        row = np.linalg.pinv(basis * root)[0] * root[:, 0]
        result[index] = row @ values[start:stop]
    return result
