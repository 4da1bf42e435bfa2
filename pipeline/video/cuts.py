"""Where one shot ends and another begins."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GREY_WIDTH_PX = 256
"""Width of the grey picture that cuts and motion are looked for in."""

COLOURS_DIFFER = 0.2
"""Share of the pixels that must have changed their colour for a cut, 0-1."""

PLACES_AGREE = 0.7
"""Correlation of two thumbnails from which on they show the same thing in another light: a flash."""

_THUMBNAIL_WH = (32, 18)
_BINS = 6
_COARSE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What is kept of a frame to compare the next one with.

    Attributes
    ----------
    grey
        (h, w) uint8, `GREY_WIDTH_PX` wide or as wide as the frame if that is less.
    colours
        Share of the pixels in every bin of a colour histogram; float64, sums up to 1.
    thumbnail
        (18, 32) float32 grey, mean 0, deviation 1.
    """

    grey: NDArray[np.uint8]
    colours: NDArray[np.float64]
    thumbnail: NDArray[np.float32]


def glance(pixels: NDArray[np.uint8]) -> Glance:
    """Take a glance at a frame, (H, W, 3) uint8 RGB."""
    height, width = pixels.shape[:2]
    size_wh = (min(GREY_WIDTH_PX, width), max(round(height * min(GREY_WIDTH_PX / width, 1)), 1))
    coarse = pixels
    if width >= _COARSE * GREY_WIDTH_PX:  # most pixels of a large frame are not looked at: halving is quick
        twice_wh = (2 * size_wh[0], 2 * size_wh[1])
        coarse = np.asarray(cv2.resize(pixels, twice_wh, interpolation=cv2.INTER_NEAREST), np.uint8)
    small = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    bins = (small.astype(np.uint16) * _BINS) >> 8
    codes = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    counts = np.bincount(codes.reshape(-1), minlength=_BINS**3)
    thumbnail = cv2.resize(grey, _THUMBNAIL_WH, interpolation=cv2.INTER_AREA).astype(np.float32)
    thumbnail -= thumbnail.mean()
    thumbnail /= max(float(thumbnail.std()), 1.0)
    return Glance(grey, counts / codes.size, np.asarray(thumbnail, np.float32))


def is_cut(before: Glance, now: Glance) -> bool:
    """Whether another shot begins with this frame.

    A cut changes the colours and what lies where. A pan or a turn moves things but keeps most colours from
    one frame to the next; a flash changes colours but moves nothing.

    Parameters
    ----------
    before, now
        Of two frames that follow one another.
    """
    return (
        colour_distance(before, now) > COLOURS_DIFFER
        and float((before.thumbnail * now.thumbnail).mean()) < PLACES_AGREE
    )


def colour_distance(before: Glance, now: Glance) -> float:
    """Share of the pixels that would have to change their colour to make one histogram of the other, 0-1."""
    return float(np.abs(before.colours - now.colours).sum() / 2)
