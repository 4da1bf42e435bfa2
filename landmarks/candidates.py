"""Places where a face may be, as detectors report them, and the merging of those that are the same face."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from landmarks.geometry import Box, Detection, Keypoints

SAME_FACE_OVERLAP = 0.5
"""Boxes that share more than this of the smaller one's area are one face."""

SAME_FACE_DISTANCE = 0.4
"""Boxes whose centres are closer than this share of the smaller side are one face."""

SAME_PLACE_IOU = 0.5
"""Boxes that share more than this of their common area are one place to look at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A face as a box that turns with it; the box is the one that dlib's HOG detector would draw.

    Parameters
    ----------
    x, y
        Centre, in pixels (the first pixel spans 0 to 1).
    width, height
        Size along the face's own axes, in pixels.
    angle
        Turn of the face in the picture in degrees, clockwise: 0 is upright, 90 has the chin at the left.
    score
        The detector's confidence; comparable within one detector only.
    detector
        What found it.
    keypoints
        Both eyes, nose and mouth as (x, y) in pixels, as in ``Detection``, or empty.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float
    score: float
    detector: str
    keypoints: Keypoints = ()

    @property
    def side(self) -> float:
        """Mean of width and height, in pixels."""
        return (self.width + self.height) / 2

    @property
    def network(self) -> str:
        """What found it, whatever had been done to the photograph before (``detector`` up to an ``@``)."""
        return self.detector.partition("@")[0]

    @property
    def box(self) -> Box:
        """Box of the same centre and size along the picture's axes, in whole pixels, at least 1 x 1."""
        x, x_max = round(self.x - self.width / 2), round(self.x + self.width / 2)
        y, y_max = round(self.y - self.height / 2), round(self.y + self.height / 2)
        return Box(x, y, max(x_max - x, 1), max(y_max - y, 1))

    @classmethod
    def of(cls, detection: Detection) -> Candidate:
        """The candidate of a value for the outside, whose box is in whole pixels."""
        box = detection.box
        (x, y), (width, height) = box.center, (box.width, box.height)
        return cls(
            x, y, width, height, detection.angle, detection.score, detection.detector, detection.keypoints
        )

    def detection(self) -> Detection:
        """Return it as a value for the outside."""
        return Detection(self.box, self.score, self.detector, self.angle, self.keypoints)


def same_face(first: Candidate, second: Candidate) -> bool:
    """Whether two candidates are one face: nearly one centre, or one box mostly inside the other."""
    distance = math.hypot(first.x - second.x, first.y - second.y)
    if distance < SAME_FACE_DISTANCE * min(first.side, second.side):
        return True
    smaller = min(first.width * first.height, second.width * second.height)
    return _shared_area(first, second) > SAME_FACE_OVERLAP * smaller


def same_place(first: Candidate, second: Candidate) -> bool:
    """Whether two candidates are so alike that looking at one of them is enough."""
    shared = _shared_area(first, second)
    union = first.width * first.height + second.width * second.height - shared
    return shared > SAME_PLACE_IOU * union


def distinct(
    candidates: Iterable[Candidate],
    same: Callable[[Candidate, Candidate], bool] = same_face,
    known: Iterable[Candidate] = (),
) -> list[Candidate]:
    """Drop the candidates that are the same as one before them, or as one of those known already."""
    before, after = list(known), list(candidates)
    both = before + after
    places = np.array([(one.x, one.y, one.side) for one in both], np.float64).reshape(-1, 3)
    kept = np.arange(len(both)) < len(before)
    for i in range(len(before), len(both)):
        reaches = places[:i, 2] + places[i, 2]  # boxes whose centres are farther apart share nothing
        near = (np.abs(places[:i, :2] - places[i, :2]) < reaches[:, np.newaxis]).all(axis=1)
        kept[i] = not any(same(both[i], both[j]) for j in np.flatnonzero(near & kept[:i]).tolist())
    return [both[i] for i in np.flatnonzero(kept[len(before) :]) + len(before)]


def merge(candidates: Iterable[Candidate], known: Iterable[Candidate] = ()) -> list[Candidate]:
    """One candidate a face: of duplicates the highest score stays.

    Parameters
    ----------
    candidates
        With comparable scores, in any order.
    known
        Faces found before; candidates that repeat them are dropped.

    Returns
    -------
    list of Candidate
        The new faces, highest score first, ties in the order given.
    """
    return distinct(sorted(candidates, key=lambda item: -item.score), known=known)


def _shared_area(first: Candidate, second: Candidate) -> float:
    """Shared area of the boxes as if they lay along the picture's axes, in square pixels."""
    width = (first.width + second.width) / 2 - abs(first.x - second.x)
    height = (first.height + second.height) / 2 - abs(first.y - second.y)
    width, height = min(width, first.width, second.width), min(height, first.height, second.height)
    return max(width, 0.0) * max(height, 0.0)
