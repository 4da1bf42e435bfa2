"""The scores of one crop on the network's grid, and the way between that grid, crop and photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array, Pixels
from pipeline.crop import FaceCrop

Interpolation = Literal["cubic", "nearest"]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class CropScores:
    """What the network says of every pixel of its grid, and where that grid lies.

    The grid covers the crop: the outer edges of both are one, their pixels may differ in size and shape.

    Attributes
    ----------
    margin
        (grid height, grid width) float32, face score minus background score; above zero is face.
    crop
        The crop that the network saw.
    limited_size_wh
        Width and height in pixels to which the crop was shrunk before it was stretched to the grid
        (``network.max_side_px``); the crop's own size where it was not.
    mirror_disagreement
        How far the crop and its mirror image were apart (see `disagreement`); None without
        ``network.mirror``.

    Raises
    ------
    ValueError
        ``margin`` is not two-dimensional float32, or has no pixels; a side of ``limited_size_wh`` is below 1.
    """

    margin: Float32Array
    crop: FaceCrop
    limited_size_wh: tuple[int, int]
    mirror_disagreement: float | None = None

    def __post_init__(self) -> None:
        if self.margin.ndim != 2 or self.margin.dtype != np.float32 or not self.margin.size:
            raise ValueError(
                f"CropScores.margin: expected (h, w) float32, got {self.margin.shape} {self.margin.dtype}"
            )
        if min(self.limited_size_wh) < 1:
            raise ValueError(f"CropScores.limited_size_wh: expected at least 1, got {self.limited_size_wh}")

    @property
    def grid_size_wh(self) -> tuple[int, int]:
        """Width and height of the network's grid in its pixels."""
        return self.margin.shape[1], self.margin.shape[0]

    def to_grid(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Bring points of the photograph to the network's grid.

        Parameters
        ----------
        points
            (n, 2) x, y in pixels of the photograph; the centre of its first pixel is 0, 0.

        Returns
        -------
        points
            (n, 2) float64 x, y in pixels of the grid; the centre of its first pixel is 0, 0.
        """
        edges = (self.crop.to_crop(points) + 0.5) * np.array(self.grid_size_wh)
        return np.asarray(edges / np.array(self.crop.size_wh) - 0.5, np.float64)

    def plus(self, evidence: Float32Array) -> CropScores:
        """The same scores with something added on the grid: (grid height, grid width) float32."""
        return replace(self, margin=self.margin + evidence)

    def decide(
        self,
        *,
        interpolation: Interpolation = "cubic",
        refine: Callable[[Pixels], Pixels] = lambda mask: mask,
    ) -> tuple[Pixels, Float32Array]:
        """Turn the scores into the mask of the crop.

        Parameters
        ----------
        interpolation
            ``cubic``: bring the margin to the crop's size (by area where that is smaller), then decide, then
            refine: smooth edges.
            ``nearest``: decide and refine on the network's grid, then bring the mask to the crop's size with
            nearest neighbours by way of the limited size, as face_seg.cpp does.
        refine
            Clean-up of a mask.

        Returns
        -------
        mask
            (crop height, crop width) uint8, 0 or 255.
        crop_margin
            (crop height, crop width) float32 margin.
        """
        if interpolation == "nearest":
            mask, crop_margin = refine(_positive(self.margin)), self.margin
            for size_wh in (self.limited_size_wh, self.crop.size_wh):
                mask = _resize(mask, size_wh, cv2.INTER_NEAREST)
                crop_margin = _resize(crop_margin, size_wh, cv2.INTER_NEAREST)
            return mask, crop_margin
        shrinks = self.grid_size_wh[1] > self.crop.size_wh[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        crop_margin = _resize(self.margin, self.crop.size_wh, method)
        return refine(_positive(crop_margin)), crop_margin


def disagreement(one: Float32Array, other: Float32Array) -> float:
    """Share of the pixels that either margin takes for face which only one of them does: 0 alike, 1 disjoint.

    Parameters
    ----------
    one, other
        (h, w) float32 margins on one grid.
    """
    first, second = one > 0, other > 0
    either = np.count_nonzero(first | second)
    return np.count_nonzero(first != second) / either if either else 0.0


def probability(margin: Float32Array) -> Float32Array:
    """Probability of face against background: the softmax of the two scores, from their difference."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -60.0, 60.0))), np.float32)


def _positive(margin: Float32Array) -> Pixels:
    return np.asarray((margin > 0).view(np.uint8) * np.uint8(255))


def _resize(array: NDArray[_Scalar], size_wh: tuple[int, int], interpolation: int) -> NDArray[_Scalar]:
    if (array.shape[1], array.shape[0]) == size_wh:
        return array
    source: Any = array  # OpenCV's types know no generic dtype
    resized = cv2.resize(source, size_wh, interpolation=interpolation)
    return np.asarray(resized, array.dtype)
