"""Animated GIF, WebP and PNG as clips, read by Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pipeline.clip_files import ANIMATED_FORMATS
from pipeline.decoded import Decoded, as_shown, without_alpha
from pipeline.errors import ClipReadError
from pipeline.files import printable
from pipeline.video.timeline import Timeline

_LEAST_MS = 20
"""Viewers show frames that ask for less time for a tenth of a second."""
_DEFAULT_MS = 100


def probe_animation(path: str, *, max_pixels: int) -> Timeline:
    """Timeline of an animated picture, times in milliseconds.

    Raises
    ------
    ClipReadError
        It can't be read.
    """
    times: list[int] = []
    now = 0
    with closing(_opened(path)) as image:
        size_wh, name = image.size, str(image.format)
        if size_wh[0] * size_wh[1] > max_pixels:
            return Timeline("animation", name, (0,), Fraction(1, 1000), (0,), size_wh)
        truncated = False
        for index in range(getattr(image, "n_frames", 1)):
            try:
                image.seek(index)
                image.load()
            except (OSError, EOFError, SyntaxError, ValueError):
                truncated = True
                break
            times.append(now)
            duration = round(float(image.info.get("duration") or 0))
            now += duration if duration >= _LEAST_MS else _DEFAULT_MS
    if not times:
        raise ClipReadError(f"{printable(path)}: its first frame is damaged. Save it anew, or leave it out")
    pts = tuple(times)
    return Timeline("animation", name, pts, Fraction(1, 1000), pts[:1], size_wh, truncated=truncated)


def read_animation(
    path: str, timeline: Timeline, start: int, stop: int, *, background_rgb: tuple[int, int, int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield place and pixels of frames; each builds on those before, so reading starts at the first."""
    with closing(_opened(path)) as image:
        for index in range(stop):
            try:
                image.seek(index)
                image.load()
            except (OSError, EOFError, SyntaxError, ValueError):
                return
            if index >= start:
                yield index, _as_shown(image, background_rgb)


def _as_shown(image: ImageFile.ImageFile, background_rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A frame as viewers show it: transparent pixels on a background, colours in sRGB."""
    profile = image.info.get("icc_profile")
    plain, alpha = without_alpha(image)
    decoded = Decoded(plain, alpha, profile if isinstance(profile, bytes) else None, str(image.format))
    return as_shown(decoded, background_rgb)[0]


def _opened(path: str) -> ImageFile.ImageFile:
    try:
        return Image.open(path, formats=ANIMATED_FORMATS)
    except (OSError, SyntaxError, ValueError) as error:
        raise ClipReadError(f"{printable(path)}: damaged: {error}. Save it anew, or leave it out") from error
