"""Cutting a face out of a photograph, and remembering from where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face's pixels and their place in the photograph; made by `crop_face`, used by ``uncrop``.

    Attributes
    ----------
    pixels
        (box.height, box.width, 3) uint8 RGB.
    box
        Where they come from, half-open integer pixels of the upright photograph. It may leave the frame.
    frame_size_wh
        Width and height of the photograph in pixels.

    Raises
    ------
    ValueError
        Pixels of another shape or type than the box tells.
    """

    pixels: NDArray[np.uint8]
    box: Box
    frame_size_wh: tuple[int, int]

    def __post_init__(self) -> None:
        expected = (self.box.height, self.box.width, 3)
        if self.pixels.shape != expected or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"FaceCrop.pixels: expected {expected} uint8, got {self.pixels.shape} {self.pixels.dtype}"
            )

    @property
    def frame_slices(self) -> tuple[slice, slice]:
        """Rows and columns of the photograph that the box covers; empty slices when it lies outside."""
        width, height = self.frame_size_wh
        x_min, x_max = _clamp(self.box.x, width), _clamp(self.box.x + self.box.width, width)
        y_min, y_max = _clamp(self.box.y, height), _clamp(self.box.y + self.box.height, height)
        return slice(y_min, y_max), slice(x_min, x_max)

    @property
    def crop_slices(self) -> tuple[slice, slice]:
        """Rows and columns of the crop that lie inside the photograph, in step with `frame_slices`."""
        rows, columns = self.frame_slices
        y, x = self.box.y, self.box.x
        return slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)


def _clamp(value: int, limit: int) -> int:
    return min(max(value, 0), limit)


def crop_face(image: NDArray[np.uint8], box: Box) -> FaceCrop:
    """Cut a box out of a photograph.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB; it is not changed.
    box
        Half-open integer pixels. What lies outside the frame becomes black.

    Returns
    -------
    FaceCrop
        A copy of the pixels with the mapping back.

    Raises
    ------
    ValueError
        ``image`` is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    frame_size_wh = (image.shape[1], image.shape[0])
    pixels = np.zeros((box.height, box.width, 3), np.uint8)
    crop = FaceCrop(pixels, box, frame_size_wh)
    pixels[crop.crop_slices] = image[crop.frame_slices]
    return crop
