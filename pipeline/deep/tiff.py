"""TIFF with more than 8 bits a sample."""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.decoded import Decoded
from pipeline.deep import tiff_tags as tag
from pipeline.deep.samples import Samples, by_opencv, in_8_bits
from pipeline.deep.tiff_tags import TiffTags
from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import too_large

_ASSOCIATED, _UNASSOCIATED = 1, 2  # values of ExtraSamples: multiplied into the colours, or not

# What OpenCV decodes to the letter: format and bits of the samples.
_OPENCV_KINDS = {(tag.UNSIGNED, bits) for bits in (10, 12, 14, 16)}
_OPENCV_KINDS |= {(tag.SIGNED, 16), (tag.FLOAT, 32), (tag.FLOAT, 64)}


def read_deep_tiff(file: BinaryIO, tags: TiffTags, shown: str, *, max_pixels: int) -> Decoded:
    """Read a TIFF for which `TiffTags.is_deep`.

    Parameters
    ----------
    file
        At its beginning.
    tags
        Its tags.
    shown
        Its name, for messages.
    max_pixels
        Held against the header before anything is decoded.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        No decoder knows this kind, or it is damaged.
    """
    width, height = tags.number(tag.WIDTH, 0), tags.number(tag.HEIGHT, 0)
    if width * height > max_pixels:
        raise ImageTooLargeError(too_large(shown, width * height, max_pixels))
    stored = _tiff_array(file, tags, shown)
    if stored.shape[:2] != (height, width):
        raise ImageReadError(f"{shown}: damaged: its header and its pixels disagree in size")
    photometric = tags.number(tag.PHOTOMETRIC, tag.BLACK_IS_ZERO)
    count = 3 if photometric == tag.RGB else 1
    if stored.ndim == 2:
        stored = stored[:, :, None]
    if stored.shape[2] < count:
        raise ImageReadError(f"{shown}: damaged: RGB with {stored.shape[2]} samples a pixel")
    extra = tags.numbers(tag.EXTRA_SAMPLES) if tag.EXTRA_SAMPLES in tags else (_UNASSOCIATED,)
    kind = extra[0] if extra and stored.shape[2] > count else 0
    samples = Samples(
        stored[:, :, :3] if count == 3 else stored[:, :, 0],
        stored[:, :, count] if kind in (_ASSOCIATED, _UNASSOCIATED) else None,
        kind == _ASSOCIATED,
        photometric == tag.WHITE_IS_ZERO,
        _declared_white(tags),
    )
    profile = tags.get(tag.ICC_PROFILE)
    orientation = tags.number(tag.ORIENTATION, 1)
    image, alpha, notes = in_8_bits(samples)
    return Decoded(
        image,
        alpha,
        profile if isinstance(profile, bytes) else None,
        "TIFF",
        orientation if 1 <= orientation <= 8 else 1,
        frames=tags.frames,
        notes=notes,
    )


def _declared_white(tags: TiffTags) -> float | None:
    """White by ``SMaxSampleValue`` or ``MaxSampleValue``.

    TIFF 6.0 lets writers put their largest sample there, so whole numbers are taken to mean the depth that
    holds them: 4095 and 3900 mean 12 bits. Without them the bits of a packed file are its depth.
    """
    declared = max(tags.numbers(tag.S_MAX_SAMPLE) or tags.numbers(tag.MAX_SAMPLE), default=0.0)
    if declared <= 0:
        return None
    if tags.number(tag.SAMPLE_FORMAT, tag.UNSIGNED) == tag.FLOAT:
        return declared
    return float((1 << max(int(declared).bit_length(), 8)) - 1)


def _tiff_array(file: BinaryIO, tags: TiffTags, shown: str) -> NDArray[Any]:
    """(H, W) or (H, W, samples) as stored; OpenCV's decoder first, tifffile's for rarer kinds."""
    kind = (tags.number(tag.SAMPLE_FORMAT, tag.UNSIGNED), tags.number(tag.BITS, 1))
    samples = tags.number(tag.SAMPLES, 1)
    reason = "its pixels cannot be decoded"
    if kind in _OPENCV_KINDS and samples in (1, 3, 4) and (samples == 1 or tags.number(tag.PLANAR, 1) == 1):
        array = by_opencv(tags.unturned(file.read()))
        if array is not None:
            return array
        file.seek(0)
    import tifffile  # noqa: PLC0415 - takes a tenth of a second, and few files need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says is said in our error, too
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            array = page.asarray(maxworkers=1)
            separate = page.planarconfig == 2 and samples > 1
    except Exception as error:
        raise ImageReadError(f"{shown}: damaged, or of a kind that is not read: {error or reason}") from error
    array = np.moveaxis(array, 0, -1) if separate and array.ndim == 3 else array
    return np.asarray(array)
