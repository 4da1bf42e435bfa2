"""CVAT 1.1: one ``annotations.xml`` for images, or one a part; and one file a clip for videos.

A face is a ``<mask>``: a box and the lengths of its runs along the rows, background first. As polygons, a
face is one ``<polygon>`` a piece, holes on bridges of no width, and its pieces share a ``group_id``. Its
number as ``face``, ``confidence`` and ``landmark_quality`` are attributes.

A clip is ``clips/NAME.xml`` with tracks (see `pipeline.exports.cvat_video`), for a task that holds the clip
itself; where frames are written as pictures they are images like any other, for a task that holds these.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, TextIO
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import numpy as np

from pipeline.errors import UsageError
from pipeline.exports.base import Format, suffixed
from pipeline.exports.cvat_shapes import (
    LABELS,
    attributes_text,
    mask_text,
    polygon_text,
    read_number,
    read_shape,
)
from pipeline.exports.cvat_video import ClipTracks, Shape, TrackShape, read_tracks, track_shapes
from pipeline.exports.destination import place_photo
from pipeline.exports.polygons import one_ring, outlines
from pipeline.exports.values import (
    LABEL,
    ExportClip,
    ExportPhoto,
    ExportSettings,
    ImportedFace,
    ImportedPhoto,
    Instance,
    MaskWindow,
    Shapes,
)

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    f"  <meta><task>{LABELS}</task></meta>\n"
)


class Cvat(Format):
    """Writes and reads CVAT for images 1.1."""

    shapes: ClassVar[tuple[Shapes, ...]] = ("masks", "polygons")
    shows: ClassVar[str | None] = "upright"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._files: dict[str, TextIO] = {}
        self._next_id = dict.fromkeys(settings.splits, 0)
        for split in settings.splits:
            path = folder / suffixed("annotations", split, ".xml")
            self._files[split] = self.opened(path, "utf-8")
            self._files[split].write(_HEAD)
        self._tracks: tuple[ExportClip, ClipTracks] | None = None

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> str | list[TrackShape]:
        """The shapes of an ``<image>``, or those of a frame of a clip's tracks."""
        if photo.frame is not None and not settings.places(photo):
            return track_shapes(photo, settings.shapes)
        shapes: list[str] = []
        for instance in photo.instances:
            source = "auto" if instance.source == "run" else "manual"
            common = f'label="{LABEL}" source="{source}" occluded="0"'
            if settings.shapes == "polygons":
                shapes += _polygons(instance, common)
            else:
                shapes.append(mask_text(instance.mask, common, attributes_text(instance)))
        return "".join(shapes)

    def add(self, photo: ExportPhoto, split: str, content: str | list[TrackShape]) -> None:
        """Write one ``<image>``, or a frame of a clip's tracks."""
        if photo.frame is not None and not isinstance(content, str):
            self._tracks_of(photo.frame.clip, split).add(photo.frame.index, content)
            return
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings)
        width, height = photo.size_wh
        name = photo.tree_name if self.settings.places(photo) else photo.file_name
        number = self._next_id[split]
        self._next_id[split] += 1
        write = self._files[split].write
        write(f'  <image id="{number}" name={quoteattr(name)} width="{width}" height="{height}">\n')
        write(f"{content}  </image>\n")

    def finish(self) -> None:
        """End the files."""
        self._end_clip()
        for file in self._files.values():
            file.write("</annotations>\n")
            file.close()

    def close(self) -> None:
        """Close whatever is still open."""
        if self._tracks is not None:
            self._tracks[1].close()
        super().close()

    def _tracks_of(self, clip: ExportClip, split: str) -> ClipTracks:
        """The file of a clip, whose frames come one after another; that of the clip before is ended."""
        if self._tracks is None or self._tracks[0] is not clip:
            self._end_clip()
            folder = self.folder / suffixed("clips", split, "")
            name = "/".join(part for part in clip.file_name.split("/") if part not in ("", ".."))
            tracks = ClipTracks(folder / f"{name}.xml", clip)
            self._tracks = clip, tracks
        return self._tracks[1]

    def _end_clip(self) -> None:
        if self._tracks is not None:
            self._tracks[1].finish()
            self._tracks = None

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs and frames of a file, or of all ``*.xml`` in a folder."""
        files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path}: holds no .xml file")
        for file in files:
            try:
                yield from _read_file(file)
            except (OSError, ET.ParseError) as error:
                raise UsageError(f"{file}: cannot be read as XML ({error})") from error
            except (KeyError, ValueError) as error:
                message = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise UsageError(f"{file}: is not CVAT 1.1: {message}") from error


def _polygons(instance: Instance, common: str) -> Iterator[str]:
    pieces = outlines(instance.mask)
    group = f' group_id="{instance.number}"' if len(pieces) > 1 else ""
    for piece in pieces:
        yield polygon_text(one_ring(piece), common, attributes_text(instance), group)


def _read_file(path: Path) -> Iterator[ImportedPhoto]:
    root, meta = None, None
    tracks: list[list[Shape]] = []
    for event, element in ET.iterparse(path, events=("start", "end")):
        if root is None:
            root = element
            if root.tag != "annotations":
                raise ValueError(f"begins with <{root.tag}>")
        if event == "end" and element.tag == "meta":
            meta = element
        elif event == "end" and element.tag == "track":
            number = next((found for shape in element if (found := read_number(shape))), None)
            told = {} if number is None else {"number": str(number)}
            shapes = [{**shape.attrib, "tag": shape.tag, **told} for shape in element]
            tracks.append(sorted(shapes, key=lambda shape: int(shape["frame"])))
            root.clear()
        elif event == "end" and element.tag == "image":
            size_wh = int(element.attrib["width"]), int(element.attrib["height"])
            try:
                faces = tuple(_read_faces(element, size_wh))
            except ValueError as error:
                raise ValueError(f"{element.attrib['name']}: {error}") from error
            yield ImportedPhoto(element.attrib["name"], size_wh, partial(_same, faces))
            root.clear()
    if tracks or (meta is not None and meta.findtext("task/mode") == "interpolation"):
        yield from read_tracks(path, meta, tracks)


def _same(faces: tuple[ImportedFace, ...], _: tuple[int, int]) -> tuple[ImportedFace, ...]:
    return faces


def _read_faces(image: ET.Element, size_wh: tuple[int, int]) -> Iterator[ImportedFace]:
    groups: dict[str, list[MaskWindow]] = {}
    numbers: dict[str, int | None] = {}
    for index, shape in enumerate(image):
        mask = read_shape(shape.tag, shape.attrib, size_wh)
        group = shape.attrib.get("group_id", "0")
        name = group if group != "0" else f"shape {index}"
        groups.setdefault(name, []).append(mask)
        numbers[name] = numbers.get(name) or read_number(shape)
    for name, masks in groups.items():
        joined = joined_windows(masks)
        if joined.pixels.size:
            yield ImportedFace(joined, numbers[name])


def joined_windows(masks: list[MaskWindow]) -> MaskWindow:
    """Pixels that are in any of the masks."""
    masks = [mask for mask in masks if mask.pixels.size]
    if len(masks) < 2:
        return masks[0] if masks else MaskWindow.of(np.zeros((0, 0), bool))
    left, top = min(mask.x for mask in masks), min(mask.y for mask in masks)
    right, bottom = max(mask.box.x_max for mask in masks), max(mask.box.y_max for mask in masks)
    canvas = np.zeros((bottom - top, right - left), bool)
    for mask in masks:
        canvas[mask.y - top : mask.box.y_max - top, mask.x - left : mask.box.x_max - left] |= mask.pixels
    return MaskWindow(canvas, left, top)
