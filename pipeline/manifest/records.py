"""What is asked of a worker for one photograph, and the line of the manifest that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import fsencode
from typing import Any

import numpy as np

from pipeline.errors import PhotoError
from pipeline.files import printable
from pipeline.results import FaceResult, PhotoResult, StageError

Record = dict[str, Any]
"""One line of the manifest."""


@dataclass(frozen=True, slots=True)
class Task:
    """One photograph to do.

    Attributes
    ----------
    path, root, name
        See `pipeline.inputs.PhotoPath`.
    done_sha256
        Content for which the present outputs are right: if the file still has it, nothing is done.
    old_files
        Files of the present outputs, below the output directory.
    old_sha256
        Content that the present outputs are of, by whatever configuration; None if there are none.
    """

    path: str
    root: str
    name: str
    done_sha256: str | None = None
    old_files: tuple[str, ...] = ()
    old_sha256: str | None = None


def blank_record(task: Task, digest: str, orientation: str) -> Record:
    """Start the record of a task; its keys stand in the order of the manifest.

    ``kept_files``: where the photograph failed, files of an earlier result of the very same photograph.
    """
    return {
        "name": task.name,
        **path_entry("photo", task.path),
        **path_entry("root", task.root),
        "status": "failed",
        "sha256": None,
        "format": None,
        "size_wh": None,
        "stored_size_wh": None,
        "orientation": orientation,
        "stored_orientation": None,
        "frames_not_read": 0,
        "notes": [],
        "faces": [],
        "files": {},
        "kept_files": [],
        "errors": [],
        "engine": {},
        "digest": digest,
        "seconds": {},
    }


def failed_record(task: Task, digest: str, orientation: str, error: PhotoError) -> Record:
    """Make the record of a photograph whose worker could not write one."""
    record = blank_record(task, digest, orientation)
    message = f"{printable(task.path)}: {error}"
    record["errors"] = [error_entry(StageError(error.stage, type(error).__name__, message))]
    return record


def path_entry(key: str, path: str) -> dict[str, str]:
    """A path for JSON: readable text; and, where that is not the path itself, its bytes in hex."""
    shown = printable(path)
    return {key: shown} if shown == path else {key: shown, f"{key}_bytes": fsencode(path).hex()}


def error_entry(error: StageError) -> dict[str, str]:
    """An error for the manifest."""
    return {"stage": error.stage, "type": error.type, "message": error.message}


def face_entry(number: int, face: FaceResult, result: PhotoResult, files: dict[str, str]) -> Record:
    """A face for the manifest; boxes and points in pixels of the upright photograph.

    ``turn_degrees``: 0, 90, 180 or 270, by which the crop was turned counter-clockwise for the head to stand
    upright. ``numpy.rot90(crop_mask, -turn_degrees // 90)`` lies in the photograph at ``box_xywh``.
    """
    detection = face.landmarks.detection
    area = np.count_nonzero(result.instances[face.crop.frame_slices] == number)
    return {
        "number": number,
        "box_xywh": [face.crop.box.x, face.crop.box.y, face.crop.box.width, face.crop.box.height],
        "turn_degrees": 90 * face.crop.turn,
        "detection": {
            "box_xywh": [detection.box.x, detection.box.y, detection.box.width, detection.box.height],
            "score": round(detection.score, 6),
            "detector": detection.detector,
        },
        "landmarks": face.landmarks.points.tolist(),
        "score": round(face.score, 6),
        "area_px": int(area),
        "files": files,
    }


def recorded_files(record: Mapping[str, Any]) -> list[str]:
    """Paths below the output directory of every file that a record names, those of earlier runs included."""
    files = [*record.get("files", {}).values(), *record.get("kept_files", ())]
    for face in record.get("faces", ()):
        files += face.get("files", {}).values()
    return files
