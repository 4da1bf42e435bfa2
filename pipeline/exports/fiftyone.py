"""FiftyOne: its ``COCODetectionDataset`` layout, a folder a part with ``data/`` and ``labels.json``.

::

    fiftyone.Dataset.from_dir(FOLDER, dataset_type=fiftyone.types.COCODetectionDataset,
                              label_types=["segmentations"])
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pipeline.exports.coco import Coco
from pipeline.exports.values import ExportPhoto, FrameFiles, Images


class FiftyOne(Coco):
    """Writes and reads COCO as FiftyOne lays it out."""

    images: ClassVar[Images] = "link"
    frames: ClassVar[FrameFiles] = "jpg"
    file: ClassVar[str] = "labels"

    def path_of(self, split: str) -> Path:
        """The file of a part."""
        return self.folder / split / "labels.json"

    def image_path(self, photo: ExportPhoto, split: str) -> Path:
        """Where a photograph is linked or copied to."""
        return self.folder / split / "data" / photo.tree_name
