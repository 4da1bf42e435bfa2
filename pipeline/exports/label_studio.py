"""Label Studio: ``tasks.json`` (or one a part) to import, brush masks included, and its labelling interface.

Faces of the run are ``predictions``; those that a person has accepted or corrected are ``annotations``. The
photograph's address is ``data.image``; by default it is one of Label Studio's local file storage. Frames of
clips are tasks of their own with pictures: its interface for videos has boxes, but no masks. Faces have
``meta.confidence`` and ``meta.landmark_quality``, those of frames ``meta.track_id``. Exports of Label Studio
(JSON) are read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pipeline.errors import UsageError
from pipeline.exports.base import Format, suffixed
from pipeline.exports.destination import JsonArray, place_photo, to_json
from pipeline.exports.rle import decode_label_studio, encode_label_studio
from pipeline.exports.values import (
    LABEL,
    ExportPhoto,
    ExportSettings,
    FrameFiles,
    ImportedFace,
    ImportedPhoto,
    Instance,
    MaskWindow,
)

FROM_NAME, TO_NAME = "brush", "image"
INTERFACE = f"""<View>
  <Image name="{TO_NAME}" value="$image"/>
  <BrushLabels name="{FROM_NAME}" toName="{TO_NAME}">
    <Label value="{LABEL}"/>
  </BrushLabels>
</View>
"""


class LabelStudio(Format):
    """Writes tasks with brush masks, and reads Label Studio's JSON."""

    shows: ClassVar[str | None] = "upright"
    frames: ClassVar[FrameFiles] = "jpg"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._tasks = {
            split: JsonArray(self.opened(folder / suffixed("tasks", split, ".json")))
            for split in settings.splits
        }

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> str:
        """The task's JSON, from behind its number on."""
        name = photo.tree_name if settings.places(photo) else photo.file_name
        drawn = photo.source != "run"
        result = [_item(photo, instance) for instance in photo.instances]
        body: dict[str, Any] = {"result": result}
        if drawn:
            body = {"ground_truth": photo.source == "corrected", **body}
        else:
            scores = [instance.score for instance in photo.instances if instance.score is not None]
            body = {"model_version": "uncrop", "score": min(scores, default=0.0), **body}
        frame = photo.frame
        place = {} if frame is None else {"clip": frame.clip.file_name, "frame": frame.index}
        task: dict[str, Any] = {
            "data": {
                "image": settings.url_prefix + quote(name.lstrip("/")),
                "file_name": name,
                "sha256": photo.sha256,
                "width": photo.size_wh[0],
                "height": photo.size_wh[1],
                **place,
            },
            "annotations" if drawn else "predictions": [body],
        }
        return to_json(task)[1:]

    def add(self, photo: ExportPhoto, split: str, content: str) -> None:
        """Write one task."""
        place_photo(photo, self.folder / "images" / photo.tree_name, self.settings)
        self._tasks[split].add_text(f'{{"id":{photo.number},{content}')

    def finish(self) -> None:
        """End the tasks, and write the labelling interface."""
        for tasks in self._tasks.values():
            tasks.close("\n")
        (self.folder / "interface.xml").write_text(INTERFACE, encoding="ascii", newline="\n")

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a file, or of all ``*.json`` in a folder.

        A task's first annotation that was not cancelled counts, or else its first prediction.
        """
        files = (
            sorted(file for file in path.glob("*.json") if file.name[0] != ".") if path.is_dir() else [path]
        )
        if not files:
            raise UsageError(f"{path}: holds no .json file")
        for file in files:
            try:
                for task in json.loads(file.read_bytes()):
                    yield _read_task(task)
            except OSError as error:
                raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                message = f"{type(error).__name__}: {error}"
                raise UsageError(f"{file}: is not Label Studio's JSON of brush masks: {message}") from error


def _item(photo: ExportPhoto, instance: Instance) -> dict[str, Any]:
    mask = instance.mask
    code = encode_label_studio(mask.pixels, photo.size_wh, (mask.x, mask.y))
    item: dict[str, Any] = {
        "id": f"face{instance.number}",
        "type": "brushlabels",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": photo.size_wh[0],
        "original_height": photo.size_wh[1],
        "image_rotation": 0,
        "value": {"format": "rle", "rle": list(code), "brushlabels": [LABEL]},
    }
    if instance.score is not None:
        item["score"] = instance.score
    track = {} if instance.track_id is None else {"track_id": instance.track_id}
    if meta := {**track, **instance.qualities}:
        item["meta"] = meta
    return item


def _read_task(task: Mapping[str, Any]) -> ImportedPhoto:
    data = task["data"]
    annotations = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
    results = (annotations or task.get("predictions") or [{"result": []}])[0]["result"]
    faces = []
    size_wh = (int(data.get("width", 0)), int(data.get("height", 0)))
    for item in results:
        if item["type"] != "brushlabels":
            raise ValueError(f"an item of type {item['type']!r}; only brushlabels can be imported")
        if item.get("image_rotation"):
            raise ValueError("a rotated image; turn it back in Label Studio")
        size_wh = int(item["original_width"]), int(item["original_height"])
        mask = MaskWindow.of(decode_label_studio(item["value"]["rle"], size_wh))
        number = str(item.get("id", "")).removeprefix("face")
        if mask.pixels.size:
            faces.append(ImportedFace(mask, int(number) if number.isdecimal() and int(number) else None))
    found = tuple(faces)
    return ImportedPhoto(
        str(data.get("file_name") or _path_of(data["image"])),
        size_wh if all(size_wh) else None,
        lambda _: found,
        data.get("sha256") or None,
    )


def _path_of(address: str) -> str:
    """The path in an address: of local file storage, or of a web server."""
    parts = urlsplit(address)
    return parse_qs(parts.query)["d"][0] if "d" in parse_qs(parts.query) else unquote(parts.path)
