"""What the jaw line of the landmarks says about the scores around it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.scores import CropScores

JAW = slice(0, 17)
"""The jaw line among the 68 landmarks, from ear to ear."""

TOLERANCE = 0.02
"""Face widths beyond the jaw line up to which nothing is held against a pixel."""

REACH = 0.03
"""Face widths from the jaw line within which it speaks for the face."""

OVERSTEPPED = 0.04
"""Face widths beyond the jaw line from which the network contradicts it."""

DOUBT, DISBELIEF = 0.01, 0.02
"""Shares of the network's face beyond a jaw line (by more than `OVERSTEPPED`) from which it is believed less,
and not at all. Chosen on held-out photographs, with a window behind the head, a telephone before it, and by
night: up to 0.017 of IoU is lost there by believing dlib, which guesses where the jaw may be, and nine
tenths of that come back. On plain photographs about one jaw line in twenty is doubted."""

_SUBPIXEL_BITS = 4


def held_to_jaw(
    scores: CropScores,
    points: NDArray[Any],
    *,
    penalty: float,
    support: float,
    beyond: NDArray[np.float32],
    overstepped: float,
) -> CropScores:
    """The scores of a crop with what the jaw line says, as far as the network does not contradict it.

    Where dlib cannot see the jaw it guesses one. The network's face then lies on both sides of that line,
    which it does not where the line is right; the jaw line says nothing then (`jaw_trust`).

    Parameters
    ----------
    scores
        Of the crop.
    points
        (68, 2) landmarks x, y in pixels of the photograph.
    penalty
        ``scores.jaw_penalty``: score lost for every face width beyond the jaw line, after `TOLERANCE`.
    support
        ``scores.jaw_support``: score gained on the jaw line by crops that the network sees enlarged, less by
        those up to twice the grid's size.
    beyond
        (grid height, grid width) float32: how far every pixel lies beyond the line, by `beyond_jaw`.
    overstepped
        Share of the face beyond the line, 0-1, by `overstepping`.
    """
    support *= small_crop_share(scores.crop.size_wh, scores.grid_size_wh)
    if not penalty and not support:
        return scores
    trust = jaw_trust(overstepped)
    if not trust:
        return scores
    on_grid = scores.to_grid(points)
    evidence = jaw_evidence(on_grid, beyond, penalty=trust * penalty, support=trust * support)
    return scores.plus(evidence)


def overstepping(margin: NDArray[np.float32], beyond: NDArray[np.float32]) -> float:
    """How much of the network's face lies beyond the jaw line, by more than `OVERSTEPPED`.

    Parameters
    ----------
    margin
        (h, w) float32 of the network alone; above zero is face.
    beyond
        (h, w) float32: how far every pixel lies beyond the line, by `beyond_jaw`.

    Returns
    -------
    share
        Of the face's pixels, 0-1; 0 where there are none.
    """
    face = margin > 0
    outside = np.count_nonzero(face & (beyond > OVERSTEPPED))
    return float(outside) / max(int(np.count_nonzero(face)), 1)


def jaw_trust(overstepped: float) -> float:
    """How far a jaw line is believed that the face oversteps: 1 up to `DOUBT`, 0 from `DISBELIEF` on."""
    return float(np.clip((DISBELIEF - overstepped) / (DISBELIEF - DOUBT), 0, 1))


def jaw_evidence(
    points: NDArray[np.float64], beyond: NDArray[np.float32], *, penalty: float, support: float
) -> NDArray[np.float32]:
    """What is to be added to the margin of every pixel.

    Parameters
    ----------
    points
        (68, 2) landmarks x, y in pixels of the map (the centre of the first pixel is 0, 0).
    beyond
        (h, w) float32: how far every pixel of the map lies beyond the line, by `beyond_jaw`.
    penalty
        Score lost for every face width beyond the jaw line, after `TOLERANCE`.
    support
        Score gained on the jaw line, less beside it, none from `REACH` on.

    Returns
    -------
    evidence
        (h, w) float32; all 0 where the landmarks have no extent.
    """
    evidence = np.zeros(beyond.shape, np.float32)
    if penalty > 0:
        evidence -= np.float32(penalty) * np.maximum(beyond - TOLERANCE, 0)
    if support > 0:
        off = from_jaw(points, (beyond.shape[0], beyond.shape[1]))
        evidence += np.float32(support) * np.maximum(1 - off / REACH, 0)
    return evidence


def small_crop_share(size_wh: tuple[int, int], network_size_wh: tuple[int, int]) -> float:
    """Tell how far a crop is too small to show an edge as finely as the network could see it.

    Parameters
    ----------
    size_wh, network_size_wh
        Width and height of the crop, and of what the network makes of it, pixels.

    Returns
    -------
    share
        1 for a crop that had to be enlarged, 0 for one of twice the network's size or more, linear between.
    """
    return float(np.clip(2 - max(size_wh) / max(network_size_wh), 0, 1))


def from_jaw(points: NDArray[np.float64], shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """How far every pixel lies from the jaw line, to either side, in face widths.

    Parameters
    ----------
    points
        (68, 2) landmarks x, y in pixels of the map (the centre of the first pixel is 0, 0).
    shape_hw
        Height and width of the map.

    Returns
    -------
    distance
        (h, w) float32; infinite where the jaw line has no extent or lies off the map.
    """
    jaw = points[JAW].astype(np.float64)
    width = float(np.linalg.norm(jaw[16] - jaw[0]))
    if width < 1:
        return np.full(shape_hw, np.inf, np.float32)
    off_line = np.full(shape_hw, 255, np.uint8)
    line = np.rint(jaw * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(off_line, [line], isClosed=False, color=(0,), shift=_SUBPIXEL_BITS)
    if off_line.all():
        return np.full(shape_hw, np.inf, np.float32)
    distance = cv2.distanceTransform(off_line, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance / width, np.float32)


def beyond_jaw(points: NDArray[np.float64], shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """How far every pixel lies beyond the jaw line, in face widths; 0 on the face's side of it.

    The face's side is what the jaw line encloses up to the height of the brows, and all above the brows.
    Parameters are those of `from_jaw`; all 0 where the landmarks have no extent.

    Returns
    -------
    distance
        (h, w) float32.
    """
    jaw = points[JAW].astype(np.float64)
    up = points[27] - points[30]
    length, width = float(np.linalg.norm(up)), float(np.linalg.norm(jaw[16] - jaw[0]))
    if length < 1e-3 or width < 1:
        return np.zeros(shape_hw, np.float32)
    up = up / length
    sideways = np.array([-up[1], up[0]])
    if float((jaw[16] - jaw[0]) @ sideways) < 0:
        sideways = -sideways
    brows = float(np.mean([points[19] @ up, points[24] @ up]))
    left, right = (end + up * max(0.0, brows - float(end @ up)) for end in (jaw[0], jaw[16]))
    far = 4.0 * max(shape_hw)
    above = [right, right + sideways * far, right + (sideways + up) * far]
    above += [left + (up - sideways) * far, left - sideways * far, left]
    outline = np.rint(np.concatenate([jaw, above]) * 2**_SUBPIXEL_BITS).astype(np.int32)
    inside = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(inside, [outline], (255,), shift=_SUBPIXEL_BITS)
    if not inside.any():
        return np.zeros(shape_hw, np.float32)
    distance = cv2.distanceTransform(cv2.bitwise_not(inside), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance / width, np.float32)
