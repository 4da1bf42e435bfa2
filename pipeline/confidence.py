"""How far a face, and the landmarks it was cropped by, can be believed: two calibrated figures from 0 to 1.

Both are logistic: 1 / (1 + exp(-(constant + sum of weight x clue))), over the clues of `Clues`. The weights
were fitted by ``python -m training.confidence`` on photographs that nothing was trained on, as they are,
ruined, turned and shrunk, and on false finds in photographs without faces; docs/faces.md says how well they
hold. They belong to the embedded network and its detectors; with others the figures are a hint only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from landmarks.geometry import FaceLandmarks
from pipeline.jaw import JAW
from pipeline.scores import CropScores

RIGHT_IOU = 0.7
"""A face is right when its mask shares at least this much with the mask of a real face."""

GOOD_LANDMARKS = 0.05
"""Landmarks are good when they lie within this many face widths of where they should, on average."""

_SUBPIXEL_BITS = 4
_INNER = slice(17, 68)
_EXCEPTIONS = 0.1


@dataclass(frozen=True, slots=True)
class Clues:
    """What speaks for a face and its landmarks, or against them; every value is finite.

    Attributes
    ----------
    blazeface, centerface
        The detector's score, 0-1, where it was the one that found the face; else 0.
    other_detector
        1 where a detector found the face whose score is on another scale; else 0.
    network
        Mean probability of face over the mask, 0-1.
    held
        What the network says at nine of ten inner landmarks (brows, nose, eyes, mouth) at least, from -1
        (surely not face) to 1 (surely face).
    missed
        Share of what the jaw line encloses that the network does not call face, 0-1.
    overstepped
        Share of the network's face beyond the jaw line (`pipeline.jaw.overstepping`), 0-0.2.
    apart
        Mean distance of eyes, nose and mouth as the landmarks and as the detector see them, in sides of the
        detection box, 0-0.3; where the detector does not see them, `USUALLY_APART`.
    size
        Binary logarithm of the detection box's side over 64 pixels, -3 to 2.
    """

    blazeface: float
    centerface: float
    other_detector: float
    network: float
    held: float
    missed: float
    overstepped: float
    apart: float
    size: float


USUALLY_APART = 0.04
"""Of faces with good landmarks, in the median."""

RIGHT: Mapping[str, float] = {
    "constant": -8.065,
    "blazeface": 4.633,
    "centerface": 6.052,
    "other_detector": 4.2,
    "network": 8.885,
    "held": 1.14,
    "missed": -0.881,
    "overstepped": -5.977,
    "apart": -7.827,
    "size": -0.051,
}
"""Weights of the confidence. Finds of other detectors were not among those fitted on: they count as one of
BlazeFace with a score of 0.9."""

LANDMARKS: Mapping[str, float] = {
    "constant": -0.267,
    "blazeface": 3.575,
    "centerface": 2.302,
    "other_detector": 3.2,
    "held": 0.797,
    "missed": -4.265,
    "overstepped": -8.652,
    "apart": -10.116,
}
"""Weights of the landmark quality, likewise."""


def read_clues(face: FaceLandmarks, scores: CropScores, *, network: float, overstepped: float) -> Clues:
    """Gather what is known of one face.

    Parameters
    ----------
    face
        Its landmarks and detection.
    scores
        Of its crop, before the jaw line is heard.
    network
        Mean probability of face over its mask, 0-1.
    overstepped
        Share of the network's face beyond the jaw line, 0-1, by `pipeline.jaw.overstepping`.
    """
    points = scores.to_grid(face.points)
    family = face.detection.detector.partition("@")[0]
    found = float(np.clip(face.detection.score, 0, 1))
    known = family in ("blazeface", "centerface")
    return Clues(
        blazeface=found if family == "blazeface" else 0.0,
        centerface=found if family == "centerface" else 0.0,
        other_detector=0.0 if known else 1.0,
        network=network,
        held=_held(scores.margin, points),
        missed=_missed(scores.margin, points),
        overstepped=min(overstepped, 0.2),
        apart=_apart(face),
        size=float(np.clip(math.log2(max(face.detection.box.side, 1.0) / 64), -3, 2)),
    )


def weighed(clues: Clues, weights: Mapping[str, float]) -> float:
    """The figure, 0-1, that clues give by the logistic formula."""
    total = weights["constant"] + sum(
        weights[name] * value for name, value in asdict(clues).items() if name in weights
    )
    return 1 / (1 + math.exp(-min(max(total, -30.0), 30.0)))


def _held(margin: Float32Array, points: NDArray[np.float64]) -> float:
    inner = points[_INNER].astype(np.float32)
    sampled = cv2.remap(margin, inner[:, :1], inner[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.quantile(np.tanh(np.asarray(sampled) / 2), _EXCEPTIONS))


def _missed(margin: Float32Array, points: NDArray[np.float64]) -> float:
    enclosed = np.zeros(margin.shape, np.uint8)
    corners = np.rint(points[JAW] * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(enclosed, [corners], (1,), shift=_SUBPIXEL_BITS)
    inside = enclosed > 0
    return float(np.mean(margin[inside] <= 0)) if inside.any() else 1.0


def _apart(face: FaceLandmarks) -> float:
    if not face.detection.keypoints:
        return USUALLY_APART
    points = face.points + 0.5
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    mine = np.stack([*eyes, points[30], points[48:68].mean(axis=0)])
    distance = np.linalg.norm(mine - np.array(face.detection.keypoints), axis=1).mean()
    return float(min(distance / max(face.detection.box.side, 1.0), 0.3))
