"""What the page has computed for it: superpixels, and the mask of a face that a person has boxed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from landmarks.geometry import Box, Detection
from landmarks.predictor import LandmarkPredictor
from pipeline.config import Config
from pipeline.loading import landmark_model
from pipeline.photo import PhotoSegmenter
from pipeline.server.answers import segmentation

BY_HAND = "person"
"""Stands where the name of a detector does."""

MOST_SUPERPIXELS = 1000
SLIC_SIDE_PX = 512
COMPACTNESS = 12.0


def superpixels(pixels: NDArray[np.uint8], box: Box, count: int) -> tuple[Box, NDArray[np.uint16]]:
    """Cut a part of a photograph into regions of like colour (SLIC: Achanta et al., PAMI 2012).

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB.
    box
        The part; what lies outside the frame is left out.
    count
        About how many regions, 2 to `MOST_SUPERPIXELS`.

    Returns
    -------
    box, labels
        The part inside the frame, and (height, width) uint16 labels. Large parts are computed at
        `SLIC_SIDE_PX` and brought back with nearest neighbours.

    Raises
    ------
    ValueError
        The box lies outside of the frame, or the count is out of range.
    """
    if not 2 <= count <= MOST_SUPERPIXELS:
        raise ValueError(f"count: 2 to {MOST_SUPERPIXELS} is expected, got {count}")
    height, width = pixels.shape[:2]
    inside = box.clipped((width, height))
    if min(inside.width, inside.height) < 1:
        raise ValueError("the box lies outside of the photograph")
    part = pixels[inside.y : inside.y_max, inside.x : inside.x_max]
    step = max(-(-max(part.shape[:2]) // SLIC_SIDE_PX), 1)
    small = part[::step, ::step]
    labels = slic(small, n_segments=count, compactness=COMPACTNESS, start_label=0, channel_axis=-1)
    rows = np.arange(part.shape[0]) // step
    columns = np.arange(part.shape[1]) // step
    return inside, np.asarray(labels[rows][:, columns], np.uint16)


class FaceTool:
    """Makes the mask of a face whose place a person has drawn. Models are loaded when first needed.

    Parameters
    ----------
    config
        Of the run: which network and which landmarks.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loaded: tuple[PhotoSegmenter, LandmarkPredictor] | None = None
        self._lock = threading.Lock()

    def face(self, pixels: NDArray[np.uint8], box: Box) -> dict[str, Any]:
        """Predict the landmarks in a box and segment the face.

        Parameters
        ----------
        pixels
            (H, W, 3) uint8 RGB, upright.
        box
            About from the brows to the chin, as a detector would draw it.

        Returns
        -------
        dict
            ``box_xywh`` (the crop), ``landmarks``, ``score``, ``segmentation`` (COCO's run-length code).

        Raises
        ------
        PhotoError, EngineError, ModelError
            The face cannot be segmented.
        """
        with self._lock:
            if self._loaded is None:
                predictor = LandmarkPredictor(landmark_model(self._config))
                self._loaded = PhotoSegmenter.from_config(self._config), predictor
            segmenter, predictor = self._loaded
            place = Detection(box, 1.0, BY_HAND)
            result = segmenter.segment_faces(pixels, predictor.predict(pixels, [place]))
        (face,) = result.faces
        crop = face.crop.box
        return {
            "box_xywh": [crop.x, crop.y, crop.width, crop.height],
            "landmarks": face.landmarks.points.tolist(),
            "score": round(face.score, 4),
            "segmentation": segmentation(face),
        }

    def close(self) -> None:
        """Free the models."""
        if self._loaded is not None:
            self._loaded[0].close()
            self._loaded = None
