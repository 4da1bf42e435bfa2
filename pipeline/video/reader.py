"""Frames of a clip, upright RGB bytes with their exact times, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clip_files import is_animation, is_pattern, pictures_of
from pipeline.errors import ClipReadError
from pipeline.files import printable
from pipeline.images import file_sha256, keep_quiet
from pipeline.video import animation, pictures
from pipeline.video.containers import probe_video, read_video
from pipeline.video.timeline import Timeline


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a clip.

    Attributes
    ----------
    index
        Its place among the frames of the timeline.
    pixels
        (H, W, 3) uint8 RGB, upright.
    is_damaged
        The decoder had to guess parts of it.
    """

    index: int
    pixels: NDArray[np.uint8]
    is_damaged: bool = False


def probe(
    path: str,
    *,
    max_pixels: int,
    picture_rate: float = 25.0,
    progress: Callable[[], None] = keep_quiet,
) -> Timeline:
    """Look through a clip without decoding its pictures.

    Parameters
    ----------
    path
        A video file, an animated picture, or a pattern of numbered pictures (``shot/img_%04d.png``).
    max_pixels
        Largest width x height of a frame.
    picture_rate
        Frames a second of numbered pictures.
    progress
        Called while a file is read through.

    Returns
    -------
    Timeline
        With at least one frame.

    Raises
    ------
    ClipReadError
        Missing, unreadable, not a clip, without pictures, too large, or PyAV is not installed.
    """
    if is_pattern(path):
        timeline = pictures.probe_pictures(path, max_pixels=max_pixels, rate=picture_rate)
    elif is_animation(path):
        timeline = animation.probe_animation(path, max_pixels=max_pixels)
    else:
        timeline = probe_video(path, progress)
    width, height = timeline.size_wh
    if width * height > max_pixels:
        raise ClipReadError(
            f"{printable(path)}: its frames have {width} x {height} pixels, more than input.max_pixels "
            f"({max_pixels}). Shrink it, or raise input.max_pixels"
        )
    return timeline


def read_frames(
    path: str,
    timeline: Timeline,
    start: int,
    stop: int,
    *,
    max_pixels: int,
    threads: int = 1,
    background_rgb: tuple[int, int, int] = (255, 255, 255),
    keep_open: bool = False,
) -> Iterator[Frame]:
    """Decode the frames ``start`` to ``stop - 1`` of a clip, in order.

    What is yielded for a range depends on the file and the range alone. Frames that can't be decoded are left
    out.

    Parameters
    ----------
    path
        The clip.
    timeline
        What `probe` gave.
    start, stop
        Places among the frames of the timeline; both are limited to what there is.
    max_pixels
        Larger pictures of a sequence are refused.
    threads
        Of the decoder.
    background_rgb
        What is seen through transparent pixels of pictures, sRGB 0-255.
    keep_open
        Let a video's decoder wait at the end for whoever reads on: nothing is decoded twice then. It waits
        until another file is read, or `pipeline.video.containers.close_waiting` is called.

    Yields
    ------
    Frame

    Raises
    ------
    ClipReadError
        The file can't be opened any more.
    """
    start, stop = max(start, 0), min(stop, len(timeline))
    if start >= stop:
        return
    if timeline.kind == "pictures":
        found = pictures.read_pictures(
            path, timeline, start, stop, max_pixels=max_pixels, background_rgb=background_rgb
        )
    elif timeline.kind == "animation":
        found = animation.read_animation(path, timeline, start, stop, background_rgb=background_rgb)
    else:
        video = read_video(path, timeline, start, stop, threads=threads, keep_open=keep_open)
        for index, pixels, is_damaged in video:
            yield Frame(index, pixels, is_damaged)
        return
    for index, pixels in found:
        yield Frame(index, pixels)


def clip_sha256(path: str, progress: Callable[[], None] = keep_quiet) -> str:
    """Hex SHA-256 of a clip's bytes; of numbered pictures that of their digests in order.

    ``progress`` is called while they are read.

    Raises
    ------
    ImageReadError, ClipReadError
        A file is missing or unreadable.
    """
    if not is_pattern(path):
        return file_sha256(path, progress)
    digests = "".join(file_sha256(file, progress) for file in pictures_of(path))
    return hashlib.sha256(digests.encode()).hexdigest()
