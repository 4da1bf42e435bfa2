"""Output folders of runs with clips that never were, written by the program's own writers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Mask
from pipeline.images import to_stored_orientation
from pipeline.manifest.journal import read_manifest, to_line
from pipeline.manifest.records import blank_record
from pipeline.output_pictures import encode_picture
from pipeline.video.joining import join_parts
from pipeline.video.writer import FFV1_GREY, FFV1_GREY_16, StreamWriter
from tests.exports.runs import Shot, disc, pieces, write_run_of
from tests.video.clips import write_clip

RATE = 25


@dataclass(frozen=True)
class Clip:
    """A clip to be: its faces by track, upright, frame by frame; None for a frame that is not decoded."""

    name: str
    size_wh: tuple[int, int]
    frames: tuple[dict[int, Mask] | None, ...]
    orientation: int = 1

    def shots(self, suffix: str = "png", every: int = 1) -> dict[str, Shot]:
        """Its frames as photographs would be, by name."""
        found = {}
        for index, faces in enumerate(self.frames):
            if faces is not None and index % every == 0:
                name = f"{self.name}/{index:06d}.{suffix}"
                masks = tuple(mask for _, mask in sorted(faces.items()))
                found[name] = Shot(name, self.size_wh, masks, self.orientation)
        return found

    def picture(self, index: int) -> NDArray[np.uint8]:
        """A frame, upright: a slope that begins elsewhere in every frame."""
        width, height = self.size_wh
        grey = (np.arange(width) + 2 * np.arange(height)[:, None] + 7 * index) % 256
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def walk(size_wh: tuple[int, int] = (160, 96)) -> Clip:
    """A face that walks and is lost for two frames, one with a hole that goes, one that comes as the last.

    Frame 4 cannot be decoded; frame 9 has nobody.
    """
    frames: list[dict[int, Mask] | None] = []
    for index in range(12):
        faces = {}
        if index not in (5, 6, 9):
            faces[0] = disc(size_wh, (20 + 4 * index, 30), 12)
        if index < 7:
            faces[1] = disc(size_wh, (140 - 3 * index, 60), 14, 5)
        if index >= 10:
            faces[2] = disc(size_wh, (40, 80), 9)
        frames.append(faces)
    frames[4] = None
    return Clip("walk.mkv", size_wh, tuple(frames))


def still(name: str = "b/still.mkv", orientation: int = 1) -> Clip:
    """A face of several pieces with a hole, for three frames."""
    return Clip(name, (240, 180), ({0: pieces((240, 180))},) * 3, orientation)


def write_clips_of(
    folder: Path,
    clips: Sequence[Clip],
    shots: Sequence[Shot] = (),
    *,
    orientation: str = "upright",
    sequences: bool = False,
    crop_masks: bool = False,
) -> Path:
    """Write clips below ``folder/photos`` and a finished run's results to ``folder/out``."""
    out = write_run_of(folder, shots, orientation=orientation)
    records: list[Any] = [*read_manifest(out)]
    for clip in clips:
        records.append(_record(folder, out, clip, orientation, sequences, crop_masks))
    records.sort(key=lambda record: str(record["name"]))
    (out / "manifest.jsonl").write_bytes(b"".join(map(to_line, records)))
    return out


