"""Samples of more than 8 bits as a file holds them, and how they become 8."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarks.arrays import Pixels
from pipeline.decoded import straight
from pipeline.depth import to_8_bits

_opencv_log = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples as stored.

    Attributes
    ----------
    colours
        (H, W) or (H, W, 3), grey or RGB.
    alpha
        (H, W) of the same type, or None.
    associated
        Whether alpha has been multiplied into the colours.
    white_is_zero
        Whether they mean the opposite.
    declared
        Which value the file says is white; None: it says nothing.
    """

    colours: NDArray[Any]
    alpha: NDArray[Any] | None = None
    associated: bool = False
    white_is_zero: bool = False
    declared: float | None = None


def in_8_bits(samples: Samples) -> tuple[Image.Image, Pixels | None, tuple[str, ...]]:
    """The picture in mode ``L`` or ``RGB``, its (H, W) uint8 alpha or None, and what was estimated."""
    colours, note = to_8_bits(samples.colours, samples.declared)
    if samples.white_is_zero:
        colours = 255 - colours
    alpha = None if samples.alpha is None else _alpha_to_8_bits(samples.alpha, samples.declared)
    if alpha is not None and alpha.min() == 255:
        alpha = None
    if alpha is not None and samples.associated:
        colours = straight(colours, alpha)
    return Image.fromarray(colours), alpha, (note,) if note else ()


def _alpha_to_8_bits(alpha: NDArray[Any], declared: float | None) -> NDArray[np.uint8]:
    if alpha.dtype.kind == "f":
        return to_8_bits(alpha, 1.0)[0]
    largest = int(np.iinfo(alpha.dtype).max)
    if declared is not None and int(alpha.max()) <= declared:
        largest = int(declared)
    elif declared is None and alpha.dtype == np.uint16:
        return to_8_bits(alpha)[0] if alpha.any() else np.zeros(alpha.shape, np.uint8)
    return to_8_bits(alpha, float(largest))[0]


def by_opencv(content: bytes | bytearray) -> NDArray[Any] | None:
    """Decode with red first; None where OpenCV cannot. Of a TIFF it applies the orientation."""
    import cv2  # noqa: PLC0415 - only these files need it here

    with _silent_opencv(cv2):
        try:
            array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None
    if array is None or array.ndim == 2:
        return array
    order = [2, 1, 0, 3][: array.shape[2]]
    return np.asarray(array[:, :, order])


@contextmanager
def _silent_opencv(cv2: Any) -> Iterator[None]:
    """Keep OpenCV from printing what is said better as an error."""
    with _opencv_log:
        before = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(before)
