"""Small pictures of single faces for the contact sheets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.config import InputConfig
from pipeline.crop import crop_face
from pipeline.errors import ImageReadError
from pipeline.images import read_photo, to_upright
from pipeline.report.statistics import FaceSample

SIDE_PX = 144
JPEG_QUALITY = 80
OUTLINE_RGB = (255, 40, 40)


def face_picture(sample: FaceSample, output: Path, photos: Path, settings: InputConfig) -> bytes | None:
    """Make the picture of a face with the outline of its mask.

    Parameters
    ----------
    sample
        The face.
    output
        The output directory.
    photos
        Where relative paths of photographs start.
    settings
        ``input`` of the run: larger photographs are not read, transparent ones lie on its background.

    Returns
    -------
    bytes or None
        A JPEG, at most `SIDE_PX` on its longer side; None when the photograph is not there any more.
    """
    try:
        photo = read_photo(
            photos / sample.photo, max_pixels=settings.max_pixels, background_rgb=settings.background_rgb
        )
    except ImageReadError:
        return None
    crop = crop_face(photo.pixels, Box(*sample.box_xywh))
    longest = max(crop.pixels.shape[:2])
    scale = min(SIDE_PX / longest, 1.0)
    size_wh = tuple(max(round(side * scale), 1) for side in crop.pixels.shape[1::-1])
    picture = np.ascontiguousarray(cv2.resize(crop.pixels, size_wh, interpolation=cv2.INTER_AREA))
    mask = _mask(sample, output, photo.pixels.shape[:2])
    if mask is not None:
        part = np.zeros(crop.pixels.shape[:2], np.uint8)
        part[crop.crop_slices] = mask[crop.frame_slices]
        small = cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA)
        contours, _ = cv2.findContours((small > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, OUTLINE_RGB, 1, cv2.LINE_AA)
    whole, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    )
    return encoded.tobytes() if whole else None


def _mask(sample: FaceSample, output: Path, shape_hw: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The face's mask, 0 or 255, upright; None where it was not written or is of another photograph."""
    if sample.instances is None:
        return None
    path = output / sample.instances
    if not path.is_file():
        return None
    numbers = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if numbers is None:
        return None
    upright = to_upright(numbers, sample.stored_orientation)
    if upright.shape != tuple(shape_hw):
        return None
    return np.where(upright == sample.number, np.uint8(255), np.uint8(0))
