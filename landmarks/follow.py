"""Following a face from a frame to the next without a search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float64Array, Pixels
from landmarks.candidates import Candidate
from landmarks.geometry import FaceLandmarks
from landmarks.views import View, upright_patch

PATCH_PX, PATCH_SHARE = 400, 0.45
"""Landmarks are predicted on an upright patch of this side, of which the box takes this share: whole pixels
of the patch are parts of a pixel of most photographs."""

LOOK_PX = 24
_LOOK_SHARE = 0.85

ALIKE = 0.8
"""Correlation of two looks from which on they are taken for the same face."""

AGREED = 0.015
"""Mean distance of landmarks, as a share of the face's side, up to which a search says again what is known:
twice what lies between two predictions of one face."""

CONFIRMED = 0.3
"""Least score of a second look that keeps a face which is known already; a new one needs more."""

_FARTHEST = 0.6
_SCALES = (0.75, 1.33)
_AGAIN = 0.08
_SAMPLED_AT_ONCE = 4.0  # pixels of the photograph a pixel of the patch; dlib looks at single pixels, too

# Box of the detector in terms of the landmarks: centre relative to their mean along the face's own axes, and
# side, in units of their root mean square distance from the mean; x moves with the nose. Medians and least
# squares over 66 faces of the samples and of public portraits; the sides differ by 6 % (one standard
# deviation), the centres by 2 % of the side.
_CENTRE_X, _NOSE_X, _CENTRE_Y, _SIDE = -0.017, -0.184, -0.104, 2.9


@dataclass(frozen=True, eq=False)
class Sight:
    """A face in one frame, to a part of a pixel.

    Parameters
    ----------
    points
        (68, 2) float64; landmarks x, y in pixels of the frame.
    look
        (LOOK_PX, LOOK_PX) float32; the face upright and grey, its mean 0 and its deviation 1.
    score
        Of the detector, or of the second look that confirmed it.
    detector
        What found it first.
    """

    points: Float64Array
    look: npt.NDArray[np.float32]
    score: float
    detector: str

    @cached_property
    def candidate(self) -> Candidate:
        """Where the detector would have drawn its box."""
        return candidate_of(self.points, self.score, self.detector)


class Follower:
    """Follows faces.

    Parameters
    ----------
    predict
        Takes a photograph and a candidate; gives its landmarks.
    confirm
        Takes a photograph and a candidate; gives a score 0 to 1 of a face being there.
    """

    def __init__(
        self,
        predict: Callable[[Pixels, Candidate], FaceLandmarks],
        confirm: Callable[[Pixels, Candidate], float],
    ) -> None:
        self._predict = predict
        self._confirm = confirm

    def sight(self, image: Pixels, face: FaceLandmarks) -> Sight:
        """Look at a face that was found, as it will be looked at when it is followed.

        Parameters
        ----------
        image
            (H, W, 3) uint8; the frame, RGB.
        face
            Found in it.
        """
        detection = face.detection
        points, patch = self._placed(image, face.points.astype(np.float64))
        return Sight(points, _look(patch, points), detection.score, detection.detector)

    def found_again(self, sight: Sight, face: FaceLandmarks) -> Sight | None:
        """The face that was followed with the score of a search; None where that has found it elsewhere.

        Parameters
        ----------
        sight
            In the frame that was searched.
        face
            Found in it.
        """
        if _distance(sight.points, face.points.astype(np.float64)) > AGREED * sight.candidate.side:
            return None
        return replace(sight, score=face.detection.score, detector=face.detection.detector)

    def follow(self, image: Pixels, before: Sight, shift: tuple[float, float] = (0.0, 0.0)) -> Sight | None:
        """Find a face of another frame in this one.

        Parameters
        ----------
        image
            (H, W, 3) uint8; the frame, RGB.
        before
            The face in the frame before, or after.
        shift
            How far it may have moved since, x and y in pixels.

        Returns
        -------
        Sight or None
            None where it is gone, hidden, or moved too far to be sure.
        """
        expected = before.points + np.array(shift)
        points, patch = self._placed(image, expected)
        if _distance(points, expected) > _AGAIN * before.candidate.side:
            points, patch = self._placed(image, points)
        now = candidate_of(points, before.score, before.detector)
        near = math.hypot(now.x - before.candidate.x, now.y - before.candidate.y) < (
            _FARTHEST * before.candidate.side + math.hypot(*shift)
        )
        if not near or not _SCALES[0] < now.side / before.candidate.side < _SCALES[1]:
            return None
        look = _look(patch, points)
        if float((look * before.look).mean()) >= ALIKE:
            return Sight(points, look, before.score, before.detector)
        return self.confirmed(image, Sight(points, look, before.score, before.detector))

    def confirmed(self, image: Pixels, sight: Sight) -> Sight | None:
        """The face with the score of a second look; None where that sees no face."""
        score = self._confirm(image, sight.candidate)
        return Sight(sight.points, sight.look, score, sight.detector) if score >= CONFIRMED else None

    def _placed(self, image: Pixels, points: Float64Array) -> tuple[Float64Array, View]:
        """Landmarks near the given ones, and the upright patch that they were predicted on."""
        candidate = candidate_of(points, 0.0, "follow")
        patch = _patch(image, candidate)
        found = self._predict(patch.pixels, _centred(patch, candidate))
        return patch.photo_points(found.points + 0.5) - 0.5, patch


def candidate_of(points: Float64Array, score: float, detector: str) -> Candidate:
    """The box that the detector would draw around landmarks; it turns with the line of the eyes.

    Parameters
    ----------
    points
        (68, 2); landmarks x, y, pixels.
    score
        Goes into the candidate.
    detector
        Goes into the candidate.
    """
    mean = points.mean(axis=0)
    spread = max(float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean())), 1.0)
    eyes = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    turn = math.atan2(eyes[1], eyes[0])
    right, down = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    nose = float((points[30] - mean) @ right) / spread
    x, y = mean + 0.5 + spread * ((_CENTRE_X + _NOSE_X * nose) * right + _CENTRE_Y * down)
    side = _SIDE * spread
    return Candidate(float(x), float(y), side, side, math.degrees(turn), score, detector)


def likeness(first: Sight, second: Sight) -> float:
    """Correlation of two looks, -1 to 1."""
    return float((first.look * second.look).mean())


def _patch(image: Pixels, candidate: Candidate) -> View:
    """The upright neighbourhood of a face; sampled at once unless far too many pixels are skipped by that."""
    scale = candidate.side / (PATCH_PX * PATCH_SHARE)
    if scale > _SAMPLED_AT_ONCE:
        return upright_patch(image, candidate, PATCH_PX, PATCH_SHARE)
    turn = math.radians(candidate.angle)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shift = np.array([candidate.x, candidate.y]) - linear @ np.full(2, PATCH_PX / 2)
    # A view's coordinates are those of pixels' edges, OpenCV's those of their centres.
    centres = np.column_stack([linear, shift + linear @ np.full(2, 0.5) - 0.5])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(image, centres, (PATCH_PX, PATCH_PX), flags=flags)
    return View(np.asarray(pixels, np.uint8), np.column_stack([linear, shift]))


def _look(patch: View, points: Float64Array) -> npt.NDArray[np.float32]:
    photo_to_patch = np.asarray(cv2.invertAffineTransform(patch.to_photo), np.float64)
    inside = (points + 0.5) @ photo_to_patch[:, :2].T + photo_to_patch[:, 2] - 0.5
    small = upright_patch(patch.pixels, candidate_of(inside, 0.0, "follow"), LOOK_PX, _LOOK_SHARE)
    grey = cv2.cvtColor(small.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()
    return np.asarray(grey / max(float(grey.std()), 1.0), np.float32)


def _distance(first: Float64Array, second: Float64Array) -> float:
    return float(np.linalg.norm(first - second, axis=1).mean())


def _centred(patch: View, candidate: Candidate) -> Candidate:
    middle = patch.size_wh[0] / 2
    side = candidate.side / patch.scale
    return Candidate(middle, middle, side, side, 0.0, candidate.score, candidate.detector)
