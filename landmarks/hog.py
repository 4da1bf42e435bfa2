"""dlib's frontal face detector on histograms of oriented gradients."""

from __future__ import annotations

from pathlib import Path

import cv2
import dlib
import numpy as np

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.candidates import Candidate, merge
from landmarks.geometry import Detection
from landmarks.views import View, scaled_view

SMALLEST_FACE_PX = 80
"""Side of the detector's window: smaller faces need ``upsample``."""


class HogDetector:
    """dlib's five linear classifiers on HOG features (Felzenszwalb et al., PAMI 2010), one a pose.

    Holds dlib's object, which can't be pickled: make one in every process. Takes about 0.085 s per megapixel
    on one core.

    Parameters
    ----------
    settings
        ``max_side_px`` and ``upsample`` are used.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self._detector = dlib.get_frontal_face_detector()

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models: none, they are part of dlib's library."""
        return []

    def find(self, image: Pixels) -> list[Detection]:
        """Faces of 80 pixels of the search picture and more, the surest first; see `landmarks.base.Detector`.

        With ``max_side_px`` None this is the search of `find_face_landmarks`.
        """
        view = search_view(image, self._settings.max_side_px)
        return [face.detection() for face in merge(self.find_in(view, upsample=self._settings.upsample))]

    def find_in(
        self,
        view: View,
        *,
        upsample: int = 0,
        threshold: float = 0.0,
        name: str = "hog",
        in_colour: bool = True,
    ) -> list[Candidate]:
        """Faces of at least 80 pixels in a view.

        Parameters
        ----------
        view
            Where to look.
        upsample
            Times the picture is doubled first.
        threshold
            Lowest score; 0 is the detector's own decision.
        name
            Goes into ``Candidate.detector``.
        in_colour
            See colours, as find_face_landmarks does (dlib takes the steepest channel), or grey.

        Returns
        -------
        list of Candidate
            In pixels of the photograph, highest score first.
        """
        pixels = view.pixels if in_colour else cv2.cvtColor(view.pixels, cv2.COLOR_RGB2GRAY)
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(pixels), upsample, threshold)
        return [
            view.to_photo_candidate(
                Candidate(
                    (box.left() + box.right() + 1) / 2,
                    (box.top() + box.bottom() + 1) / 2,
                    box.width(),
                    box.height(),
                    0.0,
                    float(score),
                    name,
                )
            )
            for box, score in zip(boxes, scores, strict=True)
        ]


def search_view(image: Pixels, max_side_px: int | None) -> View:
    """The photograph, made smaller when its longer side is above ``max_side_px`` (None: never)."""
    longest = max(image.shape[:2])
    return scaled_view(image, longest if max_side_px is None else min(longest, max_side_px))
