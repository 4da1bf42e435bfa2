"""PNG with 16 bits a sample, and the chunks that PNG is made of."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarks.arrays import Pixels
from pipeline.deep.samples import Samples, by_opencv, in_8_bits

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END_CHUNK = b"\0\0\0\0IEND\xaeB\x60\x82"


def is_deep_png(head: bytes) -> bool:
    """Whether a PNG's header (its first 25 bytes) tells of 16 bits a sample."""
    return len(head) > 24 and head[24] == 16


def read_deep_png(file: BinaryIO, image: Image.Image) -> tuple[Image.Image, Pixels | None, tuple[str, ...]]:
    """Read a PNG for which `is_deep_png`.

    Parameters
    ----------
    file
        The whole file can be read from it.
    image
        The same as Pillow has read it, to the end, so that the file is known to be whole.

    Returns
    -------
    image
        Mode ``RGB`` or ``L``, 8 bits.
    alpha
        (H, W) uint8, or None.
    notes
        What was estimated, for people.

    Raises
    ------
    ValueError
        It is damaged.
    """
    file.seek(0)
    content = file.read()
    transparent = image.info.get("transparency")
    significant = _significant_bits(content)
    if image.mode == "I;16":
        colours = np.asarray(image)
        alpha = None
        if isinstance(transparent, int):
            alpha = np.where(colours == transparent, np.uint16(0), np.uint16(65535))
    else:
        stored = by_opencv(_bare(content))
        if stored is None or stored.dtype != np.uint16 or stored.ndim != 3:
            raise ValueError("its pixels cannot be decoded")
        colours, alpha = stored[:, :, :3], stored[:, :, 3] if stored.shape[2] == 4 else None
        if image.mode == "LA":
            colours = colours[:, :, 0]
    declared = None
    if significant is not None and significant < 16:
        declared = float((1 << significant) - 1) if _right_aligned(colours, significant) else 65535.0
    return in_8_bits(Samples(colours, alpha, declared=declared))


def _right_aligned(values: NDArray[np.uint16], bits: int) -> bool:
    """Whether samples with so many significant bits lie in the lowest ones, against the PNG specification.

    It wants them scaled up to the full range. Scaled ones below ``2 ** bits`` are multiples of
    ``2 ** (16 - bits)``.
    """
    return int(values.max()) < 1 << bits and bool((values & np.uint16((1 << (16 - bits)) - 1)).any())


def _significant_bits(content: bytes) -> int | None:
    """The largest entry of a PNG's ``sBIT`` chunk, which stands before the pixels."""
    for kind, chunk in png_chunks(content):
        if kind == b"IDAT":
            break
        if kind == b"sBIT":
            entries = chunk[8:-4]
            bits = max(entries[: 3 if len(entries) >= 3 else 1], default=0)  # without that of alpha
            return bits if 1 <= bits <= 16 else None
    return None


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes, with length and checksum, of the whole chunks of a PNG; a cut-off one ends them."""
    place = len(PNG_SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if place + 12 + length > len(content):
            return
        yield kind, content[place : place + 12 + length]
        place += 12 + length


def _bare(content: bytes) -> bytes:
    """Of a PNG what its pixels need: other chunks may cost a decoder time and memory."""
    kept = [chunk for kind, chunk in png_chunks(content) if kind in (b"IHDR", b"tRNS", b"IDAT")]
    return PNG_SIGNATURE + b"".join(kept) + _END_CHUNK
