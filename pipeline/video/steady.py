"""Which faces of a chunk are cut out where: tracks read back, made steady, and held to the frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import CropConfig
from pipeline.framing import face_box, head_angle
from pipeline.turns import turned_box, turned_points, turned_size
from pipeline.video.smoothing import box_in_frame, steady_track
from pipeline.video.timeline import Timeline
from pipeline.video.tracks import LinkedFace, LinkedFrame

TURN_BACK_DEGREES = 55.0
"""A crop keeps its quarter turn until the head leans this far from it: at 45 degrees it would flicker."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedFace:
    """A face of a frame, ready to be cut out.

    Attributes
    ----------
    track
        Number of its track.
    points
        (68, 2) float64 steady landmarks x, y, pixels.
    face
        The same as whole pixels, with the detection.
    crop_box
        What is cut out.
    turn
        Quarter turns that bring the crop upright.
    is_filled
        It was not found in this frame, only before and after it.
    """

    track: int
    points: NDArray[np.float64]
    face: FaceLandmarks
    crop_box: Box
    turn: int
    is_filled: bool


def plan_faces(
    frames: Iterable[LinkedFrame],
    timeline: Timeline,
    settings: CropConfig,
    *,
    wanted: Sequence[int],
    steady: float,
) -> dict[int, list[PlannedFace]]:
    """Plan the crops of some frames.

    Parameters
    ----------
    frames
        In order; with `pipeline.video.smoothing.reach_seconds` more on each side than is wanted.
    timeline
        Of the clip.
    settings
        All of ``crop`` is used; its convention only where nothing is smoothed: both are nearly the same box.
    wanted
        Numbers of the tracks that are wanted.
    steady
        Strength; 0: every frame by itself, as a photograph.

    Returns
    -------
    dict
        Place of the frame -> its faces, by track. A face whose crop lies off the frame is left out.
    """
    tracks: dict[int, list[tuple[int, LinkedFace]]] = {track: [] for track in wanted}
    for frame in frames:
        for face in frame.faces:
            if face.track in tracks:
                tracks[face.track].append((frame.index, face))
    planned: dict[int, list[PlannedFace]] = {}
    for track in sorted(tracks):
        for index, one in _planned(tracks[track], timeline, settings, steady):
            planned.setdefault(index, []).append(one)
    return planned


def _planned(
    faces: Sequence[tuple[int, LinkedFace]], timeline: Timeline, settings: CropConfig, steady: float
) -> Iterable[tuple[int, PlannedFace]]:
    """Plan the faces of one track."""
    if not faces:
        return
    turns = _turns([face.points for _, face in faces], settings)
    edges = [0, *(np.flatnonzero(np.diff(turns)) + 1).tolist(), len(faces)]
    for start, stop in itertools.pairwise(edges):
        turn, piece = turns[start], faces[start:stop]
        size_wh = turned_size(timeline.size_wh, turn)
        seconds = np.array([timeline.seconds(index) for index, _ in piece])
        upright = np.stack([turned_points(face.points, timeline.size_wh, turn) for _, face in piece])
        smooth = steady_track(seconds, upright, steady=steady)
        for (index, face), points, extent in zip(piece, smooth.points, smooth.extents, strict=True):
            whole = np.rint(points).astype(np.int32)
            box: Box | None
            if steady > 0:
                box = box_in_frame(extent, size_wh, square=settings.square)
            else:
                box = _exact_box(whole, size_wh, settings)
            if box is None:
                continue
            exact = turned_points(points, size_wh, -turn)
            detection = Detection(face.box, face.score, face.detector)
            yield (
                index,
                PlannedFace(
                    face.track,
                    exact,
                    FaceLandmarks(np.rint(exact).astype(np.int32), detection),
                    turned_box(box, size_wh, -turn),
                    turn,
                    face.is_filled,
                ),
            )


def _exact_box(points: NDArray[np.int32], size_wh: tuple[int, int], settings: CropConfig) -> Box | None:
    try:
        return face_box(points, size_wh, settings)
    except ValueError:
        return None


def _turns(points: Sequence[NDArray[np.float64]], settings: CropConfig) -> list[int]:
    """Quarter turns of a track's crops, each kept as long as it may."""
    if settings.upright != "auto":
        return [0] * len(points)
    turns: list[int] = []
    for angle in (head_angle(one) for one in points):  # type: ignore[arg-type]
        last = turns[-1] if turns else round(angle / 90) % 4
        leans = (angle - 90 * last + 180) % 360 - 180
        turns.append(round(angle / 90) % 4 if abs(leans) > TURN_BACK_DEGREES else last)
    return turns
