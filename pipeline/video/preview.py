"""The preview of a clip: its masks painted onto the planes that the coder takes.

It shows what `pipeline.output_pictures.overlay` shows of a photograph. Blending is the same in brightness and
colour differences, half of which the coder throws away: painted afterwards, they need not be computed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Pixels
from pipeline.output_pictures import OVERLAY_ALPHA, OVERLAY_RGB

_RED_YUV = cv2.cvtColor(np.full((2, 2, 3), OVERLAY_RGB, np.uint8), cv2.COLOR_RGB2YUV_I420).reshape(-1)[
    [0, 4, 5]
]

_BLENDED = np.rint(np.arange(256)[None] * (1 - OVERLAY_ALPHA) + _RED_YUV[:, None] * OVERLAY_ALPHA).astype(
    np.uint8
)
"""(3, 256) uint8: what becomes of each value of each plane."""


def preview_planes(pixels: Pixels, mask: Pixels | None = None) -> NDArray[np.uint8]:
    """A picture as the coder takes it, with a mask painted half transparent red and outlined.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB, even height and width.
    mask
        (H, W) uint8, 0 or 255; None: nothing is painted.

    Returns
    -------
    (3 H / 2, W) uint8
        BT.601: brightness, then both colour differences of half the sides (I420).
    """
    planes = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420), np.uint8)
    if mask is None:
        return planes
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return planes
    height, width = mask.shape
    thickness = max(1, round(max(height, width) / 1000))
    flat = planes.reshape(-1)
    brightness = flat[: height * width].reshape(height, width)
    differences = flat[height * width :].reshape(2, height // 2, width // 2)
    _paint(brightness, 0, mask, contours, thickness)
    small = np.ascontiguousarray(mask[::2, ::2])
    halved = [contour // 2 for contour in contours]
    for number, plane in enumerate(differences, start=1):
        _paint(plane, number, small, halved, max(1, thickness // 2))
    return planes


def _paint(
    plane: Pixels, number: int, mask: Pixels, contours: Sequence[NDArray[Any]], thickness: int
) -> None:
    """Blend one plane inside a mask, and draw the outline, in place."""
    x, y, width, height = cv2.boundingRect(mask)
    part = (slice(y, y + height), slice(x, x + width))
    if width:
        cv2.copyTo(cv2.LUT(plane[part], _BLENDED[number]), mask[part], plane[part])
    cv2.drawContours(plane, contours, -1, int(_RED_YUV[number]), thickness)