def _record(
    folder: Path, out: Path, clip: Clip, orientation: str, sequences: bool, crop_masks: bool
) -> dict[str, Any]:
    path = folder / "photos" / clip.name
    count, name = len(clip.frames), f"photos/{clip.name}"
    stored = [to_stored_orientation(clip.picture(index), clip.orientation) for index in range(count)]
    write_clip(path, stored, codec="ffv1", pixel_format="bgr0", options={"level": "3"})
    tracks = {track for faces in clip.frames for track in faces or ()}
    decoded = [index for index, faces in enumerate(clip.frames) if faces is not None]
    grid = clip.orientation if orientation == "stored" else 1
    maps = {
        index: to_stored_orientation(_numbers(clip, index, max(tracks, default=0)), grid) for index in decoded
    }
    files = {"tracks": f"tracks/{name}.jsonl", "instances": f"instances/{name}.mkv"}
    if sequences:
        files["instances"] = f"instances/{name}/%06d.png"
        for index, numbers in maps.items():
            target = out / f"instances/{name}/{index:06d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encode_picture(".png", numbers))
    else:
        write_stream(out / files["instances"], maps, folder / "part.nut")
    lines = [line for index in decoded for line in _lines(clip, index)]
    (out / files["tracks"]).parent.mkdir(parents=True, exist_ok=True)
    (out / files["tracks"]).write_text("".join(json.dumps(line) + "\n" for line in lines))
    if crop_masks:
        for line in lines:
            x, y, width, height = line["box_xywh"]
            mask = (clip.frames[line["frame"]] or {})[line["track"]]
            crop = np.pad(mask, 300)[y + 300 : y + 300 + height, x + 300 : x + 300 + width]
            target = out / f"crop_masks/{name}/{line['track']}/{line['frame']:06d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            lying = np.rot90(crop, line["turn"])
            target.write_bytes(encode_picture(".png", np.ascontiguousarray(lying).astype(np.uint8) * 255))
    record: dict[str, Any] = dict(
        blank_record(name=name, path=name, root="photos", digest="d" * 64, orientation=orientation)
    )
    width, height = clip.size_wh
    return record | {
        "status": "ok" if len(decoded) == count else "partial",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_wh": [width, height],
        "stored_size_wh": list(stored[0].shape[1::-1]),
        "stored_orientation": clip.orientation,
        "files": files,
        "clip": {
            **dict.fromkeys(("seen", "filled", "missed"), 0),
            "frames": count,
            "decoded": len(decoded),
            "with_faces": sum(bool(faces) for faces in clip.frames),
            "seconds": count / RATE,
            "time_base": [1, RATE],
            "cuts": [],
            "tracks": [_track(clip, track) for track in sorted(tracks)],
            "undecoded": [[index, index] for index in range(count) if index not in decoded],
        },
    }


def _numbers(clip: Clip, index: int, last_track: int) -> NDArray[Any]:
    """The instance map of a frame; where faces overlap the earlier track has the pixel."""
    numbers: NDArray[Any] = np.zeros(clip.size_wh[::-1], np.uint8 if last_track < 255 else np.uint16)
    for track, mask in sorted((clip.frames[index] or {}).items(), reverse=True):
        numbers[mask] = track + 1
    return numbers


def write_stream(path: Path, maps: dict[int, NDArray[Any]], part: Path) -> None:
    """Write maps of numbers by frame as the program does; ``part`` is a file for the time being."""
    first = next(iter(maps.values()))
    form = FFV1_GREY if first.dtype == np.uint8 else FFV1_GREY_16
    with StreamWriter(part, form, first.shape[::-1], Fraction(1, RATE), Fraction(RATE)) as writer:
        for index, numbers in maps.items():
            writer.write(index, numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    join_parts([part], path, container="matroska")


def _lines(clip: Clip, index: int) -> list[dict[str, Any]]:
    lines = []
    for track, mask in sorted((clip.frames[index] or {}).items()):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y = int(columns[0]) - 2, int(rows[0]) - 1
        box = [x, y, int(columns[-1]) - x + 3, int(rows[-1]) - y + 4]
        lines.append(
            {
                "frame": index,
                "pts": index,
                "seconds": index / RATE,
                "track": track,
                "state": "seen",
                "box_xywh": box,
                "turn": track % 4,
                "detection": {"box_xywh": box, "score": 0.9, "detector": "blazeface"},
                "landmarks": [[x + 0.4 + point, y + 0.4] for point in range(68)],
                "score": round(0.9 - track / 1000, 4),
                "confidence": 0.8,
                "landmark_quality": 0.7,
                "area_px": int(mask.sum()),
            }
        )
    return lines


def _track(clip: Clip, track: int) -> dict[str, int]:
    seen = [index for index, faces in enumerate(clip.frames) if track in (faces or ())]
    return {
        "track": track,
        "first_frame": seen[0],
        "last_frame": seen[-1],
        "seen": len(seen),
        "filled": 0,
    }
