"""Whole lines of a manifest for tests."""

from __future__ import annotations

from typing import Any

from pipeline.manifest.records import blank_record
from pipeline.manifest.schema import FaceEntry, Record


def record(name: str, status: str = "ok", **values: Any) -> Record:
    """A record with every key; one that failed says why."""
    blank = blank_record(name=name, path=name, root=".", digest="d" * 64, orientation="upright")
    error = {"stage": "read", "type": "ImageReadError", "message": f"{name}: empty"}
    made: Any = {
        **blank,
        "status": status,
        "sha256": "a" * 64,
        "errors": [error] if status == "failed" else [],
        "seconds": {"read": 0.5},
        **values,
    }
    whole: Record = made
    return whole


def face(number: int = 1, **values: Any) -> FaceEntry:
    """A face of 50 pixels with every key."""
    made: Any = {
        "number": number,
        "box_xywh": [10, 20, 50, 50],
        "turn_degrees": 0,
        "detection": {"box_xywh": [15, 25, 40, 40], "score": 0.9, "detector": "blazeface"},
        "landmarks": [[10 + index % 50, 20 + index % 50] for index in range(68)],
        "score": 0.97,
        "area_px": 1200,
        "files": {},
        **values,
    }
    whole: FaceEntry = made
    return whole
