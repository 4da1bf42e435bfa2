"""YOLO's segmentation labels, as Ultralytics reads them.

::

    data.yaml                       where the parts are, and the class
    images/PART/anna/1.jpg          the photographs, linked or copied
    labels/PART/anna/1.txt          a line a face: class, then x y ... between 0 and 1; empty without faces

A face is one ring: holes and further pieces hang on bridges of no width. Its readers paint rings with
``cv2.fillPoly`` on whole pixels, their border included, so points lie on the outermost pixels, a quarter
beyond their start: rounded or cut off, they are these pixels again, and the painted mask is the mask itself
but for the bridges between pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.exports.base import Format
from pipeline.exports.destination import place_photo, unused
from pipeline.exports.polygons import fill_with_border, one_ring, outlines
from pipeline.exports.values import (
    LABEL,
    ExportPhoto,
    ExportSettings,
    FrameFiles,
    Images,
    ImportedFace,
    ImportedPhoto,
    MaskWindow,
    Shapes,
)
from pipeline.images import file_sha256

_DIGITS = 7
_INSIDE = 0.25
"""Part of a pixel by which points lie beyond its start: rounding and cutting off agree."""


class Yolo(Format):
    """Writes and reads YOLO's segmentation labels."""

    images: ClassVar[Images] = "link"
    frames: ClassVar[FrameFiles] = "jpg"
    shapes: ClassVar[tuple[Shapes, ...]] = ("polygons",)
    shows: ClassVar[str | None] = "upright"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._parts = {split: split or "train" for split in settings.splits}
        for part in self._parts.values():
            (folder / "labels" / part).mkdir(parents=True)

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> str:
        """The labels."""
        return "".join(f"0 {ring_text(instance.mask, photo.size_wh)}\n" for instance in photo.instances)

    def add(self, photo: ExportPhoto, split: str, content: str) -> None:
        """Write the labels of a photograph."""
        part = self._parts[split]
        labels = self.folder / "labels"
        label = unused((labels / part / photo.tree_name).with_suffix(".txt"), photo).relative_to(labels)
        self.write(f"labels/{label.as_posix()}", content.encode("ascii"))
        image = self.folder / "images" / label.with_suffix(Path(photo.tree_name).suffix)
        place_photo(photo, image, self.settings)

    def finish(self) -> None:
        """Write ``data.yaml``."""
        first = next(iter(self._parts.values()))
        places = {part: f"images/{part}" for part in self._parts.values()}
        places.setdefault("val", f"images/{first}")  # the reader insists on one
        text = "".join(f"{part}: {place}\n" for part, place in places.items())
        (self.folder / "data.yaml").write_text(
            f"{text}names:\n  0: {LABEL}\n", encoding="ascii", newline="\n"
        )

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a folder; those that lie in ``images/`` are known by their content.

        Raises
        ------
        UsageError
            There are no labels, or one makes no sense.
        """
        labels = sorted((path / "labels").rglob("*.txt")) if path.is_dir() else []
        if not labels:
            raise UsageError(f"{path}: holds no labels/**/*.txt; name the folder with data.yaml")
        for label in labels:
            below = label.relative_to(path / "labels")
            rings = _rings(label)
            image = _image_of(path / "images" / below)
            yield ImportedPhoto(
                file_name=Path(*below.parts[1:]).with_suffix(image.suffix if image else "").as_posix(),
                size_wh=None,
                faces=lambda size_wh, rings=tuple(rings): tuple(  # type: ignore[misc]
                    ImportedFace(_painted(ring, size_wh)) for ring in rings
                ),
                sha256=file_sha256(image) if image else None,
            )

    @classmethod
    def as_held(cls, photo: ExportPhoto) -> list[MaskWindow]:
        """Faces as their lines give them: with the bridges between their pieces."""
        lines = (f"0 {ring_text(instance.mask, photo.size_wh)}" for instance in photo.instances)
        return [_painted(_parsed(line), photo.size_wh) for line in lines]


def ring_text(mask: MaskWindow, size_wh: tuple[int, int]) -> str:
    """The one ring of a mask, as shares of width and height."""
    rings = [ring for piece in outlines(mask, "centres") for ring in piece]
    ring = one_ring(rings)
    if len(ring) < 3:  # a line or a single pixel: readers want three points
        ring = np.concatenate([ring, np.repeat(ring[-1:], 3 - len(ring), axis=0)])
    shares = (ring + _INSIDE) / np.array(size_wh)
    return " ".join([f"%.{_DIGITS}g"] * shares.size) % tuple(shares.ravel().tolist())


def _rings(label: Path) -> list[NDArray[np.float64]]:
    """(N, 2) shares of width and height, a ring a line."""
    rings = []
    for number, line in enumerate(label.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rings.append(_parsed(line))
            except ValueError as error:
                raise UsageError(f"{label}: line {number}: {error}") from error
    return rings


def _parsed(line: str) -> NDArray[np.float64]:
    values = np.array(line.split()[1:], np.float64)
    if values.size < 6 or values.size % 2 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a class and three or more points between 0 and 1 are expected")
    return values.reshape(-1, 2)


def _painted(ring: NDArray[np.float64], size_wh: tuple[int, int]) -> MaskWindow:
    return fill_with_border(ring * np.array(size_wh), size_wh)


def _image_of(path: Path) -> Path | None:
    """The photograph beside a label, or None."""
    found = sorted(file for file in path.parent.glob(f"{_escaped(path.stem)}.*") if file.stem == path.stem)
    return found[0] if found else None


def _escaped(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)
