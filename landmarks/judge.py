"""Second looks at places where a face may be: two networks that learnt apart agree, or one is very sure.

BlazeFace takes animals, cups and colour wheels for faces now and then, CenterFace cabbages and wheels; hardly
ever both the same thing. CenterFace in turn does not see faces of which only the eyes show, nor very
dark ones. The thresholds were chosen on street pictures with masks, made veils, profiles and pictures without
faces; ``benchmarks.detection`` measures what they give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Self

from landmarks.arrays import Pixels
from landmarks.blazeface import SMALL_SHARE, BlazeFace, BlazeFaceDetector
from landmarks.candidates import Candidate
from landmarks.centerface import CenterFace, CenterFaceDetector

SURE = 0.6
"""From this support of CenterFace on (mean of its search and its second look) nobody else is asked."""

CONFIRMING_WEIGHT = 0.3
"""What BlazeFace's second look counts beside CenterFace's support."""

VEILED_SHARES = (0.25, 0.3, 0.36)
"""Shares of the picture's side that a face takes in the second looks where BlazeFace decides alone."""


@dataclass(frozen=True, slots=True)
class _Bars:
    """What it takes to be believed.

    Parameters
    ----------
    needed, needed_small
        What support + ``CONFIRMING_WEIGHT`` x BlazeFace's second look must give; for boxes below
        ``SMALL_SHARE`` of the photograph's short side, of which CenterFace sees most and BlazeFace little.
    veiled_search, veiled
        BlazeFace alone decides for large faces (veils, darkness): least score of its search, and mean of its
        second looks at three sizes. At one size alone, dogs reach 0.7.
    """

    needed: float
    needed_small: float
    veiled_search: float
    veiled: float


# BlazeFace alone gives 57 of 64 made veils 0.55 or more, animals and things 0.47 or less, but for one dog
# (0.57). CenterFace gives what the doubled photograph really shows 0.75 or more, and a lamp 0.55.
_AT_FIRST = _Bars(needed=0.6, needed_small=0.5, veiled_search=0.4, veiled=0.54)
_IN_RESCUE = _Bars(needed=0.6, needed_small=0.8, veiled_search=0.5, veiled=0.58)

THROUGHOUT_SHARES = (0.3, 0.45, 0.6, 0.75)
SEEN_THROUGHOUT, WORTH_LOOKING, LOOKS_WEIGHT = 0.92, 0.45, 0.25
"""A large face behind a telephone or a hand is seen weakly by both networks, but by CenterFace at every size,
where one size alone may show nothing. It is believed where the score of CenterFace's search (from the second
value on), the mean of its looks at four sizes, and, weighed, that of BlazeFace's at three come to the first.
On 840 photographs and parts of photographs of animals and things the sum is 0.79 at most; of 528 of animals
that were blurred, darkened or tilted four reach it."""

BETTER_TURN = 0.15
"""Another quarter turn is taken where both networks together score higher by this."""

DOUBTED_TURN_DEGREES = 60
"""Heads turned by more than that are looked at in all four turns."""

WORTH_TURNING = 0.5
"""BlazeFace's search sees a head on its side or upside down with at least this score."""

SIZE_VOUCHED, LARGER = 0.3, 1.4
"""Where CenterFace's second look sees a face of the size given with the first score, BlazeFace's box may be
larger by no more than the second factor: else it is that of a neighbour."""

SMALLEST_PX = 24
"""Of smaller faces BlazeFace's search sees neither place nor turn."""

_LEAST_SEARCH = 0.03
_BOX_SCORES = (
    (64, 0.3),
    (32, 0.5),
)  # least side in pixels, least score of BlazeFace for which its box is taken


@dataclass(frozen=True, slots=True)
class _Glance:
    """What both networks see at a place: CenterFace's score, and BlazeFace's find."""

    candidate: Candidate
    strict: float
    found: Candidate | None

    @property
    def keen(self) -> float:
        return self.found.score if self.found is not None else 0.0

    @property
    def total(self) -> float:
        return self.strict + self.keen

    @property
    def placed(self) -> Candidate:
        """The candidate with BlazeFace's box, which is the better one, where BlazeFace sees the face well."""
        found = self.found
        if found is None or not any(found.side >= px and found.score >= least for px, least in _BOX_SCORES):
            return self.candidate
        if self.strict >= SIZE_VOUCHED and found.side > LARGER * self.candidate.side:
            return self.candidate  # BlazeFace saw the one beside it
        return replace(found, score=self.candidate.score, detector=self.candidate.detector)


