"""Harder searches for photographs in which the first pass finds no face, cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate, merge
from landmarks.cnn import CnnDetector
from landmarks.hog import HogDetector
from landmarks.views import Pixels, padded_view, scaled_view, turned_view

CONFIRMED = 0.4
"""A rescued face must reach this in BlazeFace's second look. At 0.45, 4 of 273 photographs of hands, shoes, bags and
textures still gave a face; the first pass asks for more."""

WEAK_BLAZEFACE = 0.15
WEAK_HOG = -0.5
SURE_CNN = 0.7

TURNS_DEGREES = (45, -45, 90, -90, 180)
HOG_TURNS_DEGREES = (30, -30, 15, -15)
HOG_SIDE_PX = 480
_TURNED_SIDE_PX = 320
_MOST_LOOKS = 6

Search = Callable[[Pixels], list[Candidate]]


class Rescue:
    """The chain of harder searches; each finds candidates of which only confirmed ones count.

    Parameters
    ----------
    blazeface : BlazeFace
        Searches and confirms.
    hog : callable
        Gives the HOG detector; called when the chain gets there.
    cnn : callable
        Gives the CNN detector; called when the chain gets there.
    upsampled_px : callable
        Longer side of the search picture for a photograph's longer side, in pixels.
    cnn_max_side_px : int
        Longer side of the picture that the CNN sees.
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
        """The searches from cheap to dear; what they return is confirmed and merged."""
        yield lambda image: self._confirmed(image, self._weak(image))
        yield lambda image: self._confirmed(image, self._upsampled(image))
        yield lambda image: self._confirmed(image, self._brightened(image))
        yield lambda image: self._confirmed(image, self._turned(image))
        yield lambda image: self._confirmed(image, self._hog_padded(image))
        yield lambda image: self._confirmed(image, self._hog_turned(image))
        yield lambda image: self._cnn_last(image)

    def _confirmed(self, image: Pixels, candidates: list[Candidate]) -> list[Candidate]:
        likely = merge(candidates)[:_MOST_LOOKS]
        return [face for face in likely if self._blazeface.confirm(image, face) >= CONFIRMED]

    def _weak(self, image: Pixels) -> list[Candidate]:
        return self._blazeface.find_at_all_sizes(
            image, self._search_side_px(image), threshold=WEAK_BLAZEFACE, name="blazeface@weak"
        )

    def _upsampled(self, image: Pixels) -> list[Candidate]:
        view = scaled_view(image, 2 * self._search_side_px(image))
        return self._blazeface.find(view, threshold=WEAK_BLAZEFACE, name="blazeface@up")

    def _brightened(self, image: Pixels) -> list[Candidate]:
        return self._blazeface.find_at_all_sizes(
            normalised(image), self._search_side_px(image), threshold=WEAK_BLAZEFACE, name="blazeface@clahe"
        )

    def _turned(self, image: Pixels) -> list[Candidate]:
        found = []
        for side_px in (_TURNED_SIDE_PX, _TURNED_SIDE_PX / 4):
            view = scaled_view(image, side_px)
            for degrees in TURNS_DEGREES:
                name = f"blazeface@rot{degrees:+d}"
                found += self._blazeface.find(turned_view(view, degrees), threshold=WEAK_BLAZEFACE, name=name)
        return found

    def _hog_padded(self, image: Pixels) -> list[Candidate]:
        found = []
        for picture, name in ((image, "hog@pad"), (normalised(image), "hog@clahe")):
            view = scaled_view(picture, HOG_SIDE_PX)
            for side_px in (HOG_SIDE_PX, HOG_SIDE_PX / 3):
                padded = padded_view(scaled_view(picture, side_px), margin_px=round(side_px / 3))
                found += self._hog().find(padded, threshold=WEAK_HOG, name=name)
        return found

    def _hog_turned(self, image: Pixels) -> list[Candidate]:
        view = scaled_view(image, HOG_SIDE_PX)
        found = []
        for degrees in HOG_TURNS_DEGREES:
            name = f"hog@rot{degrees:+d}"
            found += self._hog().find(turned_view(view, degrees), threshold=WEAK_HOG, name=name)
        return found

    def _cnn_last(self, image: Pixels) -> list[Candidate]:
        side_px = min(max(image.shape[:2]), self._cnn_max_side_px * 2 // 3)
        view = padded_view(scaled_view(image, side_px), margin_px=side_px // 4)
        found = merge(self._cnn().find(view, name="cnn@pad"))
        sure = [face for face in found if face.score >= SURE_CNN]
        weak = [face for face in found if face.score < SURE_CNN]
        return sure + self._confirmed(image, weak)


def normalised(image: Pixels) -> Pixels:
    """The photograph in grey with its local contrast evened out (CLAHE), for dark and washed-out pictures."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_GRAY2RGB), np.uint8)
