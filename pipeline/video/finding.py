"""The first pass: which faces are where in every frame of a chunk.

A full search is made in the first and the last frame of the chunk, at cuts, every few frames, and wherever
a face that is followed is lost. Between searches faces are followed. What a search finds new is followed back
to the search before, so that a face which comes into view has its mask from its first frame on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.base import Finder
from landmarks.candidates import same_face
from landmarks.follow import Follower, Sight, likeness
from landmarks.geometry import Box, FaceLandmarks
from pipeline.errors import DetectionError
from pipeline.video.cuts import Glance, glance, is_cut
from pipeline.video.flow import flow_between
from pipeline.video.reader import Frame

RESCUE_SECONDS = 2.0
"""Least time between two harder searches (``detector.rescue``) in frames where nothing is found."""

APPEARANCE_PX = 4
"""Side of the tiny grey look that goes along with a face, by which crossing people are told apart."""


_MEDIAN_OF = 20
"""About so many places across a face say how it has moved; more would say the same."""


class ClipFinder(Finder, Protocol):
    """What pass one needs of a finder beside the search of single photographs."""

    def find_in_first_pass(self, image: NDArray[np.uint8], /) -> Iterable[FaceLandmarks]:
        """Faces of a frame without harder searches."""
        ...

    def follower(self) -> Follower:
        """What follows them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """One face of one frame as the first pass writes it down.

    Attributes
    ----------
    points
        (68, 2) float64 landmarks x, y in pixels of the upright frame.
    box
        What the detector drew, or would have drawn, around them.
    score
        Of the detector, or of the second look that confirmed a face that was followed.
    detector
        What found it first.
    appearance
        (APPEARANCE_PX squared,) float64: a tiny picture of it, mean 0, deviation 1.
    """

    points: NDArray[np.float64]
    box: Box
    score: float
    detector: str
    appearance: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameFaces:
    """What the first pass knows of a frame: whether a shot begins with it, and its faces."""

    index: int
    is_cut: bool
    faces: tuple[SeenFace, ...]
    is_damaged: bool = False


@dataclass(slots=True, eq=False)
class _Pending:
    """A frame that waits for the next search."""

    frame: Frame
    glance: Glance
    is_cut: bool
    sights: list[Sight] = field(default_factory=list)

    def finished(self) -> FrameFaces:
        faces = tuple(_seen(sight) for sight in self.sights)
        return FrameFaces(self.frame.index, self.is_cut, faces, self.frame.is_damaged)


