"""Harder searches for photographs in which the first pass finds no face, cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate, distinct, merge, same_place
from landmarks.cnn import CnnDetector
from landmarks.hog import HogDetector
from landmarks.views import Pixels, padded_view, scaled_view, turned_view

WEAK_BLAZEFACE = 0.15
WEAK_HOG = -0.5
"""Least scores of candidates: low, since each is looked at again."""

NEEDED = ((0.5, 0.45), (0.2, 0.55), (0.0, 0.7))
"""Share of the photograph's short side, and what the second look must give for boxes of at least that: less
for large ones, as there are few such places; more for small ones, as chance has many places to hit."""

LYING_DEGREES = 60
NEEDED_LYING = 0.1
"""Faces that are turned by more than that are rare: they must give this much more."""

LOOK_CLOSER = 0.2
"""From this score of the second look on, a candidate is placed anew and looked at once more."""

SURE_CNN = 0.7
"""dlib's CNN is believed from this score on without a second look."""

HOG_SIDES_PX = (480, 160)
TURNS_DEGREES = (45, -45, 90, -90, 180)
TURNED_SIDES_PX = (320, 80)
MOST_LOOKS = 10

Search = Callable[[Pixels], list[Candidate]]


class Rescue:
    """The chain of harder searches. Each gives candidates, of which those count that a second look confirms.

    Parameters
    ----------
    blazeface : BlazeFace
        Searches and confirms.
    hog, cnn : callable
        Give the other detectors; called when the chain gets there.
    search_side_px : callable
        Takes a photograph; gives the longer side in pixels of the picture that BlazeFace searches.
    cnn_max_side_px : int
        Longer side in pixels of the picture that the CNN sees, its margin included.
    """

    def __init__(
        self,
        blazeface: BlazeFace,
        hog: Callable[[], HogDetector],
        cnn: Callable[[], CnnDetector],
        *,
        search_side_px: Callable[[Pixels], float],
        cnn_max_side_px: int,
    ) -> None:
        self._blazeface = blazeface
        self._hog = hog
        self._cnn = cnn
        self._search_side_px = search_side_px
        self._cnn_max_side_px = cnn_max_side_px

    def searches(self) -> Iterator[Search]:
        """Give the searches, from cheap to dear; what they return is confirmed, each face once."""
        for search in (self._weak, self._padded_hog, self._even_light, self._upsampled, self._turned):
            yield partial(self._search_and_confirm, search)
        yield self._cnn_last

    def _search_and_confirm(self, search: Search, image: Pixels) -> list[Candidate]:
        return self._confirmed(image, search(image))

    def _confirmed(self, image: Pixels, candidates: list[Candidate]) -> list[Candidate]:
        """The candidates that a second look confirms, the surest first, each face once."""
        by_score = sorted(candidates, key=lambda candidate: -candidate.score)
        looks = [self._look(image, candidate) for candidate in distinct(by_score, same_place)[:MOST_LOOKS]]
        short_px = min(image.shape[:2])
        faces = [
            face
            for score, face in sorted(looks, key=lambda look: -look[0])
            if score >= _needed(face, short_px)
        ]
        return distinct(faces)

    def _look(self, image: Pixels, candidate: Candidate) -> tuple[float, Candidate]:
        """Score of the second look, and the candidate placed as it looks best: turned, upright, or anew."""
        looks = [(self._blazeface.confirm(image, candidate), candidate)]
        if candidate.angle != 0:
            upright = replace(candidate, angle=0.0)
            looks.append((self._blazeface.confirm(image, upright), upright))
        score, best = max(looks, key=lambda look: look[0])
        if score < LOOK_CLOSER:
            return score, best
        placed = self._blazeface.refined(image, best)
        return max((score, best), (self._blazeface.confirm(image, placed), placed), key=lambda look: look[0])

    def _weak(self, image: Pixels) -> list[Candidate]:
        """The first pass again with a low threshold."""
        return self._blazeface.find_at_all_sizes(
            image, self._search_side_px(image), threshold=WEAK_BLAZEFACE, name="blazeface@weak"
        )

    def _padded_hog(self, image: Pixels) -> list[Candidate]:
        """HOG on the photograph in a black margin: faces that fill it or are cut by it get an outline."""
        found = []
        for side_px in HOG_SIDES_PX:
            view = padded_view(scaled_view(image, side_px), margin_px=side_px // 3)
            found += self._hog().find(view, threshold=WEAK_HOG, name="hog@pad", in_colour=False)
        return found

    def _even_light(self, image: Pixels) -> list[Candidate]:
        """BlazeFace on the photograph with its local contrast evened out."""
        return self._blazeface.find_at_all_sizes(
            even_light(image), self._search_side_px(image), threshold=WEAK_BLAZEFACE, name="blazeface@clahe"
        )

    def _upsampled(self, image: Pixels) -> list[Candidate]:
        """BlazeFace at twice the size: faces of half the size."""
        view = scaled_view(image, 2 * self._search_side_px(image))
        return self._blazeface.find(view, threshold=WEAK_BLAZEFACE, name="blazeface@up")

    def _turned(self, image: Pixels) -> list[Candidate]:
        """BlazeFace on the turned photograph, coarsely."""
        found = []
        for side_px in TURNED_SIDES_PX:
            view = scaled_view(image, side_px)
            for degrees in TURNS_DEGREES:
                name = f"blazeface@rot{degrees:+d}"
                found += self._blazeface.find(turned_view(view, degrees), threshold=WEAK_BLAZEFACE, name=name)
        return found

    def _cnn_last(self, image: Pixels) -> list[Candidate]:
        """The photograph in a black margin, seen by dlib's CNN."""
        side_px = min(max(image.shape[:2]), self._cnn_max_side_px * 2 // 3)
        view = padded_view(scaled_view(image, side_px), margin_px=side_px // 4)
        found = merge(self._cnn().find(view, name="cnn@pad"))
        sure = [face for face in found if face.score >= SURE_CNN]
        return sure + self._confirmed(image, [face for face in found if face.score < SURE_CNN])


def _needed(face: Candidate, short_px: int) -> float:
    """Least score of the second look, 0 to 1, for a photograph whose short side has ``short_px`` pixels."""
    needed = next(score for share, score in NEEDED if face.side >= share * short_px)
    return needed + NEEDED_LYING if abs(face.angle) > LYING_DEGREES else needed


def even_light(image: Pixels) -> Pixels:
    """The photograph in grey with its local contrast evened out (CLAHE), for dark and washed-out pictures.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.

    Returns
    -------
    (H, W, 3) uint8
        Three equal channels.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_GRAY2RGB), np.uint8)
