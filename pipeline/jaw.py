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

_SUBPIXEL_BITS = 4


def held_to_jaw(
    scores: CropScores, points: NDArray[np.integer[Any]], *, penalty: float, support: float
) -> CropScores:
    """The scores of a crop with what the jaw line says.

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
    """
    support *= small_crop_share(scores.crop.size_wh, scores.grid_size_wh)
    if not penalty and not support:
        return scores
    shape_hw = scores.margin.shape[0], scores.margin.shape[1]
    return scores.plus(jaw_evidence(scores.to_grid(points), shape_hw, penalty=penalty, support=support))


def jaw_evidence(
    points: NDArray[np.float64], shape_hw: tuple[int, int], *, penalty: float, support: float
) -> NDArray[np.float32]:
    """What is to be added to the margin of every pixel.

    Parameters
    ----------
    points
        (68, 2) landmarks x, y in pixels of the map (the centre of the first pixel is 0, 0).
    shape_hw
        Height and width of the map.
    penalty
        Score lost for every face width beyond the jaw line, after `TOLERANCE`.
    support
        Score gained on the jaw line, less beside it, none from `REACH` on.

    Returns
    -------
    evidence
        (h, w) float32; all 0 where the landmarks have no extent.
    """
    evidence = np.zeros(shape_hw, np.float32)
    if penalty > 0:
        evidence -= np.float32(penalty) * np.maximum(beyond_jaw(points, shape_hw) - TOLERANCE, 0)
    if support > 0:
        evidence += np.float32(support) * np.maximum(1 - from_jaw(points, shape_hw) / REACH, 0)
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

    Parameters are those of `jaw_evidence`; infinite where the jaw line has no extent or lies off the map.

    Returns
    -------
    distance
        (h, w) float32.
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
    Parameters are those of `jaw_evidence`; all 0 where the landmarks have no extent.

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
