"""The frames of a clip of a run, one after another, each as the record of a photograph with its masks.

The record of a frame is what the manifest would say of it as a photograph: its faces have the numbers of the
instance maps (track + 1), so that judgements, corrections, exports and imports take it like any other.
Numbered from 0, the frames are called ``CLIP/000000.png`` and so on, whether there are such files or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.errors import ClipReadError, UsageError
from pipeline.exports.map_files import MapFile
from pipeline.exports.run_masks import Windows, check_size, crop_mask, masks_of_map
from pipeline.exports.values import MaskWindow
from pipeline.video.containers import read_grey
from pipeline.video.reader import probe, read_frames
from pipeline.video.store import read_json_lines

_NO_LIMIT = 10**10
_NUMBERED = "/%06d.png"
"""How a manifest names the pictures of a clip that has no video of its maps."""

_FRAME_NAME = re.compile(r"(.+)/(\d{6,})(?:\.[A-Za-z]+)?")


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """A frame of a clip.

    Attributes
    ----------
    index
        From 0 on.
    record
        What the manifest would say of it as a photograph.
    masks
        Gives the masks of its faces by number, upright, and whether they may have lost pixels to one another.
    pixels
        (H, W, 3) uint8 RGB, upright, where they are asked for.
    """

    index: int
    record: Mapping[str, Any]
    masks: Callable[[], tuple[dict[int, MaskWindow], bool]]
    pixels: NDArray[np.uint8] | None


def frame_name(clip: str, index: int, suffix: str = "png") -> str:
    """What a frame of a clip is called."""
    return f"{clip}/{index:06d}.{suffix}"


def parse_frame_name(name: str) -> tuple[str, int] | None:
    """The clip and the index that a frame's name, with or without suffix, tells; None if it is none."""
    match = _FRAME_NAME.fullmatch(name.replace("\\", "/"))
    return (match[1], int(match[2])) if match else None


def read_clip(
    directory: Path,
    record: Mapping[str, Any],
    *,
    wanted: Callable[[int], bool],
    clip: str | None = None,
    threads: int = 1,
) -> Iterator[ClipFrame]:
    """Yield frames of a clip in order; one is held at a time.

    Parameters
    ----------
    directory
        The output directory of the run.
    record
        Of the clip.
    wanted
        Which frames are wanted, by index.
    clip
        Path of the clip, where its pixels are wanted, too.
    threads
        Of the decoders.

    Raises
    ------
    UsageError
        A file has gone or is damaged, the run wrote no maps that tell faces apart, or is too old to say which
        frames they are of.
    ClipReadError
        The clip cannot be read.
    """
    indices = _decoded(directory, record)
    lines = groupby(_track_lines(directory, record), key=lambda line: int(line["frame"]))
    waiting = next(lines, None)
    with closing(_maps(directory, record, indices, threads)) as maps, closing(_pixels(clip, threads)) as seen:
        picture = next(seen, None)
        for index, windows in maps:
            faces: list[dict[str, Any]] = []
            while waiting is not None and waiting[0] <= index:
                faces = [_face(line) for line in waiting[1]] if waiting[0] == index else []
                waiting = next(lines, None)
            if not wanted(index):
                continue
            frame = _record(record, index, faces)
            while picture is not None and picture[0] < index:
                picture = next(seen, None)
            if clip is not None and (picture is None or picture[0] != index):
                raise UsageError(f"{clip}: frame {index} can no longer be decoded; has the clip changed?")

            masks = partial(_frame_masks, directory, record, frame, index, windows)
            yield ClipFrame(index, frame, masks, None if picture is None else picture[1])


def _decoded(directory: Path, record: Mapping[str, Any]) -> list[int]:
    """Which frames have masks, by index."""
    counts = record["clip"]
    left_out = {index for first, last in counts.get("undecoded", ()) for index in range(first, last + 1)}
    indices = [index for index in range(counts["frames"]) if index not in left_out]
    if len(indices) != counts["decoded"]:
        raise UsageError(
            f"{directory}: an earlier version made the masks of {record['name']} and does not say which "
            "frames it could not decode; run it again"
        )
    return indices


