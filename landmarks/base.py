"""What a detector and a landmark model are: to add one, write such a class and its line in registry.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from landmarks.arrays import Pixels
from landmarks.geometry import Detection, FaceLandmarks


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What every detector is made with; each takes what concerns it.

    Parameters
    ----------
    max_side_px
        Longer side in pixels of the picture that HOG and BlazeFace search; None: no limit.
    upsample
        Times the search picture is doubled, for smaller faces; 0 to 3.
    cnn_max_side_px
        Longer side in pixels of the picture that dlib's CNN sees.

    Raises
    ------
    ValueError
        A setting is out of its range.
    """

    max_side_px: int | None = 1600
    upsample: int = 0
    cnn_max_side_px: int = 400

    def __post_init__(self) -> None:
        if self.max_side_px is not None and self.max_side_px < 1:
            raise ValueError(f"max_side_px: at least 1 is expected, got {self.max_side_px}")
        if not 0 <= self.upsample <= 3:
            raise ValueError(f"upsample: 0 to 3 is expected, got {self.upsample}")
        if self.cnn_max_side_px < 1:
            raise ValueError(f"cnn_max_side_px: at least 1 is expected, got {self.cnn_max_side_px}")


class Detector(Protocol):
    """Sees where faces are. Its constructor takes `SearchSettings`, loads its models and checks them.

    Not to be pickled or shared between threads: make one in every worker.
    """

    def find(self, image: Pixels) -> list[Detection]:
        """Every face of a photograph, each once.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, upright, C-contiguous; not changed.

        Returns
        -------
        list of Detection
            In pixels of the photograph, the surest first; boxes are as dlib's HOG detector would draw them.
        """


class LandmarkModel(Protocol):
    """Places the 68 landmarks of faces whose place is known."""

    def predict(self, image: Pixels, detections: Sequence[Detection]) -> list[FaceLandmarks]:
        """Landmarks of each face, in the order given.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, C-contiguous; not changed.
        detections
            Where the faces are, in pixels of ``image``.

        Returns
        -------
        list of FaceLandmarks
        """


class Finder(Protocol):
    """Finds faces with their landmarks in a photograph, as `landmarks.finder.FaceFinder` does."""

    def find(self, image: Pixels) -> Sequence[FaceLandmarks]:
        """Every face of a photograph, (H, W, 3) uint8 RGB, with its landmarks."""
