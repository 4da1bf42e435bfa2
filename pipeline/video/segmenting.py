"""The second pass: the masks of a chunk's frames from crops whose places are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import FaceLandmarks
from pipeline.crop import FaceCrop, crop_face
from pipeline.errors import EngineError, PhotoError
from pipeline.results import PhotoResult, StageError
from pipeline.scores import CropScores
from pipeline.video.averaging import Scored, averaged, scored
from pipeline.video.reader import Frame
from pipeline.video.steady import PlannedFace

FILLED_SCORE = 0.9
"""Least mean probability of face inside the mask that keeps a face which was only filled in."""

FILLED_AREA = 0.35
"""Least area of such a mask, as a share of what the landmarks enclose."""


class Segmenter(Protocol):
    """What pass two needs: `pipeline.photo.PhotoSegmenter`, or a stand-in for tests."""

    def score(
        self, pairs: Sequence[tuple[FaceLandmarks, FaceCrop]], errors: list[StageError], /
    ) -> list[tuple[FaceLandmarks, CropScores]]:
        """Scores of crops."""
        ...

    def decide(
        self,
        scored: Sequence[tuple[FaceLandmarks, CropScores]],
        frame_size_wh: tuple[int, int],
        /,
        *,
        errors: Sequence[StageError] = (),
        exact_points: Sequence[NDArray[np.float64]] | None = None,
    ) -> PhotoResult:
        """Masks of scores."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedFrame:
    """A frame with its masks.

    Attributes
    ----------
    frame
        The frame.
    result
        Of the frame; its errors are those of single faces or of the frame as a whole.
    faces
        The planned face of every face of the result, in the same order.
    rejected
        Number of filled faces that the network did not see.
    """

    frame: Frame
    result: PhotoResult
    faces: tuple[PlannedFace, ...]
    rejected: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    """A frame whose scores are known, waiting for those of the frames after it."""

    index: int
    frame: Frame | None
    faces: dict[int, PlannedFace] = field(default_factory=dict)
    scores: dict[int, Scored] = field(default_factory=dict)
    errors: list[StageError] = field(default_factory=list)


def segment_frames(
    frames: Iterable[Frame],
    planned: Mapping[int, Sequence[PlannedFace]],
    segmenter: Segmenter,
    *,
    start: int,
    stop: int,
    average_frames: int,
) -> Iterator[SegmentedFrame]:
    """Yield the frames from ``start`` to ``stop - 1`` with their masks.

    A few frames are held at a time.

    Parameters
    ----------
    frames
        In order, with ``average_frames`` more on each side where there are some.
    planned
        Place of a frame -> its faces.
    segmenter
        Scores and decides.
    start, stop
        Which frames are wanted.
    average_frames
        Frames on each side whose scores have a say; 0: none.
    """
    held: deque[_Held] = deque()
    waiting = 0  # frames at the end of held that are not done yet
    for frame in frames:
        held.append(_score(frame, planned.get(frame.index, ()), segmenter))
        waiting += 1
        while waiting > average_frames:
            yield from _done(held, len(held) - waiting, segmenter, range(start, stop))
            waiting -= 1
        while len(held) > waiting + average_frames:
            held.popleft()
    while waiting:
        yield from _done(held, len(held) - waiting, segmenter, range(start, stop))
        waiting -= 1


def crops_of(frame: Frame, faces: Sequence[PlannedFace]) -> list[tuple[FaceLandmarks, FaceCrop]]:
    """Cut planned faces out of their frame."""
    return [(face.face, crop_face(frame.pixels, face.crop_box, face.turn)) for face in faces]


def _score(frame: Frame, faces: Sequence[PlannedFace], segmenter: Segmenter) -> _Held:
    held = _Held(frame.index, frame, {face.track: face for face in faces})
    pairs = crops_of(frame, faces)
    if not pairs:
        return held
    try:
        found = segmenter.score(pairs, held.errors)
    except (PhotoError, EngineError) as error:
        held.errors.append(StageError("network", type(error).__name__, str(error)))
        return held
    # Faces are told by identity: two tracks may have equal landmarks.
    planned = {id(face.face): face for face in faces}
    for face, scores in found:
        known = planned[id(face)]
        held.scores[known.track] = scored(scores, known.points)
    return held


def _done(held: Sequence[_Held], place: int, segmenter: Segmenter, wanted: range) -> Iterator[SegmentedFrame]:
    """The masks of one of the frames held, if it is wanted; its pixels are let go."""
    now = held[place]
    frame, now.frame = now.frame, None
    if now.index not in wanted or frame is None:
        return
    size_wh = (frame.pixels.shape[1], frame.pixels.shape[0])
    faces = [now.faces[track] for track in now.scores]
    scores = [_averaged(held, place, track) for track in now.scores]
    result = _decide(faces, scores, size_wh, now.errors, segmenter)
    kept = [number for number, face in enumerate(faces) if _is_face(face, result, number)]
    rejected = len(faces) - len(kept)
    if rejected:
        faces, scores = [faces[number] for number in kept], [scores[number] for number in kept]
        result = _decide(faces, scores, size_wh, now.errors, segmenter)
    yield SegmentedFrame(frame, result, tuple(faces), rejected)


def _decide(
    faces: Sequence[PlannedFace],
    scores: Sequence[CropScores],
    size_wh: tuple[int, int],
    errors: Sequence[StageError],
    segmenter: Segmenter,
) -> PhotoResult:
    pairs = [(face.face, of_face) for face, of_face in zip(faces, scores, strict=True)]
    points = [face.points for face in faces]
    return segmenter.decide(pairs, size_wh, errors=errors, exact_points=points)


def _averaged(held: Sequence[_Held], place: int, track: int) -> CropScores:
    """A face's scores with what the frames around it say."""
    now = held[place].scores[track]
    neighbours = {
        other - place: one.scores[track]
        for other, one in enumerate(held)
        if track in one.scores and one is not held[place]
    }
    return averaged(now, neighbours) if neighbours else replace(now.scores)


def _is_face(face: PlannedFace, result: PhotoResult, number: int) -> bool:
    """Whether the network, too, sees a face that was only filled in."""
    if not face.is_filled:
        return True
    segmented = result.faces[number]
    outline = cv2.convexHull(face.face.points.reshape(-1, 1, 2))
    enclosed = max(float(cv2.contourArea(outline)), 1.0)
    area = int(np.count_nonzero(segmented.mask))
    return segmented.score >= FILLED_SCORE and area >= FILLED_AREA * enclosed
