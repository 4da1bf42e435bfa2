"""BlazeFace and CenterFace together: the detector of the default configuration.

BlazeFace looks at a quarter of the photograph and sees large faces however they are turned or covered;
CenterFace looks coarsely at first, and finely where that pays. What both see is a face. What one sees is
looked at again, by both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.blazeface import CANDIDATE, SHRINK, proposals, search_side_px
from landmarks.candidates import Candidate, distinct, merge, same_face
from landmarks.centerface import TILE_PX
from landmarks.geometry import Detection
from landmarks.judge import DOUBTED_TURN_DEGREES, Judge
from landmarks.views import View, cut_view, halved_view, reduced_view, scaled_view

COARSE_PIXELS, COARSE_SHARE, WIDE_SHARE = 200_000, 1 / 24, 1 / 9
"""The coarse look sees this many pixels, or this share of those of a large photograph; the last one of
photographs so wide that ``max_side_px`` lets BlazeFace see less than a quarter of their size."""

PORTRAIT_SHARE, PORTRAIT_PIXELS, PORTRAIT_COARSER = 0.25, 500_000, 0.3
"""Where BlazeFace clearly sees a face of the first share of the short side, in a photograph of so many
pixels, at half its size, CenterFace's coarse look sees only the last share of its pixels: others are seldom
much smaller. Where it has no hint of them, nobody looks more finely."""

WHOLE_PIXELS = 1_500_000
"""A fine look at the whole photograph sees at most this many; larger ones are seen in full where the coarse
look hints at small faces."""

WORTH_FINER = 0.7
"""Very large photographs, of which tiles are seen in full, are not looked at as a whole once more unless that
shrinks the pixels by this factor."""

HINT = 0.12
"""Score of CenterFace from which a small place is a hint."""

LOOKED_AT, FAINT_PX = 0.22, 20
"""Score of CenterFace from which a place is looked at again. Hints below this side, in pixels of the
photograph, all are: looked at closely they are faces or plainly none."""

AGREED, GOOD_BOX, UPRIGHT_SURE = 0.65, 0.8, 0.85
"""Score of CenterFace from which a find of BlazeFace is believed without another look, and scores of
BlazeFace from which its box is the better one and its turn is believed."""

SMALLEST_PX = 8
"""Smaller faces hold nothing to segment, and chance looks like them."""

DOUBLED_BELOW_PX = 20
"""A small photograph that shows a face below this side, in its pixels, is looked at twice as large, too."""

BELIEVED, BELIEVED_BELOW_PX = 0.7, 32
"""CenterFace alone is believed about faces below this side from this score on: of 457 such finds in groups,
streets, things and animals the judge believed 456."""

SMALL_IN_VIEW_PX = 24
"""Side below which what the coarse look sees calls for a finer one: there, faces look better, and smaller
ones may be beside them."""

ALONE_BESIDE_CLEAR = 0.55
"""Beside a portrait that both see clearly, finds of BlazeFace alone below this score are left out: sleeves,
collars and shadows."""

PART = 1.8
"""What CenterFace saw does not speak for a find of BlazeFace that is smaller by more than this: an ear is not
the face around it."""

MOST_DOUBTS = 200
"""Doubtful places of one photograph that are looked at again, the surest first."""

DOUBTFUL = 0.45


class JointDetector:
    """Two detectors as one.

    Parameters
    ----------
    settings
        ``upsample`` and, for BlazeFace's part, ``max_side_px`` are used.

    Attributes
    ----------
    judge
        Holds the networks; the harder searches share it.

    Raises
    ------
    FileNotFoundError, RuntimeError
        A network is missing or damaged.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self.judge = Judge.load()

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models."""
        return Judge.model_files()

    def find(self, image: Pixels) -> list[Detection]:
        """Faces from about 16 pixels on, the surest first; see `landmarks.base.Detector`."""
        return [face.detection() for face in self.candidates(image)]

    def candidates(self, image: Pixels) -> list[Candidate]:
        """The faces that `find` gives, as they turn."""
        blazeface = self.judge.blazeface
        view = reduced_view(image, search_side_px(image, self._settings))
        coarse = blazeface.find_at_all_sizes_of(halved_view(view), threshold=CANDIDATE)
        proposed = proposals(image, coarse)
        portraits = _portraits(image, proposed) if _pixels(image) >= PORTRAIT_PIXELS else []
        seen = self._seen_by_centerface(image, coarser=bool(portraits))
        if not portraits or not _show_nobody_else(portraits, seen):
            proposed = proposals(image, blazeface.find_in(view, threshold=CANDIDATE) + coarse)
            portraits = _portraits(image, proposed)
        clear = any(
            face.score >= AGREED and same_face(face, portrait) for face in seen for portrait in portraits
        )
        faces: list[Candidate] = []
        doubts = 0
        for candidate in seen:
            if candidate.score < LOOKED_AT and candidate.side >= FAINT_PX:
                continue
            doubts += candidate.score < DOUBTFUL
            if doubts > MOST_DOUBTS:
                break
            twin = next((other for other in proposed if same_face(candidate, other)), None)
            face = self._decided(image, candidate, twin)
            if face is not None:
                faces += distinct([face], known=faces)
        for candidate in distinct(proposed, known=faces):
            other = next((other for other in seen if same_face(candidate, other)), None)
            if clear and other is None and candidate.score < ALONE_BESIDE_CLEAR:
                continue
            seen_there = other.score if other and other.side <= PART * candidate.side else None
            face = self.judge.convinced(image, candidate, seen=seen_there)
            if face is not None:
                faces += distinct([face], known=faces)
        return sorted(faces, key=lambda face: -face.score)

    def _decided(self, image: Pixels, candidate: Candidate, twin: Candidate | None) -> Candidate | None:
        """What CenterFace saw, with BlazeFace's find at the same place if there is one."""
        is_small = candidate.side < BELIEVED_BELOW_PX
        if is_small and candidate.score >= BELIEVED and abs(candidate.angle) <= DOUBTED_TURN_DEGREES:
            return candidate
        if twin is None or twin.score < GOOD_BOX or candidate.score < AGREED:
            return self.judge.convinced(image, candidate, seen=candidate.score)
        if _turn_is_sure(twin, candidate):
            return twin
        return self.judge.turned_best(image, twin)

    def _seen_by_centerface(self, image: Pixels, *, coarser: bool) -> list[Candidate]:
        """What CenterFace sees, each place at the scale at which it looks best, the surest first."""
        limit_px = self._settings.max_side_px
        is_wide = limit_px is not None and max(image.shape[:2]) > SHRINK * limit_px
        share = WIDE_SHARE if is_wide else COARSE_SHARE
        pixels = max(COARSE_PIXELS, share * _pixels(image)) * (PORTRAIT_COARSER if coarser else 1)
        coarse = self._scaled(image, pixels)
        seen = self.judge.centerface.find_in(coarse, threshold=HINT)
        small_px = SMALL_IN_VIEW_PX * coarse.scale
        hints = [face for face in seen if face.side < small_px]
        clear = any(face.score >= AGREED for face in seen)
        if coarse.scale > 1:
            if clear and not hints:
                return merge(seen)
            whole = self._scaled(image, WHOLE_PIXELS)
            if whole.scale <= max(1, coarse.scale * WORTH_FINER):
                seen += self.judge.centerface.find_in(whole, threshold=HINT)
            if whole.scale > 1:
                for part in _parts(image, [face for face in merge(seen) if face.side < small_px]):
                    seen += self.judge.centerface.find_in(part, threshold=HINT)
        is_small = self._settings.upsample == 0 and 4 * _pixels(image) <= WHOLE_PIXELS
        if is_small and any(face.side < DOUBLED_BELOW_PX and face.score >= LOOKED_AT for face in seen):
            doubled = scaled_view(image, 2 * max(image.shape[:2]))
            seen += self.judge.centerface.find_in(doubled, threshold=HINT)
        return merge(face for face in seen if face.side >= SMALLEST_PX)

    def _scaled(self, image: Pixels, pixels: float) -> View:
        """The photograph with at most so many pixels; with ``upsample``, of the doubled photograph."""
        scale = min(math.sqrt(pixels / _pixels(image)), 1.0) * 2.0**self._settings.upsample
        return reduced_view(image, max(image.shape[:2]) * scale)


