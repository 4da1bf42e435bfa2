"""Whether an array is a photograph, and how large it is."""

from __future__ import annotations

import numpy as np

from landmarks.arrays import Pixels


def checked_size_wh(image: Pixels) -> tuple[int, int]:
    """Width and height in pixels of a photograph that is checked to be one.

    Raises
    ------
    ValueError
        It is not (H, W, 3) uint8; the message says how to make it that.
    """
    expected = "image: expected (H, W, 3) uint8"
    if not isinstance(image, np.ndarray):
        advice = {
            "NoneType": "cv2.imread gives None for a file that it cannot read; take pipeline.read_photo",
            "str": "read the file first, with pipeline.read_photo",
        }.get(type(image).__name__, "of a PIL image it is numpy.asarray(image.convert('RGB'))")
        raise ValueError(f"{expected}, got {type(image).__name__}; {advice}")  # noqa: TRY004 - as documented
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        advice = ""
        if image.dtype.kind == "f":
            advice = "; of values 0-1 it is numpy.rint(image * 255).astype(numpy.uint8)"
        elif image.ndim == 2:
            advice = "; of grey it is numpy.dstack([image] * 3)"
        elif image.ndim == 3 and image.shape[2] == 4:
            advice = "; lay it on a background first, as pipeline.read_photo does: alpha hides pixels"
        elif image.ndim == 3 and image.shape[0] == 3:
            advice = "; channels come last: numpy.moveaxis(image, 0, -1)"
        elif image.dtype == np.uint16:
            advice = "; of 16 bits it is (image // 257).astype(numpy.uint8)"
        raise ValueError(f"{expected}, got {image.shape} {image.dtype}{advice}")
    if image.size == 0:
        raise ValueError(f"{expected}, got {image.shape}: it has no pixels; look at what cut it out")
    return image.shape[1], image.shape[0]
