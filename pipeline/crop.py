"""Cutting a face out of a photograph, and remembering from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.turns import TURNS, turned_box, turned_points, turned_size

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face's pixels and their place in the photograph; made by `crop_face`, used by ``uncrop``.

    Attributes
    ----------
    pixels
        (height, width, 3) uint8 RGB: what the box holds, turned ``turn`` times.
    box
        Where they come from, half-open integer pixels of the upright photograph. It may leave the frame.
    frame_size_wh
        Width and height of the photograph in pixels.
    turn
        Quarter turns counter-clockwise from the photograph to the crop, 0-3; 0: the crop lies as the
        photograph does.

    Raises
    ------
    ValueError
        Pixels of another shape or type than the box and the turn tell, or a turn that is none.
    """

    pixels: NDArray[np.uint8]
    box: Box
    frame_size_wh: tuple[int, int]
    turn: int = 0

    def __post_init__(self) -> None:
        if self.turn not in TURNS:
            raise ValueError(f"FaceCrop.turn: expected 0, 1, 2 or 3 quarter turns, got {self.turn!r}")
        width, height = self.size_wh
        if self.pixels.shape != (height, width, 3) or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"FaceCrop.pixels: expected {(height, width, 3)} uint8, got {self.pixels.shape} "
                f"{self.pixels.dtype}"
            )

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the crop in pixels, as it is turned."""
        return turned_size((self.box.width, self.box.height), self.turn)

    @property
    def frame_slices(self) -> tuple[slice, slice]:
        """Rows and columns of the photograph that the box covers; empty slices when it lies outside."""
        inside = self.box.clipped(self.frame_size_wh)
        return slice(inside.y, inside.y_max), slice(inside.x, inside.x_max)

    @property
    def crop_slices(self) -> tuple[slice, slice]:
        """Rows and columns of the crop that lie inside the photograph.

        For every (H, W) ``frame`` ``numpy.rot90(frame[frame_slices], turn)`` is what belongs to them.
        """
        rows, columns = self.frame_slices
        inside = Box(
            columns.start - self.box.x,
            rows.start - self.box.y,
            columns.stop - columns.start,
            rows.stop - rows.start,
        )
        turned = turned_box(inside, (self.box.width, self.box.height), self.turn)
        return slice(turned.y, turned.y_max), slice(turned.x, turned.x_max)

    def in_frame(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The part of a crop-sized array that lies inside the photograph, as it lies there.

        Parameters
        ----------
        array
            (crop height, crop width, ...), pixel for pixel with ``pixels``.

        Returns
        -------
        part
            A view that belongs to ``frame_slices`` of the photograph.
        """
        return np.rot90(array[self.crop_slices], -self.turn)

    def to_crop(self, points: NDArray[Any]) -> NDArray[Any]:
        """Bring (n, 2) points x, y of the photograph to the crop; pixel centres are whole numbers in both."""
        corner = np.array([self.box.x, self.box.y])
        return turned_points(points - corner, (self.box.width, self.box.height), self.turn)


def crop_face(image: NDArray[np.uint8], box: Box, turn: int = 0) -> FaceCrop:
    """Cut a box out of a photograph.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB; it is not changed.
    box
        Half-open integer pixels. What lies outside the frame becomes black.
    turn
        Quarter turns counter-clockwise, 0-3, that bring the face upright.

    Returns
    -------
    FaceCrop
        A copy of the pixels with the mapping back.

    Raises
    ------
    ValueError
        ``image`` is not (H, W, 3) uint8, or the turn is none.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    frame_size_wh = (image.shape[1], image.shape[0])
    width, height = turned_size((box.width, box.height), turn)
    crop = FaceCrop(np.zeros((height, width, 3), np.uint8), box, frame_size_wh, turn)
    crop.in_frame(crop.pixels)[:] = image[crop.frame_slices]
    return crop
