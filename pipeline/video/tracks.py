"""Faces of single frames linked into tracks over the whole clip, and short gaps in them filled.

A stream in, a stream out: frames are held only until nothing can be filled in them any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.video.finding import FrameFaces, SeenFace

LOST_SECONDS = 0.5
"""How long a track waits for its face to be seen again; ids are never used twice."""

NEAR, NEAR_A_SECOND, FARTHEST = 0.35, 0.7, 1.0
"""Sides of the face by which its landmarks may differ, on average, from where they are expected: at once,
more for every second since, and at most."""

_SIZES = 1.8
_OVERLAP = 0.3
_LOOKS = 0.35
_VELOCITY_KEPT = 0.6
_LONGEST_STRIDE_SECONDS = 0.25


class TimeLine(Protocol):
    """Times of frames; `pipeline.video.timeline.Timeline`."""

    def seconds(self, index: int, /) -> float:
        """Time of a frame."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LinkedFace:
    """One face of one frame, as part of a track.

    Attributes
    ----------
    track
        Number of the track, from 0.
    points
        (68, 2) float64 landmarks x, y in pixels of the upright frame.
    box
        The detection.
    score, detector
        Of the detection; of a filled face the lower score of its neighbours.
    is_filled
        The face was not found in this frame but before and after it: points and box lie between.
    """

    track: int
    points: NDArray[np.float64]
    box: Box
    score: float
    detector: str
    is_filled: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LinkedFrame:
    """A frame with its linked faces, sorted by track."""

    index: int
    is_cut: bool
    faces: tuple[LinkedFace, ...]
    is_damaged: bool = False


@dataclass(slots=True, eq=False)
class _Track:
    number: int
    face: SeenFace
    index: int
    seconds: float
    velocity: NDArray[np.float64]


class Linker:
    """Links faces from frame to frame.

    Parameters
    ----------
    timeline
        Times of the frames.
    lost_seconds
        See `LOST_SECONDS`.
    """

    def __init__(self, timeline: TimeLine, *, lost_seconds: float = LOST_SECONDS) -> None:
        self._timeline = timeline
        self._lost_seconds = lost_seconds
        self._tracks: list[_Track] = []
        self._waiting: deque[LinkedFrame] = deque()
        self._count = 0

    def run(self, frames: Iterable[FrameFaces]) -> Iterator[LinkedFrame]:
        """Yield every frame, in order, with the faces of its tracks.

        Parameters
        ----------
        frames
            Every frame that could be decoded, in order.
        """
        last: FrameFaces | None = None
        for frame in frames:
            if frame.is_cut:
                yield from self._settled(None)
                self._tracks.clear()
            now = self._timeline.seconds(frame.index)
            self._tracks = [
                track
                for track in self._tracks
                if now - track.seconds <= self._lost_seconds or (last and track.index == last.index)
            ]
            self._waiting.append(LinkedFrame(frame.index, frame.is_cut, (), frame.is_damaged))
            self._link(frame, now)
            last = frame
            yield from self._settled(now)
        yield from self._settled(None)

    def _link(self, frame: FrameFaces, now: float) -> None:
        """Give every face of a frame to the track that fits it best, or to a new one."""
        costs = [
            (cost, place, number)
            for place, track in enumerate(self._tracks)
            for number, face in enumerate(frame.faces)
            if (cost := _cost(track, face, now)) is not None
        ]
        taken: dict[int, _Track] = {}
        used: set[int] = set()
        for _, place, number in sorted(costs):
            if place not in used and number not in taken:
                used.add(place)
                taken[number] = self._tracks[place]
        linked = []
        for number, face in enumerate(frame.faces):
            track = taken.get(number)
            if track is None:
                track = _Track(self._count, face, frame.index, now, np.zeros(2))
                self._count += 1
                self._tracks.append(track)
            else:
                self._fill(track, face, now)
                _move(track, face, frame.index, now)
            linked.append(LinkedFace(track.number, face.points, face.box, face.score, face.detector))
        self._add(len(self._waiting) - 1, linked)

    def _fill(self, track: _Track, face: SeenFace, now: float) -> None:
        """Put the face into the frames between its last sight and this one."""
        for place, frame in enumerate(self._waiting):
            if track.index < frame.index and frame.index < self._waiting[-1].index:
                share = (self._timeline.seconds(frame.index) - track.seconds) / (now - track.seconds)
                self._add(place, [_between(track.number, track.face, face, share)])

    def _add(self, place: int, faces: Iterable[LinkedFace]) -> None:
        self._waiting[place] = _with_faces(self._waiting[place], faces)

    def _settled(self, now: float | None) -> Iterator[LinkedFrame]:
        """Frames in which nothing can be filled any more; all of them if there is no now."""
        while self._waiting:
            last_seen = min((track.index for track in self._tracks), default=self._waiting[-1].index)
            if now is not None and self._waiting[0].index > last_seen:
                return
            yield self._waiting.popleft()