class Judge:
    """Decides about candidates.

    Parameters
    ----------
    blazeface, centerface
        Attributes of the same names, for whoever searches with the same networks.
    """

    def __init__(self, blazeface: BlazeFace, centerface: CenterFace) -> None:
        self.blazeface = blazeface
        self.centerface = centerface

    @classmethod
    def load(cls) -> Self:
        """Load both networks.

        Raises
        ------
        FileNotFoundError, RuntimeError
            A network is missing or damaged.
        """
        return cls(BlazeFace(), CenterFace())

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models."""
        return BlazeFaceDetector.model_files() + CenterFaceDetector.model_files()

    def convinced(
        self, image: Pixels, candidate: Candidate, *, seen: float | None = None
    ) -> Candidate | None:
        """The face at a candidate's place, or None.

        Parameters
        ----------
        image
            (H, W, 3) uint8; the photograph, RGB.
        candidate
            Where to look, in pixels of ``image``.
        seen
            Score 0 to 1 with which CenterFace's search saw it; None: it did not look there.

        Returns
        -------
        Candidate or None
            Placed anew, turned as it looks best; score and detector are those given.
        """
        glance = self._glance(image, candidate)
        face = self._decided(image, glance, seen, _AT_FIRST)
        if face is None and self._is_seen_throughout(image, glance):
            return candidate
        if face is not None and abs(face.angle) <= DOUBTED_TURN_DEGREES:
            return face
        if face is None and glance.keen < WORTH_TURNING:
            return None
        turned = self._best_turn(image, glance)
        return face if turned is glance else self._decided(image, turned, None, _AT_FIRST)

    def convinced_in_rescue(self, image: Pixels, candidate: Candidate) -> Candidate | None:
        """The face at the place of a candidate of a harder search, or None: as ``convinced``, but stricter.

        Most photographs that are searched harder have no face, so there is more to lose than to find.
        """
        strict = self.centerface.score_at(image, candidate)
        small = LARGER * candidate.side < SMALL_SHARE * min(image.shape[:2])
        if small and strict + CONFIRMING_WEIGHT < _IN_RESCUE.needed_small:
            return None  # whatever BlazeFace said
        glance = self._seen_by_blazeface(image, candidate, strict)
        face = self._decided(image, glance, None, _IN_RESCUE)
        return candidate if face is None and self._is_seen_throughout(image, glance) else face

    def turned_best(self, image: Pixels, face: Candidate) -> Candidate:
        """A face whose turn is in doubt, as it looks best of four quarter turns; as it is if that is best."""
        glance = self._glance(image, face)
        turned = self._best_turn(image, glance)
        return face if turned is glance else turned.placed

    def _is_seen_throughout(self, image: Pixels, glance: _Glance) -> bool:
        """Whether CenterFace has found a large face that no single look shows well."""
        candidate, seen = glance.candidate, glance.candidate.score
        if candidate.network != "centerface" or seen < WORTH_LOOKING:
            return False
        if candidate.side < SMALL_SHARE * min(image.shape[:2]):
            return False
        strict = fmean(self.centerface.score_at(image, candidate, share) for share in THROUGHOUT_SHARES)
        if seen + strict + LOOKS_WEIGHT < SEEN_THROUGHOUT:
            return False  # whatever BlazeFace's looks said
        looks = fmean(self.blazeface.confirm(image, glance.placed, share) for share in VEILED_SHARES)
        return seen + strict + LOOKS_WEIGHT * looks >= SEEN_THROUGHOUT

    def _best_turn(self, image: Pixels, glance: _Glance) -> _Glance:
        start = glance.candidate
        turns = [(start.angle + quarter + 180) % 360 - 180 for quarter in (90, 180, 270)]
        others = [self._glance(image, replace(start, angle=angle, keypoints=())) for angle in turns]
        best = max(others, key=lambda other: other.total)
        return best if best.total >= glance.total + BETTER_TURN else glance

    def _glance(self, image: Pixels, candidate: Candidate) -> _Glance:
        return self._seen_by_blazeface(image, candidate, self.centerface.score_at(image, candidate))

    def _seen_by_blazeface(self, image: Pixels, candidate: Candidate, strict: float) -> _Glance:
        if candidate.side < SMALLEST_PX:
            return _Glance(candidate, strict, None)
        return _Glance(
            candidate, strict, self.blazeface.found_near(image, candidate, threshold=_LEAST_SEARCH)
        )

    def _decided(self, image: Pixels, glance: _Glance, seen: float | None, bars: _Bars) -> Candidate | None:
        placed = glance.placed
        support = glance.strict if seen is None else (seen + glance.strict) / 2
        if support >= SURE:
            return placed
        small = placed.side < SMALL_SHARE * min(image.shape[:2])
        needed = bars.needed_small if small else bars.needed
        may_be_veiled = not small and glance.keen >= bars.veiled_search
        if support + CONFIRMING_WEIGHT < needed and not may_be_veiled:
            return None  # whatever a second look of BlazeFace said
        look = self.blazeface.confirm(image, placed)
        if support + CONFIRMING_WEIGHT * look >= needed:
            return placed
        if not may_be_veiled or look < bars.veiled / 2:
            return None
        looks = [self.blazeface.confirm(image, placed, share) for share in VEILED_SHARES]
        return placed if fmean(looks) >= bars.veiled else None
