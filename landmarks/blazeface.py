"""BlazeFace: two small single-shot networks that see turned, masked, dark and tiny faces.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", CVPR workshops 2019
(arXiv 1907.05047). The weights are those of MediaPipe (Apache-2.0, see models/README.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.candidates import SAME_FACE_DISTANCE, SAME_FACE_OVERLAP, Candidate, merge
from landmarks.geometry import Detection
from landmarks.model_files import BLAZEFACE_FULL_RANGE, BLAZEFACE_SHORT_RANGE, own_file
from landmarks.sessions import open_network
from landmarks.views import Finds, View, halved_view, padded_view, reduced_view, upright_patch

SMALLEST_FACE_PX = 20
"""The short-range network finds boxes from this side on (all of 120 faces that HOG finds at 80 pixels)."""

TURNED_DEGREES = 20.0
"""Finds that are turned by more are placed anew in their own upright neighbourhood."""

SMALLEST_VIEW_PX = 80
"""The last level of the search is at most this large, so that a face which fills the photograph fits in."""

VIEW_SHARE = 0.3
"""Share of the second look's picture that the box takes."""

SHRINK = 4
"""The search is made at a quarter of the photograph: 20 pixels there are the 80 that HOG needs."""

LEAST_PX = 256
"""Least longer side of the search picture: small photographs may show faces below 80 pixels."""

SMALL_SHARE = 0.2
CANDIDATE, CANDIDATE_SMALL = 0.3, 0.5
CONFIRMED, CONFIRMED_SMALL = 0.5, 0.6
"""Least scores of the search and of the second look; the higher ones for boxes below ``SMALL_SHARE`` of the
photograph's short side, as chance finds many of those."""

MOST_FINDS = 1000
"""Finds of one look that are taken, the surest first; a face appears about ten times."""

_FULL_RANGE_SIDE_PX = 192
_FULL_RANGE_STRIDE_PX = 4
_SHORT_RANGE_ANCHORS = ((8, 2), (16, 6))  # stride in pixels, anchors a cell (face_detection_short_range)
_UNDECIDED = (0.02, 0.7)
_REFINE_SIDE_PX, _REFINE_SHARE, _REFINE_THRESHOLD = 128, 0.45, 0.3

# The HOG box in terms of BlazeFace's: moved along the face's own x towards the nose, and a little up. Least
# squares on 614 photographs where both found one face; the sides differ by 1 %. Landmarks of such boxes
# differ from those of HOG boxes by 1.7 % of the distance of the eyes; a shift by 4 % of the box does too.
_NOSE_PULL = 0.54
_UP_SHIFT = 0.026


