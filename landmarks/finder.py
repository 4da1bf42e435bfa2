"""Faces with landmarks, out of a whole photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box, Detection, FaceLandmarks
from landmarks.predictor import LandmarkPredictor


class FaceFinder:
    """dlib's HOG detector and 68-point predictor."""

    def __init__(
        self,
        *,
        predictor: Path,
        order: Sequence[str] = ("hog",),
        max_side_px: int | None = 1600,
        upsample: int = 0,
        rescue: str = "when_empty",
        cnn_max_side_px: int = 600,
    ) -> None:
        self._predictor = LandmarkPredictor(predictor)
        self._detector = dlib.get_frontal_face_detector()
        self._max_side_px = max_side_px
        self._upsample = upsample

    def find(self, image: NDArray[np.uint8]) -> tuple[FaceLandmarks, ...]:
        """Every face of (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        scale = min(1.0, (self._max_side_px or max(height, width)) / max(height, width))
        small = image
        if scale < 1:
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        boxes, scores, _ = self._detector.run(small, self._upsample, 0.0)
        found = []
        for box, score in zip(boxes, scores, strict=True):
            x, y, x_max, y_max = (round(v / scale) for v in (box.left(), box.top(), box.right() + 1, box.bottom() + 1))
            detection = Detection(Box(x, y, x_max - x, y_max - y), float(score), "hog")
            found.append(self._predictor.predict(image, detection))
        return tuple(found)
