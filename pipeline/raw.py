"""Cameras' raw files, developed by LibRaw (the package rawpy, of the extra ``formats``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import Image

from pipeline.decoded import Decoded
from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import needs_extra, too_large

_NEW_SUBFILE_TYPE_TAG, _COMPRESSION_TAG, _PHOTOMETRIC_TAG = 254, 259, 262
_SUB_IFDS_TAG, _DNG_VERSION_TAG = 330, 50706

_SENSOR_PHOTOMETRICS = (32803, 34892)  # a colour filter array (TIFF/EP), linear raw (DNG)
_MAKERS_COMPRESSIONS = (
    32767,
    32769,
    32770,
    34713,
    65000,
    65535,
)  # Sony, Epson, Samsung, Nikon, Kodak, Pentax

# EXIF orientation by LibRaw's flip: 1 mirrors columns, 2 rows, 4 swaps the two (dcraw's table, inverted).
_ORIENTATION_BY_FLIP = {0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8}


def is_raw(tags: Mapping[int, Any]) -> bool:
    """Whether a TIFF is a camera's raw file.

    It is a DNG, or its first page is a thumbnail with the picture in a sub-directory, or that page holds the
    samples of a sensor or is packed as only a camera's maker packs.

    Parameters
    ----------
    tags
        Of its first directory.
    """
    subfile_type = tags.get(_NEW_SUBFILE_TYPE_TAG)
    reduced = isinstance(subfile_type, int) and subfile_type & 1 and _SUB_IFDS_TAG in tags
    photometric, compression = tags.get(_PHOTOMETRIC_TAG), tags.get(_COMPRESSION_TAG)
    is_sensor = photometric in _SENSOR_PHOTOMETRICS or compression in _MAKERS_COMPRESSIONS
    return bool(reduced) or is_sensor or _DNG_VERSION_TAG in tags


def develop(file: BinaryIO, shown: str, *, max_pixels: int) -> Decoded:
    """Develop a raw file to sRGB with the camera's white balance, on the pixel grid of its sensor.

    Parameters
    ----------
    file
        Open at its beginning.
    shown
        Its name, for messages.
    max_pixels
        Held against its header before anything is decoded.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        rawpy is not installed, or LibRaw does not know the file or finds it damaged.
    """
    try:
        import rawpy  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImageReadError(f"{shown}: is a camera's raw file. {needs_extra('RAW')}") from error
    try:
        with rawpy.imread(file) as raw:
            sizes = raw.sizes
            count = max(sizes.raw_width * sizes.raw_height, sizes.iwidth * sizes.iheight)
            if count > max_pixels:
                raise ImageTooLargeError(too_large(shown, count, max_pixels))
            pixels = raw.postprocess(
                use_camera_wb=True, user_flip=0, output_bps=8, output_color=rawpy.ColorSpace.sRGB
            )
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = str(error).strip("b'")  # LibRaw's own text comes as bytes
        raise ImageReadError(
            f"{shown}: is a camera's raw file that LibRaw {rawpy.libraw_version} cannot read: {reason}. "
            "Develop it to JPEG or TIFF"
        ) from error
    return Decoded(Image.fromarray(pixels), None, None, "RAW", _ORIENTATION_BY_FLIP.get(sizes.flip, 1))
