"""What decoders hand over, and how it becomes what a viewer shows: colours in sRGB, laid on a background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from landmarks.arrays import Pixels
from pipeline.colour import to_srgb
from pipeline.depth import row_blocks


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as its decoder gave it.

    Attributes
    ----------
    image
        Mode ``RGB``, ``L``, ``CMYK`` or ``LAB``; 8 bits; what lies under transparent pixels is still there.
    alpha
        (H, W) uint8, 255 opaque; None for a picture that is opaque everywhere.
    profile
        Its ICC profile, or None.
    format
        Pillow's name of the file format; ``RAW`` for a camera's raw file.
    orientation
        EXIF orientation 1-8 that ``image`` and ``alpha`` have yet to be turned by.
    is_upright
        True if the decoder has turned them by it already.
    frames
        Pictures in the file, this one counted.
    notes
        What was estimated or ignored, for people.
    """

    image: Image.Image
    alpha: Pixels | None
    profile: bytes | None
    format: str
    orientation: int = 1
    is_upright: bool = False
    frames: int = 1
    notes: tuple[str, ...] = ()


def as_shown(decoded: Decoded, background_rgb: tuple[int, int, int]) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels that a viewer shows: in sRGB, transparent ones on the background.

    Parameters
    ----------
    decoded
        What the decoder gave.
    background_rgb
        What is seen through transparent pixels, sRGB.

    Returns
    -------
    pixels
        (H, W, 3) uint8 RGB; may be read-only.
    notes
        Those of ``decoded``, and what was done here.
    """
    notes = list(decoded.notes)
    image, note = to_srgb(decoded.image, decoded.profile)
    if note:
        notes.append(note)
    pixels = np.asarray(image)
    if decoded.alpha is not None:
        pixels = _laid_on(pixels, decoded.alpha, background_rgb)
        notes.append("transparent pixels laid on input.background")
    return pixels, tuple(notes)


def without_alpha(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    """Take colours and transparency of any 8-bit picture apart.

    Parameters
    ----------
    image
        Of any mode of Pillow's with 8 bits or fewer; its transparency may lie in a channel, in the palette,
        or in one colour that stands for it.

    Returns
    -------
    image
        Mode ``RGB``, ``L``, ``CMYK`` or ``LAB``.
    alpha
        (H, W) uint8; None where every pixel is opaque.
    """
    alpha = None
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa", "P") or "transparency" in image.info:
        alpha, image = _taken_apart(image)
        if alpha is not None and alpha.min() == 255:
            alpha = None
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, alpha


def straight(colours: Pixels, alpha: Pixels) -> Pixels:
    """Undo the multiplication of colours by their alpha; where that is 0 they become black."""
    divisor = np.maximum(alpha, 1).astype(np.uint16)
    if colours.ndim == 3:
        divisor = divisor[:, :, None]
    wide = (colours * np.uint16(255) + divisor // 2) // divisor
    return np.asarray(np.minimum(wide, 255), np.uint8)


def _taken_apart(image: Image.Image) -> tuple[Pixels | None, Image.Image]:
    if not image.has_transparency_data:
        return None, image
    if image.mode == "LA":
        return np.asarray(image.getchannel("A")), image.getchannel("L")
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    # Many writers of BMP leave the fourth byte 0, and viewers show the picture all the same.
    is_filler = image.format == "BMP" and not alpha.any()
    return None if is_filler else alpha, rgba.convert("RGB")


def _laid_on(pixels: Pixels, alpha: Pixels, background_rgb: tuple[int, int, int]) -> Pixels:
    """Mixed in sRGB values, as browsers and viewers do."""
    laid = pixels.copy()
    behind = np.array(background_rgb, np.uint16)
    for rows in row_blocks(pixels.shape):
        through = alpha[rows] < 255
        share = alpha[rows][through][:, None].astype(np.uint16)
        laid[rows][through] = (pixels[rows][through] * share + behind * (255 - share) + 127) // 255
    return laid
