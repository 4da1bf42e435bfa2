"""COCO: one ``instances.json`` (or one a part) with run-length masks or outlines, and the 68 landmarks.

Layout and codes as in cocoapi: category ids from 1, ``bbox`` [x, y, width, height] of the mask's pixels,
``iscrowd`` 0 for run lengths too (1 would take a face out of the scoring). Outlines of a piece with holes are
one ring (see `pipeline.exports.polygons`). Beyond the format, which lets readers skip what they don't know:
``sha256`` and ``source`` of a photograph; ``score``, ``face`` (its number), ``source``,
``attributes.confidence`` and ``attributes.landmark_quality`` of an annotation.

Frames of clips are images with ``video_id`` and their place, from 0, as ``frame_id`` (CocoVID, as MMTracking
reads it) and ``frame_index`` (TAO); their annotations have ``video_id`` and the number of the track, the same
throughout a clip and nobody else's in the file, as ``instance_id``, ``track_id`` and ``attributes.track_id``
(CVAT). ``videos`` and ``tracks`` list what there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from landmarks.geometry import LANDMARK_COUNT
from pipeline.errors import UsageError
from pipeline.exports.base import Format, suffixed
from pipeline.exports.destination import JsonArray, append_file, place_photo, to_json
from pipeline.exports.polygons import fill, one_ring, outlines
from pipeline.exports.rle import decode_coco, encode_coco
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

CATEGORY_ID = 1
_PARTS = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))
_RINGS = ((36, 41), (42, 47), (48, 59), (60, 67))


def skeleton() -> list[list[int]]:
    """Lines between the 68 landmarks, numbered from 1: jaw, brows, nose; eyes and lips closed."""
    lines = [[point + 1, point + 2] for first, last in (*_PARTS, *_RINGS) for point in range(first, last)]
    return lines + [[last + 1, first + 1] for first, last in _RINGS]


CATEGORY = {
    "id": CATEGORY_ID,
    "name": LABEL,
    "supercategory": "person",
    "keypoints": [f"landmark_{number}" for number in range(1, LANDMARK_COUNT + 1)],
    "skeleton": skeleton(),
}


class Coco(Format):
    """Writes and reads COCO's instances."""

    shapes: ClassVar[tuple[Shapes, ...]] = ("masks", "polygons")
    file: ClassVar[str] = "instances"

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        super().__init__(folder, settings)
        self._images: dict[str, JsonArray] = {}
        self._annotations: dict[str, JsonArray] = {}
        self._next_id = 1
        self._videos: dict[str, dict[int, ExportClip]] = {split: {} for split in settings.splits}
        for split in settings.splits:
            path = self.path_of(split)
            self._images[split] = JsonArray(
                self.opened(path),
                f'{{"info":{{"description":"faces"}},"categories":[{json.dumps(CATEGORY)}],\n"images":',
            )
            self._annotations[split] = JsonArray(
                self.opened(path.with_name(f"{path.name}.part")), ',\n"annotations":'
            )

    def path_of(self, split: str) -> Path:
        """The file of a part."""
        return self.folder / suffixed(self.file, split, ".json")

    def image_path(self, photo: ExportPhoto, split: str) -> Path:
        """Where a photograph is linked or copied to."""
        return self.folder / "images" / photo.tree_name

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> list[str]:
        """The annotations' JSON, from behind their numbers on."""
        return [to_json(_annotation(settings, photo, instance))[1:] for instance in photo.instances]

    def add(self, photo: ExportPhoto, split: str, content: list[str]) -> None:
        """Write a photograph and its faces."""
        width, height = photo.size_wh
        placed = self.settings.places(photo)
        place_photo(photo, self.image_path(photo, split), self.settings)
        image: dict[str, Any] = {
            "id": photo.number,
            "width": width,
            "height": height,
            "file_name": photo.tree_name if placed else photo.file_name,
            "sha256": photo.sha256,
            "source": photo.source,
        }
        if photo.frame is not None:
            clip, index = photo.frame.clip, photo.frame.index
            self._videos[split][clip.number] = clip
            image |= {"video_id": clip.number, "frame_id": index, "frame_index": index}
        self._images[split].add(image)
        for annotation in content:
            self._annotations[split].add_text(
                f'{{"id":{self._next_id},"image_id":{photo.number},{annotation}'
            )
            self._next_id += 1

    def finish(self) -> None:
        """Put images and annotations into one file each."""
        for split, images in self._images.items():
            images.close()
            self._annotations[split].close(f"{_clips_text(self._videos[split].values())}}}\n")
            append_file(images.path, self._annotations[split].path)

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a file, or of all ``*.json`` in a folder that are COCO's."""
        files = (
            sorted(file for file in path.rglob("*.json") if not file.name.startswith("."))
            if path.is_dir()
            else [path]
        )
        if not files:
            raise UsageError(f"{path}: holds no .json file")
        for file in files:
            yield from _read_file(file)