class BlazeFace:
    """Searches with the short-range network and confirms with the full-range one.

    Holds ONNX Runtime sessions, which can't be pickled: make one in every process. Each runs on one thread.

    Raises
    ------
    FileNotFoundError, RuntimeError
        The weights are missing or damaged.
    """

    def __init__(self) -> None:
        self._short_range = open_network(own_file(BLAZEFACE_SHORT_RANGE), keep_memory=False)
        self._full_range = open_network(own_file(BLAZEFACE_FULL_RANGE), keep_memory=True)

    def find_in(self, view: View, *, threshold: float, name: str = "blazeface") -> list[Candidate]:
        """Faces of 20 to about 110 pixels in a view; larger ones exceed the network's field of view.

        Parameters
        ----------
        view
            Where to look.
        threshold
            Lowest score, 0 to 1.
        name
            Goes into ``Candidate.detector``.

        Returns
        -------
        list of Candidate
            In pixels of the photograph, the surest first; a face appears several times.
        """
        canvas, finds = self._finds_in(view, threshold)
        return canvas.photo_candidates(finds, name)

    def _finds_in(self, view: View, threshold: float) -> tuple[View, Finds]:
        """The surest finds by falling score, in pixels of a canvas with the view in its middle."""
        canvas = padded_view(view, margin_px=16, multiple_px=32)
        scores, boxes = _run(self._short_range, canvas.pixels)
        anchors = _anchors(canvas.size_wh, _SHORT_RANGE_ANCHORS)
        kept = np.flatnonzero(scores >= threshold)
        kept = kept[np.argsort(-scores[kept], kind="stable")][:MOST_FINDS]
        return canvas, _finds(boxes[kept], anchors[kept], scores[kept])

    def find_at_all_sizes(
        self, image: Pixels, longest_px: float, *, threshold: float, name: str = "blazeface"
    ) -> list[Candidate]:
        """Faces from 20 pixels of the photograph scaled to ``longest_px`` up to those that fill it."""
        return self.find_at_all_sizes_of(reduced_view(image, longest_px), threshold=threshold, name=name)

    def find_at_all_sizes_of(
        self, view: View, *, threshold: float, name: str = "blazeface"
    ) -> list[Candidate]:
        """Faces from 20 pixels of a view up to those that fill it."""
        found: list[Candidate] = []
        while True:
            found += self.find_in(view, threshold=threshold, name=name)
            if max(view.size_wh) <= SMALLEST_VIEW_PX:
                return found
            view = halved_view(view)

    def confirm(self, image: Pixels, candidate: Candidate, share: float = VIEW_SHARE) -> float:
        """Look again with the other network: score 0 to 1 of a face being where the candidate says.

        It sees the upright neighbourhood of the candidate and, when that does not decide, also its mirror
        image; then the result is the mean. ``share`` is how much of the neighbourhood's side the box takes.
        """
        pixels = upright_patch(image, candidate, _FULL_RANGE_SIDE_PX, share).pixels
        score = self._central_score(pixels, share)
        if not _UNDECIDED[0] < score < _UNDECIDED[1]:
            return score
        return (score + self._central_score(np.ascontiguousarray(pixels[:, ::-1]), share)) / 2

    def refined(self, image: Pixels, candidate: Candidate) -> Candidate:
        """Place a candidate more exactly by searching its upright neighbourhood again.

        A face that was found lying on its side, or in a changed picture, comes out where it would have been
        found upright. Score and detector stay; without a find, so does the place.
        """
        found = self.found_near(image, candidate, threshold=_REFINE_THRESHOLD)
        if found is None:
            return candidate
        return replace(found, score=candidate.score, detector=candidate.detector)

    def found_near(self, image: Pixels, candidate: Candidate, *, threshold: float) -> Candidate | None:
        """The surest find in the upright neighbourhood of a candidate that is the same face, if any."""
        patch = upright_patch(image, candidate, _REFINE_SIDE_PX, _REFINE_SHARE)
        canvas, finds = self._finds_in(patch, threshold)
        side_px = _REFINE_SIDE_PX * _REFINE_SHARE
        middle = np.divide(canvas.size_wh, 2)  # there is the candidate, upright
        shifts = np.abs(finds.centres - middle)
        smaller = np.minimum(finds.sides, side_px)
        shared = np.minimum((finds.sides + side_px)[:, np.newaxis] / 2 - shifts, smaller[:, np.newaxis])
        near = np.hypot(*shifts.T) < SAME_FACE_DISTANCE * smaller
        near |= shared.clip(min=0).prod(axis=1) > SAME_FACE_OVERLAP * smaller**2
        surest = finds.chosen(np.flatnonzero(near)[:1])
        return next(iter(canvas.photo_candidates(surest, candidate.detector)), None)

    def _central_score(self, pixels: Pixels, share: float) -> float:
        scores, boxes = _run(self._full_range, pixels)
        boxes = boxes[:, :4].copy()
        size = (_FULL_RANGE_SIDE_PX, _FULL_RANGE_SIDE_PX)
        boxes[:, :2] += _anchors(size, ((_FULL_RANGE_STRIDE_PX, 1),))
        side = _FULL_RANGE_SIDE_PX * share
        near = (np.abs(boxes[:, :2] - _FULL_RANGE_SIDE_PX / 2) < 0.3 * side).all(axis=1)
        alike = (boxes[:, 2] > 0.6 * side) & (boxes[:, 2] < 1.6 * side)
        return float(scores[near & alike].max(initial=0.0))


class BlazeFaceDetector:
    """BlazeFace alone: the search proposes, the second look confirms.

    Faces of 80 pixels and more are found in photographs of up to 6400 pixels; smaller photographs are
    searched for smaller faces.

    Parameters
    ----------
    settings
        ``max_side_px`` (of the search picture, a quarter of the photograph) and ``upsample`` are used.

    Raises
    ------
    FileNotFoundError, RuntimeError
        The weights are missing or damaged.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._networks = BlazeFace()
        self._settings = settings

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models."""
        return [own_file(BLAZEFACE_SHORT_RANGE), own_file(BLAZEFACE_FULL_RANGE)]

    def find(self, image: Pixels) -> list[Detection]:
        """Faces, the surest first; see `landmarks.base.Detector`."""
        small_px = SMALL_SHARE * min(image.shape[:2])
        faces = []
        longest_px = search_side_px(image, self._settings)
        found = self._networks.find_at_all_sizes(image, longest_px, threshold=CANDIDATE)
        for face in proposals(image, found):
            placed = self._networks.refined(image, face) if abs(face.angle) >= TURNED_DEGREES else face
            needed = CONFIRMED if placed.side >= small_px else CONFIRMED_SMALL
            if self._networks.confirm(image, placed) >= needed:
                faces.append(placed)
        return [face.detection() for face in merge(faces)]


def proposals(image: Pixels, found: Iterable[Candidate]) -> list[Candidate]:
    """What is worth a second look of what the search finds, each face once, the surest first."""
    small_px = SMALL_SHARE * min(image.shape[:2])
    return merge(face for face in found if face.side >= small_px or face.score >= CANDIDATE_SMALL)


def search_side_px(image: Pixels, settings: SearchSettings) -> float:
    """Longer side of the picture that is searched, in pixels."""
    side_px: float = max(max(image.shape[:2]) / SHRINK, LEAST_PX)
    return min(side_px, settings.max_side_px or side_px) * 2.0**settings.upsample


def _run(
    session: onnxruntime.InferenceSession, pixels: Pixels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Scores (n,) 0 to 1, and boxes (n, 16): x, y relative to the anchor, width, height, six points x, y."""
    batch = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    batch -= 127.5
    batch /= 127.5
    outputs = session.run(None, {"input": batch})
    by_width = {output.shape[-1]: np.asarray(output, np.float32) for output in outputs}
    scores = 1 / (1 + np.exp(-np.clip(by_width[1].reshape(-1).astype(np.float64), -80, 80)))
    return scores, by_width[16].reshape(-1, 16)


def _anchors(size_wh: tuple[int, int], levels: tuple[tuple[int, int], ...]) -> npt.NDArray[np.float32]:
    """Centres (n, 2) that the network's boxes are relative to: middles of all cells, level after level."""
    centres = []
    for stride, per_cell in levels:
        columns, rows = size_wh[0] // stride, size_wh[1] // stride
        y, x = np.mgrid[:rows, :columns]
        cells = np.stack([x, y], axis=-1).reshape(-1, 2)
        centres.append(np.repeat((cells + 0.5) * stride, per_cell, axis=0))
    return np.concatenate(centres).astype(np.float32)


def _finds(
    boxes: npt.NDArray[np.float32], anchors: npt.NDArray[np.float32], scores: npt.NDArray[np.float64]
) -> Finds:
    """The HOG-like boxes of the network's.

    The network's numbers: centre x, y, width, height, then x, y of right eye, left eye, nose, mouth, right
    ear and left ear; all points relative to the anchor.
    """
    numbers = boxes.astype(np.float64)
    centres, sides = numbers[:, :2], boxes[:, 2:4].mean(axis=1).astype(np.float64)
    points = numbers[:, 4:12].reshape(-1, 4, 2)
    eyes, noses = points[:, 1] - points[:, 0], points[:, 2]
    turns = np.arctan2(eyes[:, 1], eyes[:, 0])
    right = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    down = np.stack([-right[:, 1], right[:, 0]], axis=1)
    pull = _NOSE_PULL * ((noses - centres) * right).sum(axis=1, keepdims=True)
    centres = centres + (pull * right - _UP_SHIFT * sides[:, np.newaxis] * down + anchors)
    return Finds(centres, sides, turns, scores, points + anchors[:, np.newaxis])
