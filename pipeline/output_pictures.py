"""What is shown of a photograph: masks, instance maps, overlays, and pictures of the single faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.colour import tagged_srgb
from pipeline.config import OutputConfig
from pipeline.errors import EncodingError
from pipeline.mask_png import encode_map

if TYPE_CHECKING:
    from pipeline.results import FaceResult, PhotoResult

OVERLAY_RGB = (255, 0, 0)
OVERLAY_ALPHA = 0.5
"""Red, half transparent: upstream's overlay (face_segmentation, `renderSegmentation`)."""

_REDDENED = np.rint(
    np.arange(256, dtype=np.float32)[:, None] * (1 - OVERLAY_ALPHA)
    + np.array(OVERLAY_RGB, np.float32) * OVERLAY_ALPHA
).astype(np.uint8)[None]
"""(1, 256, 3) uint8: what becomes of each value of each channel."""

OVERLAY_QUALITY = 92
JPEG_MAX_SIDE_PX = 65500
PNG_COMPRESSION = 3


def photo_pictures(
    result: PhotoResult, pixels: NDArray[np.uint8], config: OutputConfig
) -> Iterable[tuple[str, str, NDArray[Any]]]:
    """The pictures of a whole photograph that are asked for: folder, suffix and picture, upright."""
    mask = result.mask
    if config.masks:
        yield "masks", ".png", mask
    if config.instances:
        yield "instances", ".png", result.instances
    if config.overlays:
        suffix = ".jpg" if max(mask.shape) <= JPEG_MAX_SIDE_PX else ".png"
        yield "overlays", suffix, overlay(pixels, mask)
    if config.soft_masks:
        yield "soft_masks", ".png", mask if result.alpha is None else result.alpha


def face_pictures(
    face: FaceResult, config: OutputConfig, photo_alpha: NDArray[np.uint8] | None = None
) -> Iterable[tuple[str, NDArray[Any]]]:
    """The pictures of a single face that are asked for: folder and picture, grey, RGB or RGBA."""
    if config.crops:
        yield "crops", face.crop.pixels
    if config.crop_masks:
        yield "crop_masks", face.mask
    if config.cutouts:
        yield "cutouts", cutout(face, photo_alpha)


def cutout(face: FaceResult, photo_alpha: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A face as it was cut out, transparent around it and where the photograph itself is.

    Parameters
    ----------
    face
        Its soft mask is taken if it has one.
    photo_alpha
        (H, W) uint8 of the whole upright photograph; None: it is opaque.

    Returns
    -------
    (crop height, crop width, 4) uint8 RGBA
    """
    alpha = face.mask if face.alpha is None else face.alpha
    if photo_alpha is not None:
        alpha = alpha.copy()
        part = face.crop.in_frame(alpha)
        part[:] = times_alpha(part, photo_alpha[face.crop.frame_slices])
    return np.dstack([face.crop.pixels, alpha])


def times_alpha(mask: NDArray[np.uint8], photo_alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The product of two alphas of one shape, 0-255; of one alone that one."""
    if photo_alpha is None:
        return mask
    return np.asarray((mask.astype(np.uint16) * photo_alpha + 127) // 255, np.uint8)


def overlay(pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint a mask half transparent red onto its photograph, with a thin solid outline.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB; not changed.
    mask
        (H, W) uint8, 0 or 255.

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    painted = pixels.copy()
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return painted
    part = (slice(y, y + height), slice(x, x + width))
    cv2.copyTo(cv2.LUT(pixels[part], _REDDENED), mask[part], painted[part])
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(mask.shape) / 1000))
    return np.asarray(cv2.drawContours(painted, contours, -1, OVERLAY_RGB, thickness), np.uint8)


def encode_picture(suffix: str, picture: NDArray[Any]) -> bytes:
    """Encode a picture; colours are tagged sRGB, masks are numbers.

    Parameters
    ----------
    suffix
        ``.png`` or ``.jpg``.
    picture
        (H, W) of 8 or 16 bits, (H, W, 3) uint8 RGB or (H, W, 4) uint8 RGBA.

    Raises
    ------
    EncodingError
        It is too large for the format.
    """
    if picture.ndim == 2 and suffix == ".png":
        encoded = encode_map(picture)
    else:
        encoded = _encode_colours(suffix, picture)
    if encoded is None:
        height, width = picture.shape[:2]
        raise EncodingError(
            f"a {suffix[1:].upper()} of {width} x {height} pixels cannot be made; lower input.max_pixels"
        )
    return encoded


def _encode_colours(suffix: str, picture: NDArray[np.uint8]) -> bytes | None:
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options: Sequence[int] = (cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION)
    if suffix == ".jpg":
        options = (cv2.IMWRITE_JPEG_QUALITY, OVERLAY_QUALITY)
    whole, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, order), options)
    return tagged_srgb(encoded.tobytes()) if whole else None
