"""BlazeFace: two small single-shot networks that see turned, masked, dark and tiny faces.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", CVPR workshops 2019
(arXiv 1907.05047). The weights are those of MediaPipe (Apache-2.0, see models/README.md).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from landmarks.candidates import Candidate, same_face
from landmarks.model_files import BLAZEFACE_FULL_RANGE, BLAZEFACE_SHORT_RANGE, own_file
from landmarks.views import Pixels, View, halved_view, padded_view, scaled_view, upright_patch

SMALLEST_FACE_PX = 20
"""The short-range network finds boxes from this side on (all of 120 faces that HOG finds at 80 pixels)."""

SMALLEST_VIEW_PX = 80
"""The last level of the search is at most this large, so that a face which fills the photograph fits in."""

_FULL_RANGE_SIDE_PX = 192
_FULL_RANGE_STRIDE_PX = 4
_SHORT_RANGE_ANCHORS = ((8, 2), (16, 6))  # stride in pixels, anchors a cell (face_detection_short_range)
_VIEW_SHARE = 0.3  # of the second look's picture that the box takes
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
        self._short_range = _load(own_file(BLAZEFACE_SHORT_RANGE))
        self._full_range = _load(own_file(BLAZEFACE_FULL_RANGE))

    def find(self, view: View, *, threshold: float, name: str = "blazeface") -> list[Candidate]:
        """Faces of 20 to about 110 pixels in a view; larger ones exceed the network's field of view.

        Parameters
        ----------
        view : View
            Where to look.
        threshold : float
            Lowest score, 0 to 1.
        name : str
            Goes into ``Candidate.detector``.

        Returns
        -------
        list of Candidate
            In pixels of the photograph; a face appears several times.
        """
        canvas = padded_view(view, margin_px=16, multiple_px=32)
        scores, boxes = _run(self._short_range, canvas.pixels)
        anchors = _anchors(canvas.size_wh, _SHORT_RANGE_ANCHORS)
        kept = np.flatnonzero(scores >= threshold)
        return [
            canvas.to_photo_candidate(_candidate(boxes[i], anchors[i], float(scores[i]), name))
            for i in kept[np.argsort(-scores[kept], kind="stable")]
        ]

    def find_at_all_sizes(
        self, image: Pixels, longest_px: float, *, threshold: float, name: str = "blazeface"
    ) -> list[Candidate]:
        """Faces from 20 pixels of the photograph scaled to ``longest_px`` up to those that fill it."""
        found: list[Candidate] = []
        view = scaled_view(image, longest_px)
        while True:
            found += self.find(view, threshold=threshold, name=name)
            if max(view.size_wh) <= SMALLEST_VIEW_PX:
                return found
            view = halved_view(view)

    def confirm(self, image: Pixels, candidate: Candidate) -> float:
        """Look again with the other network: score 0 to 1 of a face being where the candidate says.

        It sees the upright neighbourhood of the candidate and, when that does not decide, also its mirror
        image; then the result is the mean.
        """
        pixels = upright_patch(image, candidate, _FULL_RANGE_SIDE_PX, _VIEW_SHARE).pixels
        score = self._central_score(pixels)
        if not _UNDECIDED[0] < score < _UNDECIDED[1]:
            return score
        return (score + self._central_score(np.ascontiguousarray(pixels[:, ::-1]))) / 2

    def refined(self, image: Pixels, candidate: Candidate) -> Candidate:
        """Place a candidate more exactly by searching its upright neighbourhood again.

        A face that was found lying on its side, or in a changed picture, comes out where it would have been
        found upright. Score and detector stay; without a find, so does the place.
        """
        patch = upright_patch(image, candidate, _REFINE_SIDE_PX, _REFINE_SHARE)
        for found in self.find(patch, threshold=_REFINE_THRESHOLD):
            if same_face(found, candidate):
                return replace(found, score=candidate.score, detector=candidate.detector)
        return candidate

    def _central_score(self, pixels: Pixels) -> float:
        scores, boxes = _run(self._full_range, pixels)
        boxes = boxes[:, :4].copy()
        size = (_FULL_RANGE_SIDE_PX, _FULL_RANGE_SIDE_PX)
        boxes[:, :2] += _anchors(size, ((_FULL_RANGE_STRIDE_PX, 1),))
        side = _FULL_RANGE_SIDE_PX * _VIEW_SHARE
        near = (np.abs(boxes[:, :2] - _FULL_RANGE_SIDE_PX / 2) < 0.3 * side).all(axis=1)
        alike = (boxes[:, 2] > 0.6 * side) & (boxes[:, 2] < 1.6 * side)
        return float(scores[near & alike].max(initial=0.0))


def _load(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # pictures of all sizes: an arena would only grow
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no other base
        raise RuntimeError(f"{path}: not a readable network; get a complete copy of the program") from error


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


def _candidate(
    box: npt.NDArray[np.float32], anchor: npt.NDArray[np.float32], score: float, name: str
) -> Candidate:
    """The HOG-like box of one of the network's.

    The network's numbers: centre x, y, width, height, then x, y of right eye, left eye, nose, mouth, right
    ear and left ear; all points relative to the anchor.
    """
    centre, side = box[:2].astype(np.float64), float(box[2:4].mean())
    points = box[4:12].astype(np.float64).reshape(4, 2)
    eyes, nose = points[1] - points[0], points[2]
    turn = math.atan2(eyes[1], eyes[0])
    right, down = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    centre += _NOSE_PULL * float((nose - centre) @ right) * right - _UP_SHIFT * side * down + anchor
    keypoints = tuple((x, y) for x, y in (points + anchor).tolist())
    return Candidate(
        float(centre[0]), float(centre[1]), side, side, math.degrees(turn), score, name, keypoints
    )
