"""How well a mask matches the truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Mask

BOUNDARY_TOLERANCE = 0.0075
"""Share of the picture's diagonal within which an edge counts as met (Csurka et al., BMVC 2013)."""

SMALLEST_FACE_PX = 64
"""Pieces of a truth mask with fewer pixels are specks, not faces."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Agreement of one mask with the truth; all values 0-1.

    Attributes
    ----------
    iou
        Pixels in both over pixels in either; 1 when both are empty.
    pixel_accuracy
        Share of pixels that agree.
    boundary_f
        Harmonic mean of the shares of predicted and true edge pixels that lie near one another.
    faces, faces_found
        Pieces of the truth, and those of which at least half is predicted (counts, not shares).
    """

    iou: float
    pixel_accuracy: float
    boundary_f: float
    faces: int
    faces_found: int


def compare(prediction: Mask, truth: Mask, ignore: Mask | None = None) -> Scores:
    """Compare a mask with the truth.

    Parameters
    ----------
    prediction, truth
        (H, W) bool, True is face.
    ignore
        (H, W) bool, True where the truth does not say: such pixels count nowhere. None: nowhere.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        The masks differ in shape.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction: expected shape {truth.shape} of the truth, got {prediction.shape}")
    if ignore is not None:
        prediction, truth = prediction & ~ignore, truth & ~ignore
    counted = truth.size - (int(ignore.sum()) if ignore is not None else 0)
    both, either = int((prediction & truth).sum()), int((prediction | truth).sum())
    faces, found = _faces_found(prediction, truth)
    return Scores(
        iou=both / either if either else 1.0,
        pixel_accuracy=1 - (either - both) / counted if counted else 1.0,
        boundary_f=_boundary_f(prediction, truth),
        faces=faces,
        faces_found=found,
    )


def _faces_found(prediction: Mask, truth: Mask) -> tuple[int, int]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8), connectivity=8)
    covered = np.bincount(labels[prediction], minlength=count)
    areas = stats[:, cv2.CC_STAT_AREA]
    faces = [piece for piece in range(1, count) if areas[piece] >= SMALLEST_FACE_PX]
    return len(faces), sum(bool(2 * covered[piece] >= areas[piece]) for piece in faces)


def _boundary_f(prediction: Mask, truth: Mask) -> float:
    edges = [_edge(mask) for mask in (prediction, truth)]
    if not edges[0].any() or not edges[1].any():
        return float(edges[0].any() == edges[1].any())
    tolerance = BOUNDARY_TOLERANCE * float(np.hypot(*truth.shape))
    precision, recall = (
        float((_distance_to(other)[edge] <= tolerance).mean()) for edge, other in (edges, edges[::-1])
    )
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _edge(mask: Mask) -> Mask:
    """Face pixels with a background pixel beside them, or at the border of the picture."""
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0))


def _distance_to(edge: Mask) -> NDArray[np.float32]:
    return np.asarray(
        cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )
