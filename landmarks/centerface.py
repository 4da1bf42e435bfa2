"""CenterFace: one network that sees faces from 10 pixels on, many at once, and is strict about them.

Y. Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", Scientific Programming
2020 (arXiv 1911.03599). The weights are those of its authors (MIT, see models/README.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float64Array, Pixels
from landmarks.base import SearchSettings
from landmarks.candidates import Candidate, merge
from landmarks.geometry import Detection
from landmarks.model_files import CENTERFACE, own_file
from landmarks.sessions import open_network
from landmarks.views import Finds, View, cut_view, padded_view, scaled_view, upright_patch

ACCEPTED = 0.5
"""Least score of a face where this network decides alone."""

TILE_PX, OVERLAP_PX = 704, 64
"""Longest side of what the network sees at once, and what neighbouring tiles share: bounds the memory (about
100 MB); faces that a border cuts are whole in the next tile, or were seen at a coarser scale."""

PATCH_SHARE = 0.45
"""Share of the second look's picture that the face takes."""

_PATCH_PX = 96
_LEAST_SCORE, _SAME_SHIFT, _SAME_SIDES = 0.03, 0.35, (0.55, 1.8)
"""The second look: what it shows, and what of it is the face that was meant, in sides of that."""

_STRIDE_PX = 4
_MULTIPLE_PX = 32
_SAME_OVERLAP = 0.4  # intersection over union from which two finds are one face

# The HOG box in terms of CenterFace's: its side in geometric means of the sides, and how far down its centre
# lies. Medians over the faces that BlazeFace (whose box is matched to HOG's) finds too.
_SIDE = 0.978
_DOWN_SHIFT = 0.076


class CenterFace:
    """The network. Holds an ONNX Runtime session, which can't be pickled: make one in every process.

    It takes about 0.08 s per megapixel on one core.

    Raises
    ------
    FileNotFoundError, RuntimeError
        The weights are missing or damaged.
    """

    def __init__(self) -> None:
        self._network = open_network(own_file(CENTERFACE), keep_memory=True)

    def find_in(self, view: View, *, threshold: float, name: str = "centerface") -> list[Candidate]:
        """Faces in a view, from 10 pixels of it up to several hundred.

        Parameters
        ----------
        view
            Where to look; larger ones are seen in tiles.
        threshold
            Lowest score, 0 to 1.
        name
            Goes into ``Candidate.detector``.

        Returns
        -------
        list of Candidate
            In pixels of the photograph, each face once, the surest first.
        """
        found: list[Candidate] = []
        tiles = list(_tiles(view))
        for tile in tiles:
            found += self._find_in_tile(tile, threshold, name)
        return found if len(tiles) == 1 else merge(found)

    def score_at(self, image: Pixels, candidate: Candidate, share: float = PATCH_SHARE) -> float:
        """Score 0 to 1 of the best find at a candidate's place and of its size, seen upright; 0 without.

        ``share`` is how much of what it sees the candidate's side takes.
        """
        patch = upright_patch(image, candidate, _PATCH_PX, share)
        finds, _ = self._finds_in(patch, _LEAST_SCORE)
        face_px = _PATCH_PX * share
        shifts, sides = (finds.centres - _PATCH_PX / 2) / face_px, finds.sides / face_px
        agree = (np.hypot(*shifts.T) < _SAME_SHIFT) & (sides > _SAME_SIDES[0]) & (sides < _SAME_SIDES[1])
        return float(finds.scores[agree].max(initial=0.0))

    def _find_in_tile(self, tile: View, threshold: float, name: str) -> list[Candidate]:
        canvas = padded_view(tile, margin_px=0, multiple_px=_MULTIPLE_PX)
        finds, boxes = self._finds_in(canvas, threshold)
        return canvas.photo_candidates(finds.chosen(_distinct(boxes, finds.scores)), name)

    def _finds_in(self, canvas: View, threshold: float) -> tuple[Finds, Float64Array]:
        """The finds in a canvas with sides of multiples of 32; their boxes (n, 4) as x, y, width, height."""
        batch = canvas.pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
        heat, sizes, offsets, points = (
            np.asarray(output)[0] for output in self._network.run(None, {"input.1": batch})
        )
        heat = heat[0]
        peaks = (heat >= threshold) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
        rows, columns = np.nonzero(peaks)
        # The network says height before width, and down before right.
        sides = np.exp(sizes[::-1, rows, columns].T.astype(np.float64)) * _STRIDE_PX
        shifts = offsets[::-1, rows, columns].T.astype(np.float64)
        centres = (np.stack([columns, rows], axis=1) + shifts + 0.5) * _STRIDE_PX
        relative = points[:, rows, columns].astype(np.float64).reshape(5, 2, -1).transpose(2, 0, 1)[..., ::-1]
        keypoints = centres[:, np.newaxis] + (relative - 0.5) * sides[:, np.newaxis]
        finds = _finds(
            centres, np.sqrt(sides.prod(axis=1)), keypoints, heat[rows, columns].astype(np.float64)
        )
        return finds, np.concatenate([centres, sides], axis=1)


