"""Decoders that come as packages of their own: HEIF and JPEG XL, for Pillow (the extra ``formats``)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import needs_extra, too_large

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height by the number of a JPEG XL size header (ISO/IEC 18181-1), from 1 on."""


def pillow_name(format: str, file: BinaryIO, shown: str, *, max_pixels: int) -> str:
    """Make a decoder known to Pillow; return what Pillow calls its format.

    Parameters
    ----------
    format
        ``HEIF`` or ``JPEG XL``.
    file
        At its beginning, and again afterwards.
    shown
        Its name, for messages.
    max_pixels
        Held against the header of a JPEG XL file, which its decoder decodes as soon as it opens it. (That of
        HEIF only reads the header, and Pillow's own limit holds.)

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        The package is not installed, or cannot be loaded.
    """
    try:
        if format == "HEIF":
            import pillow_heif  # noqa: PLC0415 - an extra

            pillow_heif.register_heif_opener()
            pillow_heif.options.DECODE_THREADS = 1  # workers share the cores already
            return "HEIF"
        from pillow_jxl import JpegXLImagePlugin  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImageReadError(f"{shown}: is a {format} photograph. {needs_extra(format)}") from error
    JpegXLImagePlugin.DECODE_THREADS = 0
    size_wh = jpeg_xl_size(file.read())
    file.seek(0)
    if size_wh is not None and size_wh[0] * size_wh[1] > max_pixels:
        raise ImageTooLargeError(too_large(shown, size_wh[0] * size_wh[1], max_pixels))
    if size_wh is None:
        raise ImageReadError(f"{shown}: damaged: a JPEG XL file without a size")
    return "JXL"


def jpeg_xl_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG XL picture, from its header alone (ISO/IEC 18181-1, SizeHeader).

    Parameters
    ----------
    content
        The file, bare or in its container.

    Returns
    -------
    tuple of int, or None
        None where the header is damaged.
    """
    stream = _codestream(content)
    if stream[:2] != b"\xff\x0a" or len(stream) < 3:
        return None
    bits = _Bits(stream[2:18].ljust(16, b"\0"))
    is_small = bool(bits.take(1))
    height = 8 * (bits.take(5) + 1) if is_small else _length(bits)
    ratio = bits.take(3)
    if ratio:
        width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1]
    else:
        width = 8 * (bits.take(5) + 1) if is_small else _length(bits)
    return width, height


def _codestream(content: bytes) -> bytes:
    """The beginning of the picture's own stream: the file, or the first ``jxlc`` or ``jxlp`` box in it."""
    if content[:2] == b"\xff\x0a":
        return content[:32]
    place = 0
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        start = place + 8
        if length == 1:
            length = int.from_bytes(content[start : start + 8], "big")
            start += 8
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0
            return content[start : start + 32]
        if length < 8:
            break
        place += length
    return b""


class _Bits:
    """Bits of a JPEG XL header, the lowest of each byte first."""

    def __init__(self, content: bytes) -> None:
        self._left = int.from_bytes(content, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value


def _length(bits: _Bits) -> int:
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])
