"""CVAT for video 1.1: one file a clip, its faces as tracks.

A ``<track>`` has a shape in every exported frame in which its face is, as a keyframe, and one with
``outside`` where the face has gone; CVAT lets a shape stand until the next. Its attribute ``face`` is the
number of the track, from 1 on, by which it is known when it comes back. Frames go by, tracks stand one
behind another in the file: every track has a file of its own on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from pipeline.errors import UsageError
from pipeline.exports.clip_frames import frame_name
from pipeline.exports.cvat_shapes import LABELS, attributes_text, mask_text, polygon_text, read_shape
from pipeline.exports.destination import append_file
from pipeline.exports.polygons import one_ring, outlines
from pipeline.exports.values import (
    LABEL,
    ExportClip,
    ExportPhoto,
    ImportedFace,
    ImportedPhoto,
    Instance,
    Shapes,
)

Shape = Mapping[str, str]
"""XML attributes of a shape, its tag as ``tag``, and its face's number, where its track tells it."""


@dataclass(frozen=True, slots=True)
class TrackShape:
    """A face of a frame.

    Attributes
    ----------
    number
        Of the face: its track.
    text
        What is written of it, wherever the frame is.
    drawn
        Whether a person has said something of it.
    """

    number: int
    text: str
    drawn: bool


def track_shapes(photo: ExportPhoto, shapes: Shapes) -> list[TrackShape]:
    """The faces of a frame; as ``polygons`` one ring each, holes and pieces on bridges of no width."""
    return [
        TrackShape(instance.number, _text(instance, shapes), instance.source != "run")
        for instance in photo.instances
    ]


def _text(instance: Instance, shapes: Shapes) -> str:
    attributes = attributes_text(instance)
    if shapes == "masks":
        return mask_text(instance.mask, _PLACE, attributes)
    rings = [ring for piece in outlines(instance.mask) for ring in piece]
    return polygon_text(one_ring(rings), _PLACE, attributes)


class ClipTracks:
    """Writes the file of one clip, frame by frame.

    Parameters
    ----------
    path
        The file; parts of it lie beside it until it is finished.
    clip
        Its clip.
    """

    def __init__(self, path: Path, clip: ExportClip) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._clip = clip
        self._present: dict[int, tuple[TextIO, str]] = {}
        self._drawn: dict[int, bool] = {}

    def add(self, index: int, shapes: Iterable[TrackShape]) -> None:
        """Write the faces of a frame."""
        faces = {shape.number: shape for shape in shapes}
        for number in sorted(self._present.keys() - faces.keys()):
            file, last = self._present.pop(number)
            file.write(_placed(last, index, outside=True))
            file.close()
        for number, face in faces.items():
            file = self._present[number][0] if number in self._present else self._opened(number)
            file.write(_placed(face.text, index, outside=False))
            self._present[number] = file, face.text
            self._drawn[number] = self._drawn.get(number, False) or face.drawn

    def finish(self) -> None:
        """Put the tracks one behind another."""
        self.close()
        with self._path.open("w", encoding="utf-8", newline="") as file:
            file.write(_head(self._clip))
        for place, (number, drawn) in enumerate(sorted(self._drawn.items())):
            source = "manual" if drawn else "auto"
            self._write(f'  <track id="{place}" label="{LABEL}" source="{source}">\n')
            append_file(self._path, self._part(number))
            self._write("  </track>\n")
        self._write("</annotations>\n")

    def close(self) -> None:
        """Close whatever is still open."""
        for file, _ in self._present.values():
            file.close()
        self._present.clear()

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}.part")

    def _opened(self, number: int) -> TextIO:
        return self._part(number).open("a", encoding="ascii", newline="")

    def _write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)


_PLACE = "{place}"
"""Stands in the text of a shape where its frame is told."""


def _placed(shape: str, index: int, *, outside: bool) -> str:
    return shape.replace(_PLACE, f'frame="{index}" outside="{int(outside)}" occluded="0" keyframe="1"', 1)


def _head(clip: ExportClip) -> str:
    width, height = clip.size_wh
    name = escape(clip.file_name)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta><task>'
        f"<name>{name}</name><size>{-(-clip.frames // clip.every)}</size><mode>interpolation</mode>"
        f"<start_frame>0</start_frame><stop_frame>{clip.frames - 1}</stop_frame>"
        f"<frame_filter>step={clip.every}</frame_filter>"
        f"{LABELS}"
        f"<original_size><width>{width}</width><height>{height}</height></original_size>"
        f"<source>{name}</source></task></meta>\n"
    )


def read_tracks(path: Path, meta: ET.Element | None, tracks: list[list[Shape]]) -> Iterator[ImportedPhoto]:
    """Yield the frames of a clip with the faces of its tracks.

    Parameters
    ----------
    path
        The file, for messages.
    meta
        Its ``<meta>``: which clip it is, its size, and which frames the task has.
    tracks
        Shapes of every track, in the order of their frames.

    Raises
    ------
    UsageError
        It does not say which clip it is of.
    """
    task = None if meta is None else meta.find("task")
    if task is None:
        task = meta if meta is not None else ET.Element("task")
    clip = (
        task.findtext("source")
        or task.findtext("name")
        or ("" if meta is None else meta.findtext("source") or "")
    )
    if not clip:
        raise UsageError(f"{path}: does not say which clip it is of; give it <meta><task><source>NAME")
    width, height = task.findtext("original_size/width"), task.findtext("original_size/height")
    if meta is not None and not (width and height):
        width, height = meta.findtext("original_size/width"), meta.findtext("original_size/height")
    size_wh = (int(width), int(height)) if width and height else None
    told = [int(shape["frame"]) for shape in chain.from_iterable(tracks)]
    first = int(task.findtext("start_frame") or 0)
    last = int(task.findtext("stop_frame") or max(told, default=-1))
    step = int((task.findtext("frame_filter") or "step=1").partition("=")[2] or 1)
    frames = range(first, last + 1, step)
    shown: dict[int, list[Shape]] = {index: [] for index in frames}
    for track in tracks:
        places = [*(int(shape["frame"]) for shape in track), last + 1]
        for shape, (start, stop) in zip(track, pairwise(places), strict=True):
            if shape.get("outside") == "1":
                continue
            for index in range(start, stop):
                if index in shown:
                    shown[index].append(shape)
    for index, shapes in shown.items():
        yield ImportedPhoto(frame_name(clip, index), size_wh, partial(_faces, tuple(shapes)))


def _faces(shapes: tuple[Shape, ...], size_wh: tuple[int, int]) -> tuple[ImportedFace, ...]:
    masks = ((read_shape(shape["tag"], shape, size_wh), shape.get("number")) for shape in shapes)
    return tuple(
        ImportedFace(mask, None if number is None else int(number))
        for mask, number in masks
        if mask.pixels.size
    )
