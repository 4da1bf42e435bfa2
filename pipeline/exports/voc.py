"""Pascal VOC: masks as palette PNGs, boxes as XML, and lists of the parts.

::

    JPEGImages/ID.jpg               the photographs, linked or copied; readers want this suffix
    SegmentationClass/ID.png        15 (VOC's person) where a face is
    SegmentationObject/ID.png       the number of each face; 16 bits, without palette, beyond 254 faces
    Annotations/ID.xml              boxes, from 1 on and inclusive
    ImageSets/Segmentation/train.txt, ImageSets/Main/train.txt, ...

An object map gives a pixel to one face only: where faces overlap the later one has it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TextIO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UsageError
from pipeline.exports.base import Format
from pipeline.exports.destination import place_photo, unused
from pipeline.exports.values import (
    LABEL,
    ExportPhoto,
    ExportSettings,
    FrameFiles,
    Images,
    ImportedFace,
    ImportedPhoto,
    MaskWindow,
)
from pipeline.images import file_sha256
from pipeline.mask_png import encode_map

PERSON = 15
VOID = 255
"""Border pixels of VOC's own maps."""


def palette() -> bytes:
    """VOC's 256 colours: every third bit of a number makes a channel, the lowest its most significant."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            if 3 * place + channel < 8:
                colours[:, channel] |= ((numbers >> (3 * place + channel) & 1) << (7 - place)).astype(
                    np.uint8
                )
    return colours.tobytes()


_PALETTE = palette()

_Files = tuple[bytes, bytes, str]


class Voc(Format):
    """Writes Pascal VOC, and reads its object maps."""

    images: ClassVar[Images] = "link"
    frames: ClassVar[FrameFiles] = "jpg"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._lists: dict[str, list[TextIO]] = {}
        for split in settings.splits:
            self._lists[split] = []
            for kind in ("Segmentation", "Main"):
                path = folder / "ImageSets" / kind / f"{split or 'train'}.txt"
                self._lists[split].append(self.opened(path, "utf-8"))

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> _Files:
        """Object map, class map, and the objects of the annotation."""
        numbers = instance_map(photo)
        classes = np.where(numbers > 0, np.uint8(PERSON), np.uint8(0))
        return _png(numbers), _png(classes), _objects(photo)

    def add(self, photo: ExportPhoto, split: str, content: _Files) -> None:
        """Write the files of a photograph."""
        objects = self.folder / "SegmentationObject"
        path = unused((objects / photo.tree_name).with_suffix(".png"), photo)
        name = path.relative_to(objects).with_suffix("").as_posix()
        numbers, classes, boxes = content
        self.write(f"SegmentationObject/{name}.png", numbers)
        self.write(f"SegmentationClass/{name}.png", classes)
        self.write(f"Annotations/{name}.xml", _xml(photo, name, boxes).encode())
        place_photo(photo, self.folder / "JPEGImages" / f"{name}.jpg", self.settings)
        for file in self._lists[split]:
            file.write(f"{name}\n")

    def finish(self) -> None:
        """Close the lists."""
        self.close()

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a folder by their object maps; 255 is VOC's border and no face.

        Raises
        ------
        UsageError
            There are no object maps, or one is damaged.
        """
        folder = path / "SegmentationObject"
        maps = sorted(folder.rglob("*.png"))
        if not maps:
            raise UsageError(f"{path}: holds no SegmentationObject/**/*.png")
        for file in maps:
            numbers = _read_png(file)
            below = file.relative_to(folder).with_suffix("")
            photo = path / "JPEGImages" / f"{below}.jpg"
            height, width = numbers.shape
            yield ImportedPhoto(
                below.as_posix(),
                (width, height),
                lambda _, numbers=numbers: tuple(  # type: ignore[misc]
                    ImportedFace(MaskWindow.of(numbers == number), int(number))
                    for number in np.unique(numbers)
                    if number > 0
                ),
                file_sha256(photo) if photo.is_file() else None,
            )

    @classmethod
    def as_held(cls, photo: ExportPhoto) -> list[MaskWindow]:
        """Faces as the object map gives them: without pixels that a later face has."""
        numbers = instance_map(photo)
        return [MaskWindow.of(numbers == instance.number) for instance in photo.instances]


def instance_map(photo: ExportPhoto) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) map of numbers, uint8, or uint16 where one is above 254; later faces lie over earlier ones."""
    width, height = photo.size_wh
    largest = max((instance.number for instance in photo.instances), default=0)
    numbers: NDArray[Any] = np.zeros((height, width), np.uint8 if largest < VOID else np.uint16)
    for instance in photo.instances:
        box = instance.mask.box
        numbers[box.y : box.y_max, box.x : box.x_max][instance.mask.pixels] = instance.number
    return numbers


def _png(numbers: NDArray[Any]) -> bytes:
    content = encode_map(numbers, palette=_PALETTE if numbers.dtype == np.uint8 else None)
    if content is not None:
        return content
    picture = Image.fromarray(numbers)
    if numbers.dtype == np.uint8:
        picture = Image.frombytes("P", picture.size, numbers.tobytes())
        picture.putpalette(_PALETTE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_type=zlib.Z_RLE, compress_level=1)
    return buffer.getvalue()


def _read_png(path: Path) -> NDArray[Any]:
    """An object map; VOC's border is no object."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            numbers = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path}: cannot be read as PNG ({error})") from error
    if numbers.ndim != 2:
        raise UsageError(
            f"{path}: is a picture in colours; an object map of numbers is expected (palette or grey)"
        )
    return np.where(numbers == VOID, 0, numbers) if numbers.dtype == np.uint8 else numbers


def _xml(photo: ExportPhoto, name: str, objects: str) -> str:
    width, height = photo.size_wh
    lines = [
        "<annotation>",
        "  <folder>JPEGImages</folder>",
        f"  <filename>{escape(name)}.jpg</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>1</segmented>",
    ]
    return "\n".join(lines) + f"\n{objects}</annotation>\n"


def _objects(photo: ExportPhoto) -> str:
    width, height = photo.size_wh
    lines = []
    for instance in photo.instances:
        box = instance.mask.box
        cut = int(box.x == 0 or box.y == 0 or box.x_max == width or box.y_max == height)
        lines += [
            "  <object>",
            f"    <name>{LABEL}</name><pose>Unspecified</pose>",
            f"    <truncated>{cut}</truncated><difficult>0</difficult>",
            f"    <bndbox><xmin>{box.x + 1}</xmin><ymin>{box.y + 1}</ymin><xmax>{box.x_max}</xmax>"
            f"<ymax>{box.y_max}</ymax></bndbox>",
            "  </object>",
        ]
    return "".join(f"{line}\n" for line in lines)
