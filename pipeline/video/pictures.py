"""Numbered pictures as a clip: ``shot/img_%04d.png``, as find_face_landmarks takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ClipReadError, ImageReadError
from pipeline.files import printable
from pipeline.images import read_photo
from pipeline.video.timeline import Timeline

_NUMBER = re.compile(r"%0?(\d*)d")


def is_pattern(path: str) -> bool:
    """Whether a path names numbered pictures: one ``%d`` or ``%0Nd`` in its last part, and no such file."""
    return len(_NUMBER.findall(Path(path).name)) == 1 and not Path(path).exists()


def files_of(path: str) -> list[str]:
    """The pictures that a pattern names, by their numbers; empty where there are none."""
    folder, name = Path(path).parent, Path(path).name
    number = _NUMBER.search(name)
    if number is None:
        return []
    width = int(number.group(1) or 0)
    before, after = re.escape(name[: number.start()]), re.escape(name[number.end() :])
    wanted = re.compile(f"{before}(\\d{{{max(width, 1)},}}){after}")
    found = []
    for file in folder.iterdir() if folder.is_dir() else ():
        match = wanted.fullmatch(file.name)
        if match and (len(match.group(1)) == width or not match.group(1).startswith("0") or width == 0):
            found.append((int(match.group(1)), str(file)))
    return [file for _, file in sorted(found)]


def probe_pictures(path: str, *, max_pixels: int, rate: float) -> Timeline:
    """Timeline of numbered pictures: one after the other at ``rate`` a second; the first gives the size.

    Raises
    ------
    ClipReadError
        There is none, or the first can't be read.
    """
    files = files_of(path)
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
    path: str, timeline: Timeline, start: int, stop: int, *, max_pixels: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield place and pixels of the pictures that can be read and have the clip's size."""
    width, height = timeline.size_wh
    for index, file in enumerate(files_of(path)[start:stop], start=start):
        try:
            pixels = read_photo(file, max_pixels=max_pixels).pixels
        except ImageReadError:
            continue  # its place stays empty, which the caller says
        if pixels.shape[:2] == (height, width):
            yield index, pixels