def _track_lines(directory: Path, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    path = directory / record["files"].get("tracks", "")
    try:
        yield from read_json_lines(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: is not there or damaged; run the clip again (--force does all)") from error


def _maps(
    directory: Path, record: Mapping[str, Any], indices: list[int], threads: int
) -> Generator[tuple[int, Windows], None, None]:
    """Every frame with what gives parts of its map of numbers."""
    files = record["files"]
    one_track = len(record["clip"]["tracks"]) <= 1
    kind = "instances" if "instances" in files else "masks"
    file = files.get(kind, "")
    if not (kind == "instances" or one_track) or not file.endswith((".mkv", _NUMBERED)):
        raise UsageError(
            f"{directory}: nothing there tells the faces of {record['name']} apart; run it again with "
            "output.instances: true"
        )
    number = None
    if kind == "masks":
        number = record["clip"]["tracks"][0]["track"] + 1 if record["clip"]["tracks"] else 1
    if file.endswith(_NUMBERED):
        for index in indices:  # a clip's own name may hold a pattern, too
            picture = MapFile(directory / f"{file.removesuffix(_NUMBERED)}/{index:06d}.png")
            check_size(directory, record, picture.size_wh, f"map of frame {index}")
            yield index, _numbered(picture.windows, number)
        return
    path = directory / file
    if not path.is_file():
        raise UsageError(f"{path}: is not there; run the clip again (--force does all)")
    with closing(read_grey(str(path), threads=threads)) as pictures:
        for index in indices:
            numbers = next(pictures, None)
            if numbers is None:
                raise UsageError(f"{path}: ends before frame {index}; run the clip again (--force does all)")
            check_size(directory, record, numbers.shape[::-1], f"map of frame {index}")
            yield index, _numbered(partial(_parts, numbers), number)


def _parts(numbers: NDArray[Any], boxes: Sequence[Box]) -> list[NDArray[Any]]:
    return [numbers[box.y : box.y_max, box.x : box.x_max] for box in boxes]


def _numbered(windows: Windows, number: int | None) -> Windows:
    """Windows of a map; of a mask of one track, its pixels get the track's number."""
    if number is None:
        return windows
    return lambda boxes: [np.where(part > 127, number, 0) for part in windows(boxes)]


def _pixels(clip: str | None, threads: int) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    """The pictures of a clip with their indices; nothing where they are not wanted."""
    if clip is None:
        return
    try:
        timeline = probe(clip, max_pixels=_NO_LIMIT)
        for frame in read_frames(clip, timeline, 0, len(timeline), max_pixels=_NO_LIMIT, threads=threads):
            yield frame.index, frame.pixels
    except ClipReadError as error:
        raise UsageError(f"{error}. Or export with --write-frames none") from error


def _face(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a track as a face of a photograph's record."""
    return {
        **{
            key: value
            for key, value in line.items()
            if key not in ("frame", "pts", "seconds", "state", "turn")
        },
        "number": int(line["track"]) + 1,
        "turn_degrees": 90 * int(line["turn"]),
        "files": {},
    }


def _record(clip: Mapping[str, Any], index: int, faces: list[dict[str, Any]]) -> dict[str, Any]:
    keys = (
        "sha256",
        "size_wh",
        "stored_size_wh",
        "orientation",
        "stored_orientation",
        "photo",
        "photo_bytes",
    )
    return {
        **{key: clip[key] for key in keys if key in clip},
        "name": frame_name(clip["name"], index),
        "status": "ok" if faces else "no_face",
        "faces": faces,
        "files": {},
    }


def _frame_masks(
    directory: Path, clip: Mapping[str, Any], frame: Mapping[str, Any], index: int, windows: Windows
) -> tuple[dict[int, MaskWindow], bool]:
    """Masks from the crops, where they were kept, which are whole where faces overlap; else from the map."""
    folder = directory / "crop_masks" / clip["name"]
    paths = {face["number"]: folder / str(face["track"]) / f"{index:06d}.png" for face in frame["faces"]}
    if folder.is_dir() and all(path.is_file() for path in paths.values()):
        width, height = frame["size_wh"]
        return {
            face["number"]: crop_mask(paths[face["number"]], face, 1, (width, height))
            for face in frame["faces"]
        }, False
    return masks_of_map(frame, windows)