def _annotation(settings: ExportSettings, photo: ExportPhoto, instance: Instance) -> dict[str, Any]:
    """All of an annotation but its number and its image's."""
    width, height = photo.size_wh
    mask = instance.mask
    segmentation: Any
    if settings.shapes == "polygons":
        segmentation = [one_ring(piece).ravel().tolist() for piece in outlines(mask)]
    else:
        counts = encode_coco(mask.pixels, photo.size_wh, (mask.x, mask.y))
        segmentation = {"size": [height, width], "counts": counts}
    annotation: dict[str, Any] = {
        "category_id": CATEGORY_ID,
        "segmentation": segmentation,
        "area": mask.area_px,
        "bbox": mask.xywh,
        "iscrowd": 0,
        "face": instance.number,
        "source": instance.source,
    }
    if instance.score is not None:
        annotation["score"] = instance.score
    if instance.landmarks is not None:
        points = instance.landmarks
        inside = ((points >= 0) & (points < (width, height))).all(axis=1)
        keypoints = np.full((len(points), 3), 2, points.dtype)
        keypoints[:, :2] = points
        keypoints[~inside] = 0
        annotation |= {"keypoints": keypoints.ravel().tolist(), "num_keypoints": int(inside.sum())}
    if photo.frame is not None:
        annotation["video_id"] = photo.frame.clip.number
        if instance.track_id is not None:
            annotation |= {"instance_id": instance.track_id, "track_id": instance.track_id}
    track = {} if instance.track_id is None else {"track_id": instance.track_id}
    if attributes := {**track, **instance.qualities}:
        annotation["attributes"] = attributes
    return annotation


def _clips_text(clips: Iterable[ExportClip]) -> str:
    """Further keys for the clips of a file, as they stand in it; nothing where there are none."""
    videos, tracks = [], []
    for clip in clips:
        width, height = clip.size_wh
        about = {"width": width, "height": height, "length": clip.frames}
        videos.append({"id": clip.number, "name": clip.file_name, **about})
        ids = range(clip.first_track_id, clip.first_track_id + clip.tracks)
        tracks += [{"id": track, "category_id": CATEGORY_ID, "video_id": clip.number} for track in ids]
    return f',\n"videos":{to_json(videos)},\n"tracks":{to_json(tracks)}' if videos else ""


def read_annotation(annotation: Mapping[str, Any], size_wh: tuple[int, int]) -> MaskWindow:
    """The mask of a ``segmentation``: compressed or plain run lengths, or outlines.

    Raises
    ------
    ValueError
        It makes no sense.
    """
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [size_wh[1], size_wh[0]]:
            raise ValueError(
                f"segmentation.size {segmentation['size']} is not the image's {[size_wh[1], size_wh[0]]}"
            )
        return MaskWindow.of(decode_coco(segmentation["counts"], size_wh))
    if not isinstance(segmentation, list):
        raise ValueError("segmentation: run lengths or outlines are expected")  # noqa: TRY004 - a wrong file
    frame = np.zeros(size_wh[::-1], bool)
    for ring in segmentation:
        part = fill([np.asarray(ring, np.float64).reshape(-1, 2)], size_wh)
        frame[part.y : part.box.y_max, part.x : part.box.x_max] |= part.pixels
    return MaskWindow.of(frame)


def _read_file(path: Path) -> Iterator[ImportedPhoto]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})") from error
    try:
        by_image: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        for image in content["images"]:
            size_wh = int(image["width"]), int(image["height"])
            annotations = tuple(by_image[image["id"]])
            yield ImportedPhoto(
                str(image["file_name"]),
                size_wh,
                partial(_read_faces, annotations),
                image.get("sha256") or None,
                "video_id" in image,
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: is not COCO's instances: {type(error).__name__}: {error}") from error


def _read_faces(
    annotations: Sequence[Mapping[str, Any]], size_wh: tuple[int, int]
) -> tuple[ImportedFace, ...]:
    faces = (
        ImportedFace(read_annotation(annotation, size_wh), annotation.get("face"), annotation.get("score"))
        for annotation in annotations
        if not annotation.get("iscrowd")
    )
    return tuple(face for face in faces if face.mask.pixels.size)
