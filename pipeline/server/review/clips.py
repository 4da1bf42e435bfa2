"""Frames of clips with the masks that their run has written, to look at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.clip_files import is_pattern, pictures_of
from pipeline.config import Config
from pipeline.errors import ClipReadError
from pipeline.images import to_upright
from pipeline.manifest.records import recorded_path
from pipeline.server.review.pictures import PictureCache
from pipeline.video.reader import probe, read_frames
from pipeline.video.timeline import Timeline

_MOST_BYTE_TRACKS = 255
"""Instance maps of more tracks have 16 bits, of which the reader of clips keeps 8."""

_BYTES_A_TIME = 64
"""What a frame's time takes in memory, roughly."""


class ClipFrames:
    """Looks frames up.

    Parameters
    ----------
    output
        The output directory of a run.
    working_directory
        Where relative paths of clips start.
    config
        Of the run.
    cache
        Keeps the times of clips.
    """

    def __init__(self, output: Path, working_directory: Path, config: Config, cache: PictureCache) -> None:
        self._output = output
        self._working_directory = working_directory
        self._config = config
        self._cache = cache

    def count(self, record: Mapping[str, Any]) -> int:
        """How many frames can be shown: none where the clip has gone."""
        path = self._path(record)
        is_there = bool(pictures_of(path)) if is_pattern(path) else Path(path).is_file()
        return int(record["clip"]["frames"]) if is_there else 0

    def pixels(self, record: Mapping[str, Any], index: int) -> NDArray[np.uint8]:
        """A frame, upright.

        Parameters
        ----------
        record
            Of the clip.
        index
            Place of the frame.

        Returns
        -------
        (H, W, 3) uint8
            RGB.

        Raises
        ------
        IndexError
            There is no such frame.
        ClipReadError
            It can't be read.
        """
        return self._frame(self._path(record), index)

    def numbers(self, record: Mapping[str, Any], index: int) -> NDArray[np.uint16] | None:
        """The numbers of a frame's faces, upright.

        Parameters
        ----------
        record
            Of the clip.
        index
            Place of the frame.

        Returns
        -------
        (H, W) uint16 or None
            Track plus one; 1 for all faces where only masks were written; None where there are no masks that
            can be shown, of this frame or at all.
        """
        files = record["files"]
        kinds = ["instances", "masks"] if len(record["clip"]["tracks"]) <= _MOST_BYTE_TRACKS else ["masks"]
        for kind in kinds:
            path = self._output / files.get(kind, "")
            if kind not in files or path.suffix == ".mov":  # ProRes: the mask is the alpha of the colours
                continue
            found = self._map(record, path, index)
            if found is None:
                continue
            numbers = found if kind == "instances" else np.where(found > 127, 1, 0)
            turn = record["stored_orientation"] if record["orientation"] == "stored" else 1
            return np.ascontiguousarray(to_upright(numbers, turn), np.uint16)
        return None

    def _map(self, record: Mapping[str, Any], path: Path, index: int) -> NDArray[Any] | None:
        """The grey picture of a frame in a stream, or among numbered files."""
        if path.suffix == ".png":
            file = path.with_name(f"{index:06d}.png")
            return cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.is_file() else None
        try:
            place = index
            masks = self._timeline(str(path))
            if len(masks) != record["clip"]["frames"]:  # frames that could not be decoded have none
                clip = self._timeline(self._path(record))
                found = _place_of(clip.pts[index] * clip.time_base, masks, clip.frame_seconds / 2)
                if found is None:
                    return None
                place = found
            return self._frame(str(path), place)[..., 0]
        except (ClipReadError, IndexError):
            return None

    def _frame(self, path: str, index: int) -> NDArray[np.uint8]:
        timeline = self._timeline(path)
        if not 0 <= index < len(timeline):
            raise IndexError(index)
        settings = self._config.input
        frames = read_frames(
            path,
            timeline,
            index,
            index + 1,
            max_pixels=settings.max_pixels,
            background_rgb=settings.background_rgb,
        )
        frame = next(frames, None)
        if frame is None:
            raise ClipReadError(f"{path}: frame {index + 1} cannot be decoded")
        return frame.pixels

    def _timeline(self, path: str) -> Timeline:
        def make() -> Timeline:
            return probe(
                path,
                max_pixels=self._config.input.max_pixels,
                picture_rate=self._config.video.picture_rate,
            )

        found: Timeline = self._cache.get(("times", path), make, lambda times: _BYTES_A_TIME * len(times))
        return found

    def _path(self, record: Mapping[str, Any]) -> str:
        return str(self._working_directory / recorded_path(record))


def _place_of(seconds: Any, timeline: Timeline, tolerance: float) -> int | None:
    """The frame of a clip that is nearest to a time; None if none is near."""
    times = [float(pts * timeline.time_base) for pts in timeline.pts]
    after = bisect_left(times, float(seconds))
    near = [place for place in (after - 1, after) if 0 <= place < len(times)]
    best = min(near, key=lambda place: abs(times[place] - float(seconds)))
    return best if abs(times[best] - float(seconds)) < tolerance else None
