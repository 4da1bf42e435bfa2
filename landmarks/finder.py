"""Faces with landmarks, out of a whole photograph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate, merge
from landmarks.cnn import CnnDetector
from landmarks.follow import Follower
from landmarks.geometry import FaceLandmarks
from landmarks.hog import HogDetector, search_view
from landmarks.predictor import UPRIGHT_DEGREES, LandmarkPredictor
from landmarks.rescue import Rescue
from landmarks.views import Pixels

DETECTORS = ("hog", "blazeface", "cnn")
RESCUES = ("when_empty", "always", "never")

BLAZEFACE_SHRINK = 4
"""BlazeFace searches at a quarter of the photograph: its 20 pixels are the 80 that HOG needs at full size."""

BLAZEFACE_LEAST_PX = 256
"""Least longer side of BlazeFace's search picture: small photographs may show faces below 80 pixels."""

SMALL_SHARE = 0.2
CANDIDATE, CANDIDATE_SMALL = 0.3, 0.5
CONFIRMED, CONFIRMED_SMALL = 0.5, 0.6
"""Least scores of BlazeFace's search and second look in the first pass; the higher ones for boxes below
``SMALL_SHARE`` of the photograph's short side, as chance finds many of those."""


class FaceFinder:
    """Detectors and landmark predictor, loaded when first needed and kept.

    Not to be pickled or shared between threads: make one in every worker.

    Parameters
    ----------
    predictor : Path
        dlib's 68-point predictor.
    order : sequence of {"hog", "blazeface", "cnn"}
        Detectors of the first pass, tried in turn until one finds a face.
    max_side_px : int or None
        The search picture's longer side is at most this; None: no limit. Boxes and landmarks are always in
        pixels of the photograph. HOG searches for faces of 80 pixels and more at that size. BlazeFace
        searches at a quarter of the photograph for faces of 80 pixels and more of the photograph; the limit
        is for that quarter.
    upsample : int
        Times the search picture is doubled, for smaller faces; 0 to 3.
    rescue : {"when_empty", "always", "never"}
        When harder searches are made: where the first pass finds nothing (until one finds a face), on every
        photograph (all of them; what they find is added), or never.
    cnn_max_side_px : int
        Longer side of the picture that dlib's CNN sees, in the first pass and as last resort of the rescue.

    Raises
    ------
    ValueError
        A setting is not one of the values above.
    FileNotFoundError, RuntimeError
        The predictor's file is missing or is not such a predictor.
    """

    def __init__(
        self,
        *,
        predictor: Path,
        order: Sequence[str] = ("blazeface",),
        max_side_px: int | None = 1600,
        upsample: int = 0,
        rescue: Literal["when_empty", "always", "never"] = "when_empty",
        cnn_max_side_px: int = 400,
    ) -> None:
        if not order or any(name not in DETECTORS for name in order):
            raise ValueError(f"order: one or more of {', '.join(DETECTORS)} are expected, got {list(order)}")
        if rescue not in RESCUES:
            raise ValueError(f"rescue: one of {', '.join(RESCUES)} is expected, got {rescue!r}")
        if max_side_px is not None and max_side_px < 1:
            raise ValueError(f"max_side_px: at least 1 is expected, got {max_side_px}")
        if not 0 <= upsample <= 3:
            raise ValueError(f"upsample: 0 to 3 is expected, got {upsample}")
        if cnn_max_side_px < 1:
            raise ValueError(f"cnn_max_side_px: at least 1 is expected, got {cnn_max_side_px}")
        self._predictor = LandmarkPredictor(predictor)
        self._order = tuple(order)
        self._max_side_px = max_side_px
        self._upsample = upsample
        self._rescue = rescue
        self._cnn_max_side_px = cnn_max_side_px

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        """Every face of a photograph with its landmarks.

        Parameters
        ----------
        image : (H, W, 3) uint8
            RGB, upright; not changed.

        Returns
        -------
        tuple of FaceLandmarks
            One a face, in the order found: by detector, then by falling score.

        Raises
        ------
        ValueError
            ``image`` has another shape or dtype, or no pixels.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                f"image: (H, W, 3) uint8 RGB is expected, got {image.dtype} of shape {image.shape}"
            )
        image = np.ascontiguousarray(image)
        return tuple(self._predictor.predict(image, face) for face in self.detect(image))

    def find_in_first_pass(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        """What ``find`` gives without the harder searches, whatever ``rescue`` says."""
        image = np.ascontiguousarray(image)
        return tuple(self._predictor.predict(image, face) for face in self._detect_first(image))

    def follower(self) -> Follower:
        """What follows faces from frame to frame with this finder's models."""
        return Follower(self._predictor.predict, self._blazeface.confirm)

    def detect(self, image: Pixels) -> list[Candidate]:
        """The places of the faces of a photograph, as ``find`` takes them before it predicts landmarks."""
        found = self._detect_first(image)
        if self._rescue == "never" or (found and self._rescue == "when_empty"):
            return found
        for search in self._rescue_chain.searches():
            found += merge(search(image), known=found)
            if found and self._rescue == "when_empty":
                break
        return found

    def _detect_first(self, image: Pixels) -> list[Candidate]:
        found: list[Candidate] = []
        for name in self._order:
            found = merge(self._first_pass[name](image))
            if found:
                break
        return found

    @property
    def _first_pass(self) -> dict[str, Callable[[Pixels], list[Candidate]]]:
        return {"hog": self._find_by_hog, "blazeface": self._find_by_blazeface, "cnn": self._find_by_cnn}

    def _find_by_hog(self, image: Pixels) -> list[Candidate]:
        return self._hog.find(search_view(image, self._max_side_px), upsample=self._upsample)

    def _find_by_blazeface(self, image: Pixels) -> list[Candidate]:
        longest_px = self._blazeface_side_px(image)
        small_px = SMALL_SHARE * min(image.shape[:2])
        found = self._blazeface.find_at_all_sizes(image, longest_px, threshold=CANDIDATE)
        faces = []
        for face in merge(face for face in found if face.side >= small_px or face.score >= CANDIDATE_SMALL):
            placed = self._blazeface.refined(image, face) if abs(face.angle) >= UPRIGHT_DEGREES else face
            needed = CONFIRMED if placed.side >= small_px else CONFIRMED_SMALL
            if self._blazeface.confirm(image, placed) >= needed:
                faces.append(placed)
        return merge(faces)

    def _find_by_cnn(self, image: Pixels) -> list[Candidate]:
        return self._cnn.find(search_view(image, self._cnn_max_side_px), upsample=self._upsample)

    def _blazeface_side_px(self, image: Pixels) -> float:
        longest: int = max(image.shape[:2])
        side_px = max(longest / BLAZEFACE_SHRINK, BLAZEFACE_LEAST_PX)
        return min(side_px, self._max_side_px or side_px) * 2.0**self._upsample

    @cached_property
    def _hog(self) -> HogDetector:
        return HogDetector()

    @cached_property
    def _blazeface(self) -> BlazeFace:
        return BlazeFace()

    @cached_property
    def _cnn(self) -> CnnDetector:
        return CnnDetector()

    @cached_property
    def _rescue_chain(self) -> Rescue:
        return Rescue(
            self._blazeface,
            lambda: self._hog,
            lambda: self._cnn,
            search_side_px=self._blazeface_side_px,
            cnn_max_side_px=self._cnn_max_side_px,
        )
