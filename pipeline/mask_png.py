"""Masks as PNG: maps of numbers, most of whose rows are empty.

A general encoder looks at every byte of a map, and packs a megabyte of zeros in a millisecond. Here empty
rows at the top and the bottom are put together from a block that was packed once, and only the rows between
them are packed. Readers know the block again and count its zeros without inflating them.
"""

from __future__ import annotations

import functools
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.deep.png import PNG_SIGNATURE

LONGEST_SIDE_PX = 1_000_000
"""What libpng reads unless told otherwise."""

_ZEROS_BYTES = 1 << 16
_ROWS_BYTES = 1 << 18
_GREY, _PALETTE = 0, 3
_UP = 2
_DEFLATE_32K = b"\x78\x01"
_ADLER_MODULUS = 65521
_MEMORY_LEVEL = 6
"""Of zlib's 9: little to be cleared before a small file, and blocks short enough to fit what they hold."""


def encode_map(
    numbers: NDArray[np.uint8] | NDArray[np.uint16], *, palette: bytes | None = None
) -> bytes | None:
    """Encode a map of numbers as PNG of 8 or 16 bits (W3C, PNG third edition; RFC 1950 and 1951).

    Parameters
    ----------
    numbers
        (H, W) uint8 or uint16, of at least one pixel.
    palette
        Red, green and blue of the 256 numbers, for a map of 8 bits; None: it is grey.

    Returns
    -------
    bytes or None
        The file; None if a side is longer than `LONGEST_SIDE_PX`, or its pixels too many for one chunk.

    Raises
    ------
    ValueError
        ``numbers`` is of another shape or type, or has no pixels; or the palette does not fit.
    """
    if numbers.ndim != 2 or numbers.dtype not in (np.uint8, np.uint16) or not numbers.size:
        raise ValueError(f"numbers: expected (H, W) uint8 or uint16, got {numbers.shape} {numbers.dtype}")
    if palette is not None and (len(palette) != 3 * 256 or numbers.dtype != np.uint8):
        raise ValueError("palette: 256 colours are expected, and a map of 8 bits")
    height, width = numbers.shape
    if max(height, width) > LONGEST_SIDE_PX:
        return None
    stored = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder(">")).view(np.uint8)
    pixels = _packed_rows(stored)
    if len(pixels) >= 1 << 31:
        return None
    kind, colours = (_GREY, b"") if palette is None else (_PALETTE, _chunk(b"PLTE", palette))
    header = struct.pack(">IIBBBBB", width, height, 8 * numbers.itemsize, kind, 0, 0, 0)
    return PNG_SIGNATURE + _chunk(b"IHDR", header) + colours + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _packed_rows(stored: NDArray[np.uint8]) -> bytes:
    """(height, bytes a row) as PNG's zlib stream; every row has the number of its filter in front.

    Empty rows have filter 0 and are zeros throughout. The others are differences to the row above.
    """
    height, width = stored.shape
    _, first, _, rows = cv2.boundingRect(stored)
    packer = _Packer()
    packer.add_zeros(first * (width + 1))
    step = max(1, _ROWS_BYTES // (width + 1))
    filtered = np.empty((min(step, rows), width + 1), np.uint8)
    filtered[:, 0] = _UP
    for start in range(first, first + rows, step):
        block = stored[start : min(start + step, first + rows)]
        differences = filtered[: len(block), 1:]
        np.subtract(block[1:], block[:-1], out=differences[1:])
        differences[0] = block[0] - stored[start - 1] if start else block[0]
        packer.add(filtered[: len(block)].data)
    packer.add_zeros((height - first - rows) * (width + 1))
    return packer.finished()


def _compressor() -> Any:
    """Of bytes without a head, by runs alone: smaller for masks than matches further back, and faster."""
    return zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY_LEVEL, zlib.Z_RLE)


def _packed_zeros() -> bytes:
    compressor = _compressor()
    return b"".join([compressor.compress(bytes(_ZEROS_BYTES)), compressor.flush(zlib.Z_FULL_FLUSH)])


_ZEROS = _packed_zeros()
"""`_ZEROS_BYTES` zeros, ending on a whole byte and referred to by nothing that follows."""


_LONGEST_START_BYTES = 4 * len(_ZEROS)
_END = b"\x01\x00\x00\xff\xff"
"""An empty last block (RFC 1951, 3.2.4)."""


def inflate_rows(stream: bytes, count: int) -> tuple[int, bytes]:
    """Inflate the beginning of a zlib stream; empty rows at the top of a map of ours are only counted.

    Parameters
    ----------
    stream
        RFC 1950, whoever has packed it. Its own sum of all bytes is not looked at where it is not read to its
        end: damage is for the sums of the file's chunks to tell.
    count
        How many bytes are wanted.

    Returns
    -------
    tuple of int and bytes
        How many zeros the bytes begin with, at least, up to ``count``; and what follows them, up to ``count``
        bytes in all, less where the stream ends before.

    Raises
    ------
    zlib.error
        It is damaged.
    """
    at = stream.find(_ZEROS, len(_DEFLATE_32K), _LONGEST_START_BYTES)
    zeros = _zeros_of(stream[len(_DEFLATE_32K) : at]) if at > 0 and stream.startswith(_DEFLATE_32K) else None
    if zeros is None:
        return 0, zlib.decompressobj().decompress(stream, count) if count else b""
    while stream.startswith(_ZEROS, at):
        at += len(_ZEROS)
        zeros += _ZEROS_BYTES
    if zeros >= count:
        return count, b""
    rest = zlib.decompressobj(-zlib.MAX_WBITS, zdict=bytes(1 << zlib.MAX_WBITS))
    return zeros, rest.decompress(stream[at:], count - zeros)


@functools.lru_cache(maxsize=4096)
def _zeros_of(start: bytes) -> int | None:
    """How many zeros the start of a stream holds; None if it holds others, or ends within a block."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(start + _END)
    except zlib.error:
        return None
    whole = inflater.eof and not inflater.unused_data and not any(content)
    return len(content) if whole else None


class _Packer:
    """A zlib stream on its way."""

    def __init__(self) -> None:
        self._parts = [_DEFLATE_32K]
        self._compressor = _compressor()
        self._checksum = 1

    def add(self, content: memoryview | bytes) -> None:
        self._parts.append(self._compressor.compress(content))
        self._checksum = zlib.adler32(content, self._checksum)

    def add_zeros(self, count: int) -> None:
        blocks, rest = divmod(count, _ZEROS_BYTES)
        self.add(bytes(rest))
        if blocks:
            self._parts += [self._compressor.flush(zlib.Z_FULL_FLUSH), _ZEROS * blocks]
            low, high = self._checksum & 0xFFFF, self._checksum >> 16
            high = (high + low * blocks * _ZEROS_BYTES) % _ADLER_MODULUS
            self._checksum = high << 16 | low

    def finished(self) -> bytes:
        return b"".join([*self._parts, self._compressor.flush(), struct.pack(">I", self._checksum)])
