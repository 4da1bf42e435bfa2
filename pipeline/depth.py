"""Bits: from samples of any depth to the 8 bits a channel that everything behind works on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL_BITS = (8, 10, 12, 14, 16)
"""Depths of cameras, scanners and screens."""

_LEAST_LEVELS = 16  # of fewer that lie far apart nothing follows
_SPREAD_STEP = 4  # levels that lie at least this far apart were shifted or multiplied up to the full range
_MOST_SAMPLED = _BLOCK_VALUES = 1_000_000


def to_8_bits(values: NDArray[Any], declared: float | None = None) -> tuple[NDArray[np.uint8], str | None]:
    """Scale samples of more than 8 bits, grey and colour alike, so that white becomes 255.

    Whole numbers: white is the largest value that the file declares. Otherwise it is estimated: the largest
    number of the narrowest of 8, 10, 12, 14 and 16 bits that holds all samples; but the full 16 bits where
    many levels are in use and all lie four or more apart: fewer bits were spread over the full range. Beyond
    16 bits, or with values below 0, the least becomes black and the largest white.

    Numbers with fractions: white is the value declared; else 1 if hardly any value (1 %) lies beyond it;
    else as for whole numbers. A few values far above the rest, or below 0, are cut off. What is no number
    is black.

    Parameters
    ----------
    values
        (H, W) or (H, W, channels); the colours only, no alpha.
    declared
        The value of white by the file's own word. Where samples exceed it, it is not believed.

    Returns
    -------
    scaled
        Of the same shape, uint8.
    note
        What was estimated, for people; None where nothing was: 16 bits that are 16 bits, or declared ones.
    """
    if values.dtype == np.uint8:
        return values, None
    if values.dtype.kind == "f":
        low, high, note = _float_range(values, declared)
    else:
        low, high, note = _whole_range(values, declared)
        if low == 0 and high <= 65535 and values.dtype == np.uint16:
            table = np.minimum((np.arange(65536) * 255 + int(high) // 2) // int(high), 255).astype(np.uint8)
            return table[values], note
    scaled = np.empty(values.shape, np.uint8)
    for rows in row_blocks(values.shape):
        numbers = (values[rows].astype(np.float64) - low) * (255 / (high - low))
        numbers[~np.isfinite(numbers)] = 0
        scaled[rows] = np.clip(np.rint(numbers, out=numbers), 0, 255, out=numbers)
    return scaled, note


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an (H, W, ...) array in turn, about a million values at once, to take little memory."""
    height = shape[0]
    rows = max(1, _BLOCK_VALUES * height // max(1, math.prod(shape)))
    for start in range(0, height, rows):
        yield slice(start, start + rows)


def _whole_range(values: NDArray[Any], declared: float | None) -> tuple[float, float, str | None]:
    """Black, white, and what was estimated."""
    least, largest = int(values.min()), int(values.max())
    if declared is not None and least >= 0 and largest <= declared:
        return 0.0, float(declared), None
    if least < 0 or largest > 65535:
        return float(least), float(max(largest, least + 1)), f"its values {least} to {largest} were stretched"
    bits = next(bits for bits in USUAL_BITS if largest < 1 << bits)
    if bits == 16 or _levels_are_spread(values):
        return 0.0, 65535.0, None
    return 0.0, float((1 << bits) - 1), f"{bits} bits a sample, estimated: its largest value is {largest}"


def _levels_are_spread(values: NDArray[Any]) -> bool:
    used = np.zeros(65536, np.bool_)
    for rows in row_blocks(values.shape):
        used[values[rows].ravel()] = True
    levels = np.flatnonzero(used)
    return len(levels) >= _LEAST_LEVELS and bool(np.gcd.reduce(levels) >= _SPREAD_STEP)


def _float_range(values: NDArray[Any], declared: float | None) -> tuple[float, float, str | None]:
    flat = values.ravel()
    some = flat[:: max(1, flat.size // _MOST_SAMPLED)].astype(np.float64)
    finite = some[np.isfinite(some)]
    if not finite.size:
        return 0.0, 1.0, None
    is_number = np.isfinite(flat)
    least = float(flat.min(where=is_number, initial=np.inf))
    largest = float(flat.max(where=is_number, initial=-np.inf))
    if declared is not None and largest <= declared and least >= 0:
        return 0.0, float(declared), None
    few_below, most = (float(value) for value in np.quantile(finite, (0.01, 0.99)))
    if few_below >= 0 and most <= 1:
        return 0.0, 1.0, None
    if few_below >= 0:
        tops = (float((1 << bits) - 1) for bits in USUAL_BITS)
        top = next((top for top in tops if largest <= top), None)
        if top is not None and most > top / 16:
            return 0.0, top, f"white taken to be {top:g}: its largest value is {largest:.6g}"
        return 0.0, most, f"white taken to be {most:.6g}, which 1 % of its values exceed"
    high = largest if largest > least else least + 1
    return least, high, f"its values {least:.6g} to {largest:.6g} were stretched"
