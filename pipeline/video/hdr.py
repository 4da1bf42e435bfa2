"""High dynamic range made an ordinary picture: PQ and HLG signals to sRGB bytes that the models know."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["sdr", "pq", "hlg"]

REFERENCE_WHITE_NITS = 203.0
"""Light of a white sheet of paper in a graded HDR picture (ITU-R BT.2408)."""

PEAK_NITS = 1000.0
"""Light that becomes white: brighter than this is a lamp, not a face. Also HLG's nominal peak (BT.2100)."""

_LEVELS = 65536


def transfer_of(color_trc: int) -> Transfer:
    """Transfer characteristics of a stream as its number tells (ITU-T H.273, table 3): 16 PQ, 18 HLG."""
    return {16: "pq", 18: "hlg"}.get(color_trc, "sdr")  # type: ignore[return-value]


def to_sdr(pixels: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """Tone map a picture, every channel by the same curve.

    Parameters
    ----------
    pixels
        (H, W, 3) uint16, 0-65535: R'G'B' signal of PQ or HLG.
    transfer
        ``pq`` or ``hlg``.

    Returns
    -------
    (H, W, 3) uint8
        sRGB signal. Skin at its usual light (a fifth to a half of the reference white) keeps it. The
        primaries stay those of the clip: colours come out a little pale, which does faces no harm.

    Raises
    ------
    ValueError
        ``transfer`` is ``sdr``, or the pixels are not uint16.
    """
    if pixels.dtype != np.uint16 or transfer == "sdr":
        raise ValueError(f"uint16 pixels of pq or hlg are expected, got {pixels.dtype} of {transfer}")
    return np.asarray(_curve(transfer)[pixels])


@cache
def _curve(transfer: Transfer) -> NDArray[np.uint8]:
    """The way of every signal level: to light, under the peak, to sRGB."""
    signal = np.arange(_LEVELS) / (_LEVELS - 1)
    light = (_pq_nits(signal) if transfer == "pq" else _hlg_nits(signal)) / REFERENCE_WHITE_NITS
    peak = PEAK_NITS / REFERENCE_WHITE_NITS
    # Reinhard's extended operator (2002), equation 4, then scaled back so that middle light keeps its place.
    mapped = light * (1 + light / peak**2) / (1 + light)
    middle = 0.18
    mapped *= middle / (middle * (1 + middle / peak**2) / (1 + middle))
    mapped = np.clip(mapped, 0, 1)
    srgb = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
    curve = np.rint(255 * srgb).astype(np.uint8)
    curve.flags.writeable = False
    return np.asarray(curve, np.uint8)


def _pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: signal 0-1 to light in cd/m2."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    light: NDArray[np.float64] = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def _hlg_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100 HLG: signal 0-1 to light in cd/m2 on a display of `PEAK_NITS`, system gamma 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(PEAK_NITS * scene**1.2)
