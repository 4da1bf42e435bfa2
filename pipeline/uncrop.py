"""Putting crop-sized results back where the crop came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.crop import FaceCrop

_Scalar = TypeVar("_Scalar", bound=np.generic)


def uncrop_mask(mask_hw: NDArray[_Scalar], crop: FaceCrop) -> NDArray[_Scalar]:
    """Paste a crop-sized array into an otherwise zero frame.

    Parameters
    ----------
    mask_hw
        (crop height, crop width) array of any dtype, pixel for pixel with ``crop.pixels``.
    crop
        The crop it belongs to.

    Returns
    -------
    frame
        (H, W) array of the same dtype; parts of the box outside the frame are dropped.

    Raises
    ------
    ValueError
        ``mask_hw`` has not the shape of the crop.
    """
    _check_shape("mask_hw", mask_hw, crop)
    width, height = crop.frame_size_wh
    frame = np.zeros((height, width), mask_hw.dtype)
    frame[crop.frame_slices] = crop.in_frame(mask_hw)
    return frame


def uncrop_instances(
    margins: Sequence[NDArray[np.float32]], crops: Sequence[FaceCrop], frame_size_wh: tuple[int, int]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Number every face's pixels in one full-frame map; where faces overlap the higher score wins.

    Parameters
    ----------
    margins
        One (crop height, crop width) float32 array a face: its score where the mask is set, and a value
        not above zero elsewhere.
    crops
        The crops they belong to, in the same order.
    frame_size_wh
        Width and height of the photograph in pixels.

    Returns
    -------
    instances
        (H, W) uint8, or uint16 for more than 255 faces: 0 background, 1 the first face, and so on. On
        equal scores the earlier face keeps the pixel.

    Raises
    ------
    ValueError
        A margin has not the shape of its crop, or a crop belongs to a frame of another size.
    """
    width, height = frame_size_wh
    dtype: type[Any] = np.uint8 if len(crops) <= 255 else np.uint16
    instances: NDArray[Any] = np.zeros((height, width), dtype)
    best = np.zeros((height, width) if len(crops) > 1 else (0, 0), np.float32)
    for number, (margin, crop) in enumerate(zip(margins, crops, strict=True), start=1):
        _check_shape(f"margins[{number - 1}]", margin, crop)
        if crop.frame_size_wh != frame_size_wh:
            raise ValueError(f"crops[{number - 1}]: its frame is {crop.frame_size_wh}, not {frame_size_wh}")
        window, inside = crop.frame_slices, crop.in_frame(margin)
        if len(crops) == 1:
            instances[window] = inside > 0
            break
        wins = inside > best[window]
        np.copyto(instances[window], number, where=wins)
        np.copyto(best[window], inside, where=wins)
    return instances


def _check_shape(name: str, array: NDArray[Any], crop: FaceCrop) -> None:
    expected = crop.size_wh[::-1]
    if array.shape != expected:
        raise ValueError(f"{name}: expected shape {expected} of the crop, got {array.shape}")
