"""A table: one row a face, and one without a face for a photograph or frame that has none."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

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
        self._writers: dict[str, Any] = {}
        for split in settings.splits:
            file = self.opened(folder / suffixed("faces", split, ".csv"), "utf-8")
            self._writers[split] = csv.writer(file, lineterminator="\n")
            self._writers[split].writerow(COLUMNS)

    def add(self, photo: ExportPhoto, split: str) -> None:
        """Write the rows of a photograph."""
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings)
        name = photo.tree_name if self.settings.places(photo) else photo.file_name
        start = [name, photo.sha256, *photo.size_wh]
        place = ["", ""] if photo.frame is None else [photo.frame.clip.file_name, photo.frame.index]
        if not photo.instances:
            row = dict(zip(("file_name", "sha256", "width", "height"), start, strict=True))
            row |= dict(zip(("clip", "frame"), place, strict=True))
            self._writers[split].writerow([row.get(column, "") for column in COLUMNS])
        for instance in photo.instances:
            mask = instance.mask
            points = [""] * 136 if instance.landmarks is None else instance.landmarks.ravel().tolist()
            self._writers[split].writerow(
                [
                    *start,
                    instance.number,
                    *mask.xywh,
                    mask.area_px,
                    "" if instance.score is None else instance.score,
                    instance.source,
                    *place,
                    "" if instance.track_id is None else instance.track_id,
                    encode_coco(mask.pixels, photo.size_wh, (mask.x, mask.y)),
                    *points,
                ]
            )

    def finish(self) -> None:
        """Close the tables."""
        self.close()