def with_gaps_filled(
    frames: Iterable[LinkedFrame], timeline: TimeLine, *, lost_seconds: float = LOST_SECONDS
) -> Iterator[LinkedFrame]:
    """Fill short gaps of faces that are numbered already, as in a landmark file.

    Parameters
    ----------
    frames
        In order, their faces sorted by track; those without faces may be missing.
    timeline
        Times of the frames.
    lost_seconds
        Longer gaps stay. So do gaps beyond which the number means another place: a face that has moved
        further than a new sight of a lost track may.

    Yields
    ------
    LinkedFrame
        The same frames; they are held as long as something may be filled in.
    """
    waiting: deque[LinkedFrame] = deque()
    last: dict[int, tuple[int, LinkedFace]] = {}
    for frame in frames:
        now = timeline.seconds(frame.index)
        waiting.append(frame)
        for face in frame.faces:
            index, before = last.get(face.track, (frame.index, face))
            since = now - timeline.seconds(index)
            if since <= lost_seconds and _is_near(before, face, since):
                for place, held in enumerate(waiting):
                    if index < held.index < frame.index:
                        share = (timeline.seconds(held.index) - timeline.seconds(index)) / since
                        filled = _between(face.track, before, face, share)
                        waiting[place] = _with_faces(held, [filled])
            last[face.track] = frame.index, face
        while waiting and now - timeline.seconds(waiting[0].index) > lost_seconds:
            yield waiting.popleft()
    yield from waiting


def _is_near(before: LinkedFace, face: LinkedFace, since: float) -> bool:
    side = max(_side(before.box), _side(face.box))
    apart = float(np.linalg.norm(before.points - face.points, axis=1).mean()) / side
    return apart <= min(NEAR + NEAR_A_SECOND * since, FARTHEST)


def _with_faces(frame: LinkedFrame, faces: Iterable[LinkedFace]) -> LinkedFrame:
    return replace(frame, faces=tuple(sorted((*frame.faces, *faces), key=lambda face: face.track)))


def _cost(track: _Track, face: SeenFace, now: float) -> float | None:
    """How badly a face fits a track; None where it can't be the same."""
    since = now - track.seconds
    sides = _side(track.face.box), _side(face.box)
    if not 1 / _SIZES < sides[0] / sides[1] < _SIZES:
        return None
    stride = track.velocity * min(since, _LONGEST_STRIDE_SECONDS)
    apart = float(np.linalg.norm(track.face.points + stride - face.points, axis=1).mean()) / max(sides)
    near = apart <= min(NEAR + NEAR_A_SECOND * since, FARTHEST)
    if not near and track.face.box.iou(face.box) < _OVERLAP:
        return None
    alike = float((track.face.appearance * face.appearance).mean())
    return apart + _LOOKS * (1 - alike)


def _move(track: _Track, face: SeenFace, index: int, now: float) -> None:
    step = (face.points.mean(axis=0) - track.face.points.mean(axis=0)) / max(now - track.seconds, 1e-6)
    track.velocity = _VELOCITY_KEPT * track.velocity + (1 - _VELOCITY_KEPT) * step
    track.face, track.index, track.seconds = face, index, now


def _between(
    track: int, before: SeenFace | LinkedFace, face: SeenFace | LinkedFace, share: float
) -> LinkedFace:
    points = before.points + (face.points - before.points) * share
    sides = [
        round(a + (b - a) * share)
        for a, b in (
            (before.box.x, face.box.x),
            (before.box.y, face.box.y),
            (before.box.width, face.box.width),
            (before.box.height, face.box.height),
        )
    ]
    score = min(before.score, face.score)
    return LinkedFace(track, points, Box(*sides), score, before.detector, is_filled=True)


def _side(box: Box) -> float:
    return max(box.side, 1.0)
