"""Files that no library writes for us: deep TIFF and PNG, profiles for printers and greys, a raw file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, RATIONAL, SIGNED_RATIONAL, ASCII, BYTE, UNDEFINED, FLOAT = 3, 4, 5, 10, 2, 1, 7, 11
_SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8, SIGNED_RATIONAL: 8, ASCII: 1, BYTE: 1, UNDEFINED: 1, FLOAT: 4}
_LETTERS = {SHORT: "H", LONG: "I", FLOAT: "f"}

Tags = Mapping[int, tuple[int, Any]]


def tiff(
    samples: NDArray[Any], tags: Tags, *, order: Literal["<", ">"] = "<", data: bytes | None = None
) -> bytes:
    """A TIFF 6.0 of one strip.

    Parameters
    ----------
    samples
        (H, W) or (H, W, n).
    tags
        Tag to type and values; those of the layout are added.
    order
        ``<`` or ``>``.
    data
        The strip, if it is not simply the samples.
    """
    height, width = samples.shape[:2]
    count = samples.shape[2] if samples.ndim == 3 else 1
    if data is None:
        data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    bits = samples.dtype.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    entries: dict[int, tuple[int, Any]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * count),
        259: (SHORT, [1]),
        262: (SHORT, [2 if count >= 3 else 1]),
        273: (LONG, [0]),
        277: (SHORT, [count]),
        278: (LONG, [height]),
        279: (LONG, [len(data)]),
        284: (SHORT, [1]),
        339: (SHORT, [kind] * count),
        **tags,
    }
    raw = {tag: _packed(*entry, order) for tag, entry in entries.items()}
    start = 8 + 2 + 12 * len(entries) + 4
    far = sum(len(value) + len(value) % 2 for value in raw.values() if len(value) > 4)
    raw[273] = struct.pack(f"{order}I", start + far)
    directory, blob = struct.pack(f"{order}H", len(entries)), b""
    for tag in sorted(entries):
        kind, value = entries[tag][0], raw[tag]
        directory += struct.pack(f"{order}HHI", tag, kind, len(value) // _SIZES[kind])
        if len(value) <= 4:
            directory += value.ljust(4, b"\0")
        else:
            directory += struct.pack(f"{order}I", start + len(blob))
            blob += value + bytes(len(value) % 2)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", 8) + directory + bytes(4) + blob + data


def _packed(kind: int, values: Any, order: str) -> bytes:
    if isinstance(values, bytes):
        return values
    if kind in (RATIONAL, SIGNED_RATIONAL):
        return b"".join(struct.pack(f"{order}ii", round(value * 10_000), 10_000) for value in values)
    return struct.pack(f"{order}{len(values)}{_LETTERS[kind]}", *values)


def png(samples: NDArray[np.uint16] | NDArray[np.uint8], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of grey, grey with alpha, RGB or RGBA samples, with further chunks behind the header."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    bits = samples.dtype.itemsize * 8
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1)
    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in body)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def icc_profile(space: bytes, kind: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """An ICC profile (version 2) of some colour space with some tags."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    pcs = b"Lab " if b"A2B0" in tags else b"XYZ "
    header = struct.pack(">I4xI4s4s4s12x4s", start + len(body), 0x02400000, kind, space, pcs, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def _common(name: bytes) -> dict[bytes, bytes]:
    description = b"desc" + struct.pack(">4xI", len(name) + 1) + name + bytes(79)
    return {
        b"desc": description,
        b"cprt": b"text" + bytes(5),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
    }


def grey_profile(gamma: float) -> bytes:
    """A profile of greys whose light is the sample to the power of ``gamma``."""
    curve = b"curv" + struct.pack(">4xIH", 1, round(gamma * 256))
    return icc_profile(b"GRAY", b"mntr", {**_common(b"some grey"), b"kTRC": curve})


def cmyk_profile(paper_lab: tuple[int, int, int], ink_lab: tuple[int, int, int]) -> bytes:
    """A printer's profile by a table of 2 x 2 x 2 x 2: paper without ink, one colour with any full ink.

    Lab as the 8 bits of ICC.1: L * 2.55, a + 128, b + 128.
    """
    ramp = bytes(range(256))
    table = b"".join(bytes(ink_lab if index else paper_lab) for index in range(16))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return icc_profile(b"CMYK", b"prtr", {**_common(b"some press"), b"A2B0": lut})


def dng(rgb: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """A raw file of a camera with sRGB's primaries: a Bayer pattern (red first) of linear 16-bit samples."""
    height, width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    light = ((rgb[:height, :width] / 255) ** 2.2 * 65535).astype(np.uint16)
    mosaic = light[:, :, 1].copy()
    mosaic[::2, ::2] = light[::2, ::2, 0]
    mosaic[1::2, 1::2] = light[1::2, 1::2, 2]
    from_xyz = [3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572]
    tags: dict[int, tuple[int, Any]] = {
        262: (SHORT, [32803]),
        271: (ASCII, b"Own\0"),
        272: (ASCII, b"Own Camera\0"),
        274: (SHORT, [orientation]),
        33421: (SHORT, [2, 2]),
        33422: (BYTE, bytes([0, 1, 1, 2])),
        50706: (BYTE, bytes([1, 4, 0, 0])),
        50708: (ASCII, b"Own Camera\0"),
        50717: (LONG, [65535]),
        50721: (SIGNED_RATIONAL, from_xyz),
        50728: (RATIONAL, [1, 1, 1]),
        50778: (SHORT, [21]),
    }
    return tiff(mosaic, tags)
