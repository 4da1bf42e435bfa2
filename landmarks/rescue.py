"""Harder searches for photographs in which the first pass finds no face, cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.blazeface import search_side_px
from landmarks.candidates import Candidate, distinct, same_place
from landmarks.judge import Judge
from landmarks.views import View, padded_view, reduced_view, turned_view

WEAK_BLAZEFACE, WEAK_SMALL, WEAK_CENTERFACE = 0.2, 0.4, 0.15
"""Least scores of candidates: low, since each is looked at again; the second one in the doubled photograph,
where chance finds many."""

TURNS_DEGREES = (90, -90, 180)
TURNED_SIDE_PX, TURNED_SMALL_SIDE_PX = 320, 80
PADDED_SIDE_PX = 192
MOST_LOOKS = 3
"""Places that are looked at again after one search."""

Search = Callable[[Pixels], list[Candidate]]


class Rescue:
    """The chain of harder searches. Each gives candidates, of which those count that convince the judge.

    Parameters
    ----------
    settings
        Sets the size of the picture that is searched.
    judge
        Its networks search, too.
    """

    def __init__(self, settings: SearchSettings, judge: Judge) -> None:
        self._settings = settings
        self.judge = judge

    def searches(self) -> Iterator[Search]:
        """Give the searches, from cheap to dear, for one photograph; what they return is believed, each once.

        A place at which one of them has looked in vain is not looked at by a later one.
        """
        looked: list[Candidate] = []
        for search in (self._weak, self._even_light, self._padded, self._upsampled, self._turned):
            yield partial(self._search_and_judge, search, looked)

    def _search_and_judge(self, search: Search, looked: list[Candidate], image: Pixels) -> list[Candidate]:
        by_score = sorted(search(image), key=lambda candidate: -candidate.score)
        places: list[Candidate] = []
        for candidate in by_score:
            before = [place for place in looked if not _is_more(candidate, place)]
            places += distinct([candidate], same_place, known=[*before, *places])
            if len(places) == MOST_LOOKS:
                break
        looked += places
        faces = [self.judge.convinced_in_rescue(image, place) for place in places]
        return distinct(face for face in faces if face is not None)

    def _weak(self, image: Pixels) -> list[Candidate]:
        """The first pass again with a low threshold."""
        return self.judge.blazeface.find_at_all_sizes(
            image, search_side_px(image, self._settings), threshold=WEAK_BLAZEFACE, name="blazeface@weak"
        )

    def _even_light(self, image: Pixels) -> list[Candidate]:
        """BlazeFace on the photograph with its local contrast evened out."""
        view = reduced_view(image, search_side_px(image, self._settings))
        even = View(even_light(view.pixels), view.to_photo)
        return self.judge.blazeface.find_at_all_sizes_of(
            even, threshold=WEAK_BLAZEFACE, name="blazeface@clahe"
        )

    def _padded(self, image: Pixels) -> list[Candidate]:
        """CenterFace on the photograph in a margin: faces that fill it or are cut by it get an outline."""
        view = padded_view(reduced_view(image, PADDED_SIDE_PX), margin_px=PADDED_SIDE_PX // 3)
        return self.judge.centerface.find_in(view, threshold=WEAK_CENTERFACE, name="centerface@pad")

    def _upsampled(self, image: Pixels) -> list[Candidate]:
        """BlazeFace at twice the size: faces of half the size."""
        view = reduced_view(image, 2 * search_side_px(image, self._settings))
        return self.judge.blazeface.find_in(view, threshold=WEAK_SMALL, name="blazeface@up")

    def _turned(self, image: Pixels) -> list[Candidate]:
        """BlazeFace on the turned photograph, coarsely."""
        found = []
        for side_px in (TURNED_SIDE_PX, TURNED_SMALL_SIDE_PX):
            view = reduced_view(image, side_px)
            for degrees in TURNS_DEGREES:
                name = f"blazeface@rot{degrees:+d}"
                turned = turned_view(view, degrees)
                found += self.judge.blazeface.find_in(turned, threshold=WEAK_BLAZEFACE, name=name)
        return found


def _is_more(candidate: Candidate, place: Candidate) -> bool:
    """Whether CenterFace proposes what BlazeFace alone had proposed before."""
    return candidate.network == "centerface" and place.network != "centerface"


def even_light(image: Pixels) -> Pixels:
    """The photograph in grey with its local contrast evened out (CLAHE), for dark and washed-out pictures.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.

    Returns
    -------
    (H, W, 3) uint8
        Three equal channels.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey)
    return np.asarray(cv2.cvtColor(even, cv2.COLOR_GRAY2RGB), np.uint8)
