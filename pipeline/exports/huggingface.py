"""Hugging Face ``datasets``: a folder a part with photographs, masks and ``metadata.jsonl``.

::

    datasets.load_dataset("imagefolder", data_dir=FOLDER)

gives ``image``, ``mask`` (0 and 255), ``instances`` (numbers of the faces) and ``objects``, the faces one by
one: ``number``, ``bbox`` [x, y, width, height], ``area``, ``score``, ``confidence``, ``landmark_quality``,
``category``, and ``rle``, COCO's compressed code of the whole mask, also where faces overlap. Frames of clips
have ``clip``, ``frame`` (from 0) and ``objects.track_id``, which are "" and -1 for photographs: a column has
one type. Its reader turns photographs upright, and so must the masks lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TextIO

import numpy as np

from pipeline.exports.base import Format
from pipeline.exports.destination import place_photo, to_json
from pipeline.exports.rle import encode_coco
from pipeline.exports.values import ExportPhoto, ExportSettings, FrameFiles, Images
from pipeline.exports.voc import instance_map
from pipeline.output_pictures import encode_picture

PARTS = {"": "train", "val": "validation"}
_Files = tuple[bytes, bytes, str]
_KEYS = ("number", "bbox", "area", "score", "confidence", "landmark_quality", "category", "track_id", "rle")


class HuggingFace(Format):
    """Writes an image folder with masks and metadata."""

    images: ClassVar[Images] = "link"
    frames: ClassVar[FrameFiles] = "jpg"
    shows: ClassVar[str | None] = "upright"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._metadata: dict[str, TextIO] = {}

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> _Files:
        """Mask, map of numbers, and the line."""
        numbers = instance_map(photo)
        mask = np.where(numbers > 0, np.uint8(255), np.uint8(0))
        columns: dict[str, list[object]] = {key: [] for key in _KEYS}
        for instance in photo.instances:
            face = instance.mask
            values = (
                instance.number,
                face.xywh,
                face.area_px,
                instance.score,
                instance.confidence,
                instance.landmark_quality,
                0,
                -1 if instance.track_id is None else instance.track_id,
                encode_coco(face.pixels, photo.size_wh, (face.x, face.y)),
            )
            for key, value in zip(_KEYS, values, strict=True):
                columns[key].append(value)
        line = {
            **_names(photo),
            "width": photo.size_wh[0],
            "height": photo.size_wh[1],
            "clip": "" if photo.frame is None else photo.frame.clip.file_name,
            "frame": -1 if photo.frame is None else photo.frame.index,
            "objects": columns,
        }
        text = to_json({**line, "sha256": photo.sha256}) + "\n"
        return encode_picture(".png", mask), encode_picture(".png", numbers), text

    def add(self, photo: ExportPhoto, split: str, content: _Files) -> None:
        """Write the files and the line of a photograph."""
        part = self.folder / PARTS.get(split, split)
        if split not in self._metadata:  # the reader refuses parts without photographs
            self._metadata[split] = self.opened(part / "metadata.jsonl")
        names = _names(photo)
        *pictures, line = content
        for key, picture in zip(("mask_file_name", "instances_file_name"), pictures, strict=True):
            self.write(f"{part.name}/{names[key]}", picture)
        place_photo(photo, part / names["file_name"], self.settings)
        self._metadata[split].write(line)

    def finish(self) -> None:
        """Close the metadata."""
        self.close()


def _names(photo: ExportPhoto) -> dict[str, str]:
    """Where the files of a photograph lie in its part."""
    return {
        "file_name": f"images/{photo.tree_name}",
        "mask_file_name": f"masks/{photo.tree_name}.png",
        "instances_file_name": f"instances/{photo.tree_name}.png",
    }
