"""The line of the manifest that comes of a photograph."""

from __future__ import annotations

from collections.abc import Mapping
from os import fsdecode, fsencode
from typing import Any

import numpy as np

from pipeline.files import printable
from pipeline.manifest.schema import SCHEMA, ErrorEntry, FaceEntry, Record
from pipeline.results import FaceResult, PhotoResult, StageError
from pipeline.version import __version__


def blank_record(*, name: str, path: str, root: str, digest: str, orientation: str) -> Record:
    """Start the record of a photograph; its keys stand in the order of the manifest.

    Parameters
    ----------
    name, path, root
        See `pipeline.inputs.PhotoPath`.
    digest
        See `pipeline.manifest.digest.result_digest`.
    orientation
        ``output.orientation``.
    """
    record: Any = {
        "schema": SCHEMA,
        "program": f"uncrop {__version__}",
        "name": name,
        **path_entry("photo", path),
        **path_entry("root", root),
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
        "faces_at_limit": 0,
        "files": {},
        "kept_files": [],
        "errors": [],
        "engine": {},
        "digest": digest,
        "seconds": {},
    }
    blank: Record = record
    return blank


def path_entry(key: str, path: str) -> dict[str, str]:
    """A path for JSON: readable text; and, where that is not the path itself, its bytes in hex."""
    shown = printable(path)
    return {key: shown} if shown == path else {key: shown, f"{key}_bytes": fsencode(path).hex()}


def recorded_path(record: Mapping[str, Any]) -> str:
    """The path that `path_entry` has put into a record as ``photo``."""
    given = record.get("photo_bytes")
    return fsdecode(bytes.fromhex(given)) if given else str(record["photo"])


def error_entry(error: StageError) -> ErrorEntry:
    """An error for the manifest."""
    return {"stage": error.stage, "type": error.type, "message": error.message}


def face_entry(number: int, face: FaceResult, result: PhotoResult, files: dict[str, str]) -> FaceEntry:
    """A face for the manifest; see `FaceEntry`."""
    detection = face.landmarks.detection
    area = np.count_nonzero(result.instances[face.crop.frame_slices] == number)
    entry: FaceEntry = {
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
        "confidence": round(face.confidence, 4),
        "landmark_quality": round(face.landmark_quality, 4),
        "area_px": int(area),
        "files": files,
    }
    if face.mirror_disagreement is not None:
        entry["mirror_disagreement"] = round(face.mirror_disagreement, 6)
    return entry


def recorded_files(record: Mapping[str, Any]) -> list[str]:
    """Paths below the output directory of every file that a record names, those of earlier runs included."""
    files = [*record.get("files", {}).values(), *record.get("kept_files", ())]
    for face in record.get("faces", ()):
        files += face.get("files", {}).values()
    return files
