"""``tracks/NAME.jsonl``: a line a face a frame, and the landmark file made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from landmarks.geometry import Box
from pipeline.video.lms import LmsFace, LmsFrame
from pipeline.video.segmenting import SegmentedFrame
from pipeline.video.timeline import Timeline

_DECIMALS = 2


def track_lines(one: SegmentedFrame, timeline: Timeline) -> Iterator[dict[str, Any]]:
    """The lines of a frame, by track.

    Each has ``frame`` (from 0), ``pts`` (in units of the clip's time base), ``seconds`` (since the first
    frame), ``track`` (from 0), ``state`` (``seen`` or ``filled``), ``box_xywh`` (what was cut out), ``turn``,
    ``detection``, ``landmarks`` (68 steady points to a part of a pixel), ``score`` (mean probability inside
    the mask), ``confidence`` and ``landmark_quality`` (`pipeline.confidence`), and ``area_px`` (what the face
    has of the instance map); pixels of the upright frame.
    """
    index = one.frame.index
    for number, (planned, face) in enumerate(zip(one.faces, one.result.faces, strict=True), start=1):
        box, detection = face.crop.box, planned.face.detection
        area = np.count_nonzero(one.result.instances[face.crop.frame_slices] == number)
        yield {
            "frame": index,
            "pts": timeline.pts[index],
            "seconds": round(timeline.seconds(index), 6),
            "track": planned.track,
            "state": "filled" if planned.is_filled else "seen",
            "box_xywh": [box.x, box.y, box.width, box.height],
            "turn": planned.turn,
            "detection": {
                "box_xywh": [
                    detection.box.x,
                    detection.box.y,
                    detection.box.width,
                    detection.box.height,
                ],
                "score": round(detection.score, 4),
                "detector": detection.detector,
            },
            "landmarks": np.round(planned.points, _DECIMALS).tolist(),
            "score": round(face.score, 4),
            "confidence": round(face.confidence, 4),
            "landmark_quality": round(face.landmark_quality, 4),
            "area_px": int(area),
        }


def lms_frames(lines: Iterable[Mapping[str, Any]], timeline: Timeline) -> Iterator[LmsFrame]:
    """Every frame of a clip for its landmark file, with the faces of the track lines.

    Parameters
    ----------
    lines
        Of the whole clip, in order.
    timeline
        Of the clip.
    """
    by_frame = groupby(lines, key=lambda line: int(line["frame"]))
    waiting = next(by_frame, None)
    width, height = timeline.size_wh
    for index in range(len(timeline)):
        faces: tuple[LmsFace, ...] = ()
        if waiting is not None and waiting[0] == index:
            faces = tuple(map(_lms_face, waiting[1]))
            waiting = next(by_frame, None)
        yield LmsFrame(index, width, height, faces)


def _lms_face(line: Mapping[str, Any]) -> LmsFace:
    points = np.rint(np.array(line["landmarks"])).astype(np.int32)
    return LmsFace(line["track"], Box(*line["detection"]["box_xywh"]), points)
