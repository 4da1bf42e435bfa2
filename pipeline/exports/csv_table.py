"""A table: one row a face, and one without a face for a photograph or frame that has none."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TextIO

from pipeline.exports.base import Format, suffixed
from pipeline.exports.destination import place_photo
from pipeline.exports.rle import encode_coco
from pipeline.exports.values import ExportPhoto, ExportSettings

COLUMNS = (
    "file_name",
    "sha256",
    "width",
    "height",
    "face",
    "x",
    "y",
    "face_width",
    "face_height",
    "area_px",
    "score",
    "confidence",
    "landmark_quality",
    "source",
    "clip",
    "frame",
    "track_id",
    "rle",
    *(f"{axis}{number}" for number in range(1, 69) for axis in "xy"),
)
"""``rle`` is COCO's compressed code; ``x1`` ``y1`` and so on are the landmarks. Of
photographs ``clip``, ``frame`` (from 0) and ``track_id`` are empty; ``track_id`` is the same for one person
throughout a clip, and nobody else's."""


class CsvTable(Format):
    """Writes ``faces.csv``."""

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._files: dict[str, TextIO] = {}
        for split in settings.splits:
            self._files[split] = self.opened(folder / suffixed("faces", split, ".csv"), "utf-8")
            self._files[split].write(",".join(COLUMNS) + "\n")

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> str:
        """The rows."""
        rows = io.StringIO(newline="")
        write = csv.writer(rows, lineterminator="\n").writerow
        name = photo.tree_name if settings.places(photo) else photo.file_name
        start = [name, photo.sha256, *photo.size_wh]
        place = ["", ""] if photo.frame is None else [photo.frame.clip.file_name, photo.frame.index]
        if not photo.instances:
            row = dict(zip(("file_name", "sha256", "width", "height"), start, strict=True))
            row |= dict(zip(("clip", "frame"), place, strict=True))
            write([row.get(column, "") for column in COLUMNS])
        for instance in photo.instances:
            mask = instance.mask
            figures = instance.score, instance.confidence, instance.landmark_quality
            points = [""] * 136 if instance.landmarks is None else instance.landmarks.ravel().tolist()
            write(
                [
                    *start,
                    instance.number,
                    *mask.xywh,
                    mask.area_px,
                    *("" if value is None else value for value in figures),
                    instance.source,
                    *place,
                    "" if instance.track_id is None else instance.track_id,
                    encode_coco(mask.pixels, photo.size_wh, (mask.x, mask.y)),
                    *points,
                ]
            )
        return rows.getvalue()

    def add(self, photo: ExportPhoto, split: str, content: str) -> None:
        """Write the rows of a photograph."""
        self._files[split].write(content)
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings)

    def finish(self) -> None:
        """Close the tables."""
        self.close()
