"""The decoder for every file: Pillow's own, its plugins', LibRaw's, and those for more than 8 bits."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from pipeline.colour import described_profile
from pipeline.decoded import Decoded, without_alpha
from pipeline.deep.png import PNG_SIGNATURE, is_deep_png, png_chunks, read_deep_png
from pipeline.deep.tiff import read_deep_tiff
from pipeline.deep.tiff_tags import TiffTags
from pipeline.depth import to_8_bits
from pipeline.formats import PILLOW_FORMATS, sniff_format
from pipeline.plugins import pillow_name
from pipeline.raw import develop, is_raw

# What Pillow's decoders and header readers raise on damaged files, found by fuzzing and in its source.
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    EOFError,
    BufferError,
    struct.error,
    zlib.error,
)

_ORIENTATION_TAG = 0x0112
_MPO_ENTRIES_TAG = 0xB002
_TEXT_CHUNKS = (b"iCCP", b"iTXt", b"tEXt", b"zTXt")


def decode(file: BinaryIO, head: bytes, shown: str, *, max_pixels: int) -> Decoded:
    """Let the right decoder work; which one is told by the content.

    Parameters
    ----------
    file
        At its beginning.
    head
        Its first `pipeline.formats.SNIFF_BYTES` bytes.
    shown
        Its name, for messages.
    max_pixels
        Held against the header before anything is decoded. Of the pictures that Pillow opens Pillow itself
        does so: its ``Image.MAX_IMAGE_PIXELS`` must be this, and its warning an error.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageReadError
        See its message.
    Exception
        One of `PILLOW_ERRORS`, or of Pillow's own classes: the file is damaged, too large or unknown.
    """
    format = sniff_format(head)
    if format == "RAW":
        return develop(file, shown, max_pixels=max_pixels)
    frames = None
    if format == "TIFF":
        tags = TiffTags(file)
        if is_raw(tags):
            return develop(file, shown, max_pixels=max_pixels)
        if tags.is_deep:
            return read_deep_tiff(file, tags, shown, max_pixels=max_pixels)
        frames = tags.frames
    formats: tuple[str, ...] = PILLOW_FORMATS
    if format in ("HEIF", "JPEG XL"):
        formats = (pillow_name(format, file, shown, max_pixels=max_pixels),)
    try:
        return _by_pillow(file, head, formats, frames)
    except ValueError as error:
        if format != "PNG" or not ("MAX_TEXT" in str(error) or "text chunks" in str(error)):
            raise
    # Its profile or text unpacks to megabytes: a decompression bomb, or a profile too large to be kept there.
    file.seek(0)
    decoded = _by_pillow(io.BytesIO(_without_text(file.read())), head, formats, frames)
    return replace(decoded, notes=(*decoded.notes, "its colour profile or text is too large and was ignored"))


def _by_pillow(file: BinaryIO, head: bytes, formats: tuple[str, ...], frames: int | None) -> Decoded:
    with Image.open(file, formats=formats) as image:
        orientation = _orientation(image)
        frames = _frames(image) if frames is None else frames
        size_wh = image.size
        image.load()
        if image.size != size_wh:
            raise ValueError("its header and its pixels disagree in size")
        notes: tuple[str, ...] = ()
        if image.format == "PNG" and is_deep_png(head):
            plain, alpha, notes = read_deep_png(file, image)
        elif image.mode in ("F", "I") or image.mode.startswith("I;"):
            # PPM, JPEG 2000 and JPEG XL: their decoders scale to the full range what the file declares.
            values, note = to_8_bits(np.asarray(image), 1.0 if image.mode == "F" else 65535.0)
            plain, alpha, notes = Image.fromarray(values), None, (note,) if note else ()
        else:
            plain, alpha = without_alpha(image)
        profile = image.info.get("icc_profile")
        if not isinstance(profile, bytes) or not profile:
            profile = described_profile(image.info, grey=plain.mode == "L")
        return Decoded(
            plain,
            alpha,
            profile,
            image.format or "unknown",
            orientation,
            is_upright=image.format == "TIFF",  # Pillow turns it when it is loaded
            frames=frames,
            notes=notes,
        )


def _orientation(image: ImageFile.ImageFile) -> int:
    """Read the EXIF orientation; 1 where it is missing or nonsense. Like ``cv2.imread`` it ignores XMP."""
    image.info.pop("xmp", None)
    image.info.pop("XML:com.adobe.xmp", None)
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1  # turned by its decoder; of a repacked JPEG it gives the JPEG's own pixels
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except PILLOW_ERRORS:
        image.getexif().clear()
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(image: ImageFile.ImageFile) -> int:
    """How many pictures a file holds. Of an MPO only other views count, not previews and gain maps."""
    try:
        if image.format == "MPO":
            entries = getattr(image, "mpinfo", {}).get(_MPO_ENTRIES_TAG, ())
            kinds = [str(entry.get("Attribute", {}).get("MPType", "")) for entry in entries]
            return max(1, 1 + sum(kind.startswith("Multi-Frame") for kind in kinds[1:]))
        return int(getattr(image, "n_frames", 1))
    except PILLOW_ERRORS:
        return 1  # damaged further on; the first one may be whole


def _without_text(content: bytes) -> bytes:
    """A PNG without profile and text."""
    return PNG_SIGNATURE + b"".join(chunk for kind, chunk in png_chunks(content) if kind not in _TEXT_CHUNKS)
