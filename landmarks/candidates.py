"""Places where a face may be, as detectors report them, and the merging of those that are the same face."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from landmarks.geometry import Box, Detection

SAME_FACE_OVERLAP = 0.5
"""Boxes that share more than this of the smaller one's area are one face."""

SAME_FACE_DISTANCE = 0.4
"""Boxes whose centres are closer than this share of the smaller side are one face."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A face as a box that turns with it; the box is the one that dlib's HOG detector would draw.

    Parameters
    ----------
    x, y : float
        Centre, in pixels (the first pixel spans 0 to 1).
    width, height : float
        Size along the face's own axes, in pixels.
    angle : float
        Turn of the face in the picture in degrees, clockwise: 0 is upright, 90 has the chin at the left.
    score : float
        The detector's confidence; comparable within one detector only.
    detector : str
        What found it.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float
    score: float
    detector: str

    @property
    def side(self) -> float:
        """Mean of width and height, in pixels."""
        return (self.width + self.height) / 2

    @property
    def box(self) -> Box:
        """Box of the same centre and size along the picture's axes, in whole pixels, at least 1 x 1."""
        x, x_max = round(self.x - self.width / 2), round(self.x + self.width / 2)
        y, y_max = round(self.y - self.height / 2), round(self.y + self.height / 2)
        return Box(x, y, max(x_max - x, 1), max(y_max - y, 1))

    def detection(self) -> Detection:
        """Return it as a value for the outside: box, score and detector."""
        return Detection(self.box, self.score, self.detector)

    def found_by(self, detector: str) -> Candidate:
        """Return the same place under the name of the search that found it."""
        return replace(self, detector=detector)


def same_face(first: Candidate, second: Candidate) -> bool:
    """Whether two candidates are one face: nearly one centre, or one box mostly inside the other."""
    x_distance, y_distance = abs(first.x - second.x), abs(first.y - second.y)
    if math.hypot(x_distance, y_distance) < SAME_FACE_DISTANCE * min(first.side, second.side):
        return True
    shared_width = min((first.width + second.width) / 2 - x_distance, first.width, second.width)
    shared_height = min((first.height + second.height) / 2 - y_distance, first.height, second.height)
    if shared_width <= 0 or shared_height <= 0:
        return False
    shared = shared_width * shared_height
    return shared > SAME_FACE_OVERLAP * min(first.width * first.height, second.width * second.height)


def merge(candidates: Iterable[Candidate], known: Iterable[Candidate] = ()) -> list[Candidate]:
    """One candidate a face: of duplicates the highest score stays.

    Parameters
    ----------
    candidates : iterable of Candidate
        With comparable scores, in any order.
    known : iterable of Candidate
        Faces found before; candidates that repeat them are dropped.

    Returns
    -------
    list of Candidate
        The new faces, highest score first, ties in the order given.
    """
    before = list(known)
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda item: -item.score):
        if not any(same_face(candidate, other) for other in [*before, *kept]):
            kept.append(candidate)
    return kept
