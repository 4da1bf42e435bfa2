"""Which part of a photograph becomes the crop of a face, and how often it is turned to stand upright."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.bbox import bbox_from_landmarks
from landmarks.geometry import Box, FaceLandmarks
from pipeline.config import CropConfig
from pipeline.crop import FaceCrop, crop_face
from pipeline.turns import turned_box, turned_points, turned_size

EYES, MOUTH = slice(36, 48), slice(48, 68)
"""The eyes' and the mouth's outlines among the 68 landmarks."""


def frame_face(image: NDArray[np.uint8], face: FaceLandmarks, settings: CropConfig) -> FaceCrop:
    """Cut a face out of a photograph, upright if ``crop.upright`` asks for it.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB; it is not changed.
    face
        One of its faces.
    settings
        All of ``crop`` is used.

    Returns
    -------
    FaceCrop

    Raises
    ------
    ValueError
        ``image`` is not (H, W, 3) uint8, or the crop is empty: all landmarks lie outside the frame, or on one
        pixel at its edge.
    """
    frame_size_wh = (image.shape[1], image.shape[0])
    turn = quarter_turns(face.points) if settings.upright == "auto" else 0
    upright_size_wh = turned_size(frame_size_wh, turn)
    box = face_box(turned_points(face.points, frame_size_wh, turn), upright_size_wh, settings)
    return crop_face(image, turned_box(box, upright_size_wh, -turn), turn)


def face_box(points: NDArray[np.integer[Any]], frame_size_wh: tuple[int, int], settings: CropConfig) -> Box:
    """The crop of a face as whole half-open pixels, in either convention.

    Parameters
    ----------
    points
        (68, 2) landmarks, pixels.
    frame_size_wh
        Width and height of the photograph in pixels.
    settings
        ``crop.convention`` and ``crop.square`` are used.

    Returns
    -------
    Box

    Raises
    ------
    ValueError
        The crop is empty: all landmarks lie outside the frame, or on one pixel at its edge.
    """
    if settings.convention == "matlab":
        one_based = points.astype(np.float64) + 1
        box = bbox_from_landmarks(one_based, frame_size_wh, square=settings.square, convention="matlab")
        x, y, width, height = (round(value) for value in box)
        x, y = x - 1, y - 1
    else:
        box = bbox_from_landmarks(points, frame_size_wh, square=settings.square)
        x, y, width, height = (int(value) for value in box)
    if min(width, height) < 1:
        raise ValueError(f"its crop is empty ({width} x {height} pixels)")
    return Box(x, y, width, height)


def head_angle(points: NDArray[np.integer[Any]]) -> float:
    """How far a head is turned in the picture by its landmarks: the way from the eyes to the mouth.

    Parameters
    ----------
    points
        (68, 2) landmarks x, y in pixels.

    Returns
    -------
    degrees
        Clockwise, -180 to 180; 0 is upright, also where eyes and mouth are one place.
    """
    down = points[MOUTH].mean(axis=0) - points[EYES].mean(axis=0)
    return math.degrees(math.atan2(-float(down[0]), float(down[1]))) if down.any() else 0.0


def quarter_turns(points: NDArray[np.integer[Any]]) -> int:
    """Quarter turns counter-clockwise, 0-3, that bring a head nearest to upright."""
    return round(head_angle(points) / 90) % 4
