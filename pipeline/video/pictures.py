"""Numbered pictures as a clip: ``shot/img_%04d.png``, as find_face_landmarks takes them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.clip_files import pictures_of
from pipeline.errors import ClipReadError, ImageReadError
from pipeline.files import printable
from pipeline.images import read_photo
from pipeline.video.timeline import Timeline


def probe_pictures(path: str, *, max_pixels: int, rate: float) -> Timeline:
    """Timeline of numbered pictures: one after the other at ``rate`` a second; the first gives the size.

    Raises
    ------
    ClipReadError
        There is none, or the first can't be read.
    """
    files = pictures_of(path)
    if not files:
        raise ClipReadError(f"{printable(path)}: no pictures of such names. Check the folder and the digits")
    try:
        first = read_photo(files[0], max_pixels=max_pixels)
    except ImageReadError as error:
        raise ClipReadError(str(error)) from error
    pace = 1 / Fraction(rate).limit_denominator(1001)
    times = tuple(range(len(files)))
    size_wh = (first.pixels.shape[1], first.pixels.shape[0])
    return Timeline("pictures", f"pictures {first.format}", times, pace, times, size_wh)


def read_pictures(
    path: str,
    timeline: Timeline,
    start: int,
    stop: int,
    *,
    max_pixels: int,
    background_rgb: tuple[int, int, int] = (255, 255, 255),
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield place and pixels of the pictures that can be read and have the clip's size."""
    width, height = timeline.size_wh
    for index, file in enumerate(pictures_of(path)[start:stop], start=start):
        try:
            pixels = read_photo(file, max_pixels=max_pixels, background_rgb=background_rgb).pixels
        except ImageReadError:
            continue  # its place stays empty, which the caller says
        if pixels.shape[:2] == (height, width):
            yield index, pixels