class CenterFaceDetector:
    """CenterFace alone, on the photograph as it is.

    Parameters
    ----------
    settings
        ``upsample`` is used.

    Raises
    ------
    FileNotFoundError, RuntimeError
        The weights are missing or damaged.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._network = CenterFace()
        self._upsample = settings.upsample

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models."""
        return [own_file(CENTERFACE)]

    def find(self, image: Pixels) -> list[Detection]:
        """Faces of about 16 pixels and more, the surest first; see `landmarks.base.Detector`."""
        view = scaled_view(image, max(image.shape[:2]) * 2.0**self._upsample)
        return [face.detection() for face in self._network.find_in(view, threshold=ACCEPTED)]


def _finds(
    centres: npt.NDArray[np.float64],
    sides: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> Finds:
    """The HOG-like boxes of finds. Points (n, 5, 2): both eyes, nose, both corners of the mouth, x and y."""
    eyes = points[:, 1] - points[:, 0]
    turns = np.arctan2(eyes[:, 1], eyes[:, 0])
    down = np.stack([-np.sin(turns), np.cos(turns)], axis=1)
    keypoints = np.concatenate([points[:, :3], points[:, 3:].mean(axis=1, keepdims=True)], axis=1)
    return Finds(centres + _DOWN_SHIFT * sides[:, np.newaxis] * down, _SIDE * sides, turns, scores, keypoints)


def _distinct(boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> list[int]:
    """Indices of the boxes (n, 4: centre, width, height) that no surer one overlaps, the surest first."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        others = boxes[kept]
        shared = np.minimum(
            (others[:, 2:] + boxes[i, 2:]) / 2 - np.abs(others[:, :2] - boxes[i, :2]), boxes[i, 2:]
        )
        area = np.prod(np.clip(np.minimum(shared, others[:, 2:]), 0, None), axis=1)
        union = np.prod(others[:, 2:], axis=1) + np.prod(boxes[i, 2:]) - area
        if not (area > _SAME_OVERLAP * union).any():
            kept.append(i)
    return kept


def _tiles(view: View) -> Iterator[View]:
    """The view in tiles of nearly one size that overlap, row by row."""
    for top, bottom in _spans(view.size_wh[1]):
        for left, right in _spans(view.size_wh[0]):
            yield cut_view(view, left, top, right, bottom)


def _spans(length_px: int) -> list[tuple[int, int]]:
    count = max(math.ceil((length_px - OVERLAP_PX) / (TILE_PX - OVERLAP_PX)), 1)
    span_px = math.ceil((length_px + (count - 1) * OVERLAP_PX) / count)
    starts = [min(i * (span_px - OVERLAP_PX), length_px - span_px) for i in range(count)]
    return [(start, start + span_px) for start in starts]