def _pixels(image: Pixels) -> int:
    height, width = map(int, image.shape[:2])
    return height * width


def _portraits(image: Pixels, found: list[Candidate]) -> list[Candidate]:
    """The large faces that BlazeFace sees clearly."""
    least_px = PORTRAIT_SHARE * min(image.shape[:2])
    return [face for face in found if face.side >= least_px and face.score >= GOOD_BOX]


def _show_nobody_else(portraits: list[Candidate], seen: list[Candidate]) -> bool:
    """Whether what CenterFace sees are the portraits alone."""
    return bool(seen) and all(any(same_face(face, portrait) for portrait in portraits) for face in seen)


def _turn_is_sure(first: Candidate, second: Candidate) -> bool:
    """Whether BlazeFace's find is upright beyond doubt, or both see the same turn."""
    apart = abs((first.angle - second.angle + 180) % 360 - 180)
    return abs(first.angle) <= DOUBTED_TURN_DEGREES and (apart < 35 or first.score >= UPRIGHT_SURE)


def _parts(image: Pixels, hints: list[Candidate]) -> Iterator[View]:
    """The tiles of the photograph in which the hints lie, each with a margin around it."""
    photo = scaled_view(image, max(image.shape[:2]))
    margin_px, step_px = TILE_PX // 8, TILE_PX * 3 // 4
    width, height = photo.size_wh
    for column, row in sorted({(int(hint.x // step_px), int(hint.y // step_px)) for hint in hints}):
        left, top = max(column * step_px - margin_px, 0), max(row * step_px - margin_px, 0)
        right, bottom = (column + 1) * step_px + margin_px, (row + 1) * step_px + margin_px
        if left < width and top < height:
            yield cut_view(photo, left, top, min(right, width), min(bottom, height))
