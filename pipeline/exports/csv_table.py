"""A table: one row a face, and one without a face for a photograph that has none."""

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
    "track_id",
    "rle",
    *(f"{axis}{number}" for number in range(1, 69) for axis in "xy"),
)
"""``rle`` is COCO's compressed code; ``x1`` ``y1`` and so on are the landmarks."""


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
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings.images)
        name = photo.tree_name if self.settings.images != "none" else photo.file_name
        start = [name, photo.sha256, *photo.size_wh]
        if not photo.instances:
            self._writers[split].writerow(start + [""] * (len(COLUMNS) - len(start)))
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
                    "" if instance.track_id is None else instance.track_id,
                    encode_coco(mask.pixels, photo.size_wh, (mask.x, mask.y)),
                    *points,
                ]
            )

    def finish(self) -> None:
        """Close the tables."""
        self.close()
