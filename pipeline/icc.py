"""ICC profiles made of numbers, and that of sRGB: the same bytes on every machine.

Pillow makes one of sRGB, too, but writes the present time into it, and none of other primaries.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

SRGB_PRIMARIES_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65_XY = (0.3127, 0.3290)
"""Red, green and blue, and the white, of ITU-R BT.709 and IEC 61966-2-1 (sRGB)."""

_D50_XYZ = (0.9642, 1.0, 0.8249)  # the profile connection space of ICC.1
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CURVE_ENTRIES = 1024


def matrix_profile(
    primaries_xy: tuple[tuple[float, float], ...],
    white_xy: tuple[float, float],
    gamma: float | None,
    name: str,
) -> bytes:
    """Make an ICC profile (ICC.1:2001-04, version 2.4) of a display: three primaries and a tone curve.

    Parameters
    ----------
    primaries_xy
        CIE 1931 x, y of red, green and blue.
    white_xy
        CIE 1931 x, y of white; adapted to D50 by the Bradford matrix (ICC.1:2010, annex E).
    gamma
        Exponent from samples to light; None: the curve of sRGB (IEC 61966-2-1).
    name
        For people; ASCII.

    Returns
    -------
    bytes
        Always the same for the same arguments.

    Raises
    ------
    ValueError
        Primaries or a white that span no colour space.
    """
    columns = _primaries_xyz_d50(primaries_xy, white_xy)
    if gamma is None:
        curve = (
            b"curv"
            + struct.pack(">4xI", _CURVE_ENTRIES)
            + _srgb_curve(_CURVE_ENTRIES).astype(">u2").tobytes()
        )
    else:
        curve = b"curv" + struct.pack(">4xIH", 1, min(round(gamma * 256), 65535))
    text = name.encode("ascii")
    description = b"desc" + struct.pack(">4xI", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = [
        (b"desc", description),
        (b"cprt", b"text" + bytes(4) + b"No copyright, use freely\0"),
        (b"wtpt", _xyz(_D50_XYZ)),
        *((tag, _xyz(column)) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)),
        (b"rTRC", curve),
        (b"gTRC", curve),
        (b"bTRC", curve),
    ]
    start = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for tag, content in tags:
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", places[content], len(content))
    header = struct.pack(
        ">I4xI4s4s4s6H4s",
        start + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", 2026, 1, 1, 0, 0, 0, b"acsp",
    )  # fmt: skip
    header = header.ljust(68, b"\0") + b"".join(_s15_fixed_16(value) for value in _D50_XYZ)
    return header.ljust(128, b"\0") + table + body


def _primaries_xyz_d50(
    primaries_xy: tuple[tuple[float, float], ...], white_xy: tuple[float, float]
) -> NDArray[np.float64]:
    """(3, 3): the XYZ of red, green and blue in its columns, adapted so that white is D50."""
    if min(y for _, y in (*primaries_xy, white_xy)) <= 0:
        raise ValueError("a chromaticity has no y")
    directions = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in primaries_xy]).T
    white = np.array([white_xy[0] / white_xy[1], 1.0, (1 - sum(white_xy)) / white_xy[1]])
    columns = directions * np.linalg.solve(directions, white)
    scale = np.diag((_BRADFORD @ np.array(_D50_XYZ)) / (_BRADFORD @ white))
    adapted: NDArray[np.float64] = np.linalg.solve(_BRADFORD, scale @ _BRADFORD @ columns)
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 100:
        raise ValueError("these primaries span no colour space")
    return adapted


def _srgb_curve(entries: int) -> NDArray[np.float64]:
    """Light 0-65535 of samples from 0 to 1 (IEC 61966-2-1)."""
    samples = np.linspace(0, 1, entries)
    light = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.rint(light * 65535))


def _xyz(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_s15_fixed_16(float(value)) for value in values)


def _s15_fixed_16(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


SRGB_PROFILE = matrix_profile(SRGB_PRIMARIES_XY, D65_XY, None, "sRGB")
"""An ICC profile of sRGB, of about 2.5 kB: what our own pictures are tagged with."""
