"""What the passes over a clip say of a frame, as lines of JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landmarks.geometry import Box
from pipeline.video.finding import FrameFaces, SeenFace
from pipeline.video.tracks import LinkedFace, LinkedFrame

_DECIMALS = 2


def found_line(frame: FrameFaces) -> dict[str, Any]:
    """A frame of the first pass as JSON."""
    return {
        "frame": frame.index,
        "cut": frame.is_cut,
        "damaged": frame.is_damaged,
        "faces": [
            {
                "box_xywh": _xywh(face.box),
                "score": round(face.score, 4),
                "detector": face.detector,
                "landmarks": np.round(face.points, _DECIMALS).tolist(),
                "appearance": np.round(face.appearance, _DECIMALS).tolist(),
            }
            for face in frame.faces
        ],
    }


def found_frame(line: Mapping[str, Any]) -> FrameFaces:
    """Take back what `found_line` gave."""
    faces = tuple(
        SeenFace(
            np.array(face["landmarks"], np.float64),
            Box(*face["box_xywh"]),
            face["score"],
            face["detector"],
            np.array(face["appearance"], np.float64),
        )
        for face in line["faces"]
    )
    return FrameFaces(line["frame"], line["cut"], faces, line["damaged"])


def linked_line(frame: LinkedFrame) -> dict[str, Any]:
    """A linked frame as JSON."""
    return {
        "frame": frame.index,
        "cut": frame.is_cut,
        "damaged": frame.is_damaged,
        "faces": [
            {
                "track": face.track,
                "box_xywh": _xywh(face.box),
                "score": face.score,
                "detector": face.detector,
                "landmarks": np.round(face.points, _DECIMALS).tolist(),
                "filled": face.is_filled,
            }
            for face in frame.faces
        ],
    }


def linked_frame(line: Mapping[str, Any]) -> LinkedFrame:
    """Take back what `linked_line` gave."""
    faces = tuple(
        LinkedFace(
            face["track"],
            np.array(face["landmarks"], np.float64),
            Box(*face["box_xywh"]),
            face["score"],
            face["detector"],
            face["filled"],
        )
        for face in line["faces"]
    )
    return LinkedFrame(line["frame"], line["cut"], faces, line["damaged"])


def _xywh(box: Box) -> list[int]:
    return [box.x, box.y, box.width, box.height]
