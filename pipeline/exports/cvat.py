"""CVAT for images 1.1: one ``annotations.xml``, or one a part.

A face is a ``<mask>``: a box and the lengths of its runs along the rows, background first. As polygons, a
face is one ``<polygon>`` a piece, holes on bridges of no width, and its pieces share a ``group_id``.
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
from pipeline.exports.destination import place_photo
from pipeline.exports.polygons import fill, one_ring, outlines
from pipeline.exports.rle import decode_rows, encode_rows
from pipeline.exports.values import (
    LABEL,
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
    f"  <meta><task><labels><label><name>{LABEL}</name><attributes></attributes></label></labels></task>"
    "</meta>\n"
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

    def add(self, photo: ExportPhoto, split: str) -> None:
        """Write one ``<image>``."""
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings.images)
        width, height = photo.size_wh
        name = photo.tree_name if self.settings.images != "none" else photo.file_name
        number = self._next_id[split]
        self._next_id[split] += 1
        write = self._files[split].write
        write(f'  <image id="{number}" name={quoteattr(name)} width="{width}" height="{height}">\n')
        for instance in photo.instances:
            source = "auto" if instance.source == "run" else "manual"
            common = f'label="{LABEL}" source="{source}" occluded="0"'
            if self.settings.shapes == "polygons":
                write("".join(_polygons(instance, common)))
            else:
                write(_mask(instance.mask, common))
        write("  </image>\n")

    def finish(self) -> None:
        """End the files."""
        for file in self._files.values():
            file.write("</annotations>\n")
            file.close()

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a file, or of all ``*.xml`` in a folder."""
        files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path}: holds no .xml file")
        for file in files:
            try:
                yield from _read_file(file)
            except (OSError, ET.ParseError) as error:
                raise UsageError(f"{file}: cannot be read as XML ({error})") from error
            except (KeyError, ValueError) as error:
                message = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise UsageError(f"{file}: is not CVAT for images 1.1: {message}") from error


def _mask(mask: MaskWindow, common: str) -> str:
    counts = ", ".join(map(str, encode_rows(mask.pixels).tolist()))
    left, top, width, height = mask.xywh
    return (
        f'    <mask {common} rle="{counts}" left="{left}" top="{top}" width="{width}" height="{height}" '
        'z_order="0">\n    </mask>\n'
    )


def _polygons(instance: Instance, common: str) -> Iterator[str]:
    pieces = outlines(instance.mask)
    group = f' group_id="{instance.number}"' if len(pieces) > 1 else ""
    for piece in pieces:
        points = ";".join(f"{x}.00,{y}.00" for x, y in one_ring(piece).tolist())
        yield f'    <polygon {common} points="{points}" z_order="0"{group}>\n    </polygon>\n'


def _read_file(path: Path) -> Iterator[ImportedPhoto]:
    root = None
    for event, element in ET.iterparse(path, events=("start", "end")):
        if root is None:
            root = element
            if root.tag != "annotations":
                raise ValueError(f"begins with <{root.tag}>")
        if event == "end" and element.tag == "track":
            raise ValueError("holds <track>: it is CVAT for video, which is not imported")
        if event == "end" and element.tag == "image":
            size_wh = int(element.attrib["width"]), int(element.attrib["height"])
            faces = tuple(_read_faces(element, size_wh))
            yield ImportedPhoto(element.attrib["name"], size_wh, partial(_same, faces))
            root.clear()


def _same(faces: tuple[ImportedFace, ...], _: tuple[int, int]) -> tuple[ImportedFace, ...]:
    return faces


def _read_faces(image: ET.Element, size_wh: tuple[int, int]) -> Iterator[ImportedFace]:
    groups: dict[str, list[MaskWindow]] = {}
    for index, shape in enumerate(image):
        if shape.tag == "mask":
            left, top, width, height = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
            counts = np.array(shape.attrib["rle"].split(","), np.int64)
            mask = MaskWindow.of(decode_rows(counts, (width, height)), left, top)
        elif shape.tag == "polygon":
            points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split(";")]
            mask = fill([np.array(points)], size_wh)
        else:
            raise ValueError(f"holds <{shape.tag}>: only masks and polygons can be imported")
        group = shape.attrib.get("group_id", "0")
        groups.setdefault(group if group != "0" else f"shape {index}", []).append(mask)
    for masks in groups.values():
        joined = joined_windows(masks)
        if joined.pixels.size:
            if not (
                0 <= joined.x <= size_wh[0] - joined.box.width
                and 0 <= joined.y <= size_wh[1] - joined.box.height
            ):
                raise ValueError(f"a mask of {image.attrib['name']} leaves the picture")
            yield ImportedFace(joined)


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