class ChunkSearch:
    """Goes through the frames of one chunk.

    Parameters
    ----------
    finder
        Finds and follows.
    every
        Frames from one full search to the next; 1: every frame is searched, nothing is followed.
    frame_seconds
        Usual time from frame to frame.
    """

    def __init__(self, finder: ClipFinder, *, every: int, frame_seconds: float) -> None:
        self._finder = finder
        self._follower = finder.follower()
        self._every = every
        self._rescue_frames = RESCUE_SECONDS / frame_seconds
        self._last_rescue = float("-inf")

    def run(self, frames: Iterable[Frame], start: int, stop: int) -> Iterator[FrameFaces]:
        """Yield what is found, in order.

        Parameters
        ----------
        frames
            Of the chunk, and the one before it, if there is one: it tells whether the chunk begins with a
            cut.
        start, stop
            Places of the chunk's first frame, and of the first after it.

        Raises
        ------
        DetectionError
            A search failed.
        """
        pending: list[_Pending] = []
        before: Glance | None = None
        for frame in frames:
            seen = glance(frame.pixels)
            cut = before is not None and is_cut(before, seen)
            before = seen
            if frame.index < start:
                continue
            now = _Pending(frame, seen, cut)
            if cut:
                yield from _finished(pending)
                pending.clear()
            is_lost = self._follow(pending[-1], now) if pending else False
            pending.append(now)
            since = frame.index - pending[0].frame.index
            if len(pending) == 1 or is_lost or since >= self._every or frame.index == stop - 1:
                self._search(pending, is_first=len(pending) == 1)
                yield from _finished(pending[:-1])
                del pending[:-1]
        yield from _finished(pending)

    def _follow(self, last: _Pending, now: _Pending) -> bool:
        """Look for the last frame's faces in this one; whether one of them is lost."""
        if not last.sights or self._every == 1:
            return False
        motion = flow_between(last.glance.grey, now.glance.grey)
        scale = now.frame.pixels.shape[1] / motion.shape[1]
        for sight in last.sights:
            followed = self._follower.follow(now.frame.pixels, sight, _shift(motion, sight, scale))
            if followed is not None:
                _add(now.sights, followed, sight)
        return len(now.sights) < len(last.sights)

    def _search(self, pending: list[_Pending], *, is_first: bool) -> None:
        """Search the last of some frames; what is new is followed back through the others."""
        now = pending[-1]
        image = now.frame.pixels
        may_rescue = not now.sights and (
            is_first or now.frame.index - self._last_rescue >= self._rescue_frames
        )
        try:
            found = list((self._finder.find if may_rescue else self._finder.find_in_first_pass)(image))
        except (RuntimeError, cv2.error) as error:
            raise DetectionError(f"the search for faces failed: {error}") from error
        if may_rescue and not found:
            self._last_rescue = now.frame.index
        fresh = [self._looked_at(image, face, now.sights) for face in found]
        known = [
            sight
            for sight in now.sights
            if any(same_face(sight.candidate, other.candidate) for other in fresh)
            or self._follower.confirmed(image, sight) is not None
        ]
        new = [
            sight
            for sight in fresh
            if not any(same_face(sight.candidate, other.candidate) for other in known)
        ]
        now.sights = [_refreshed(sight, fresh) for sight in known] + new
        if self._every > 1:
            for sight in new:
                self._follow_back(pending, sight)

    def _looked_at(self, image: NDArray[np.uint8], face: FaceLandmarks, followed: Iterable[Sight]) -> Sight:
        """A face that a search has found; where it was followed to, it has been looked at already."""
        known = (self._follower.found_again(sight, face) for sight in followed)
        return next((sight for sight in known if sight), None) or self._follower.sight(image, face)

    def _follow_back(self, pending: list[_Pending], sight: Sight) -> None:
        later = pending[-1]
        for earlier in reversed(pending[:-1]):
            motion = flow_between(later.glance.grey, earlier.glance.grey)
            scale = earlier.frame.pixels.shape[1] / motion.shape[1]
            shift = _shift(motion, sight, scale)
            followed = self._follower.follow(earlier.frame.pixels, sight, shift)
            if followed is None or not _add(earlier.sights, followed, sight):
                return
            sight, later = followed, earlier


def _finished(pending: Iterable[_Pending]) -> Iterator[FrameFaces]:
    for one in pending:
        yield one.finished()


def _add(sights: list[Sight], followed: Sight, source: Sight) -> bool:
    """Add a face that was followed; of two that end on one face the likelier stays. Whether it was added."""
    for place, other in enumerate(sights):
        if same_face(other.candidate, followed.candidate):
            if likeness(followed, source) <= likeness(other, source):
                return False
            sights[place] = followed
            return True
    sights.append(followed)
    return True


def _refreshed(sight: Sight, fresh: Iterable[Sight]) -> Sight:
    """A followed face with the score of the search that has found it again."""
    for other in fresh:
        if same_face(sight.candidate, other.candidate):
            return other
    return sight


def _shift(motion: NDArray[np.float32], sight: Sight, scale: float) -> tuple[float, float]:
    """How a face has moved, in pixels of the frame: the median of the flow inside its box."""
    height, width = motion.shape[:2]
    box = sight.candidate.box
    x, x_max = (min(max(round(value / scale), 0), width) for value in (box.x, box.x_max))
    y, y_max = (min(max(round(value / scale), 0), height) for value in (box.y, box.y_max))
    step = max(min(x_max - x, y_max - y) // _MEDIAN_OF, 1)
    inside = motion[y : max(y_max, y + 1) : step, x : max(x_max, x + 1) : step].reshape(-1, 2)
    if not len(inside):
        return 0.0, 0.0
    across, down = (np.median(inside, axis=0) * scale).tolist()
    return across, down


def _seen(sight: Sight) -> SeenFace:
    look = cv2.resize(sight.look, (APPEARANCE_PX, APPEARANCE_PX), interpolation=cv2.INTER_AREA)
    appearance = look.reshape(-1).astype(np.float64)
    appearance = (appearance - appearance.mean()) / max(float(appearance.std()), 1e-6)
    return SeenFace(sight.points, sight.candidate.box, sight.score, sight.detector, appearance)
