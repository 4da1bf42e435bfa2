"""Pictures for the page: thumbnails, photographs, maps of face numbers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.images import to_upright
from pipeline.output_pictures import overlay

THUMBNAIL_PX = 320
THUMBNAIL_QUALITY = 82
PHOTO_QUALITY = 92
CACHE_BYTES = 192_000_000


class PictureCache:
    """Keeps what was made last, up to a number of bytes.

    Parameters
    ----------
    most_bytes
        Beyond it the least used go.
    """

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """What was kept under a key, or is made now."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._bytes += size(made)
            self._kept[key] = made
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= size(gone)
        return made


def upright_instances(
    output: Path, record: dict[str, Any], shape_hw: tuple[int, int] | None = None
) -> NDArray[np.uint16] | None:
    """The run's own map of face numbers, upright.

    Parameters
    ----------
    output
        The output directory.
    record
        Of the photograph. Where no instance map was written the mask of all faces stands for it, as face 1.
    shape_hw
        Size of the upright photograph; empty maps have it.

    Returns
    -------
    (H, W) uint16 or None
        None where neither file is there and ``shape_hw`` is not given.
    """
    files = record.get("files", {})
    turn = record.get("stored_orientation") or 1 if record.get("orientation") == "stored" else 1
    for kind in ("instances", "masks"):
        if kind not in files or not (output / files[kind]).is_file():
            continue
        numbers = cv2.imread(str(output / files[kind]), cv2.IMREAD_UNCHANGED)
        if numbers is None:
            continue
        if kind == "masks":
            numbers = (numbers > 127).astype(np.uint8)
        return np.ascontiguousarray(to_upright(numbers, turn), np.uint16)
    return None if shape_hw is None else np.zeros(shape_hw, np.uint16)


def thumbnail(pixels: NDArray[np.uint8], instances: NDArray[np.uint16] | None) -> bytes:
    """A small JPEG of a photograph, (H, W, 3) RGB, with its masks."""
    height, width = pixels.shape[:2]
    ratio = min(THUMBNAIL_PX / max(height, width), 1.0)
    size_wh = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    small = np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    if instances is not None:
        mask = np.where(instances > 0, np.uint8(255), np.uint8(0))
        shrunk = cv2.resize(mask, size_wh, interpolation=cv2.INTER_AREA)
        small = overlay(small, np.where(shrunk > 127, np.uint8(255), np.uint8(0)))
    return _jpeg(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), THUMBNAIL_QUALITY)


def thumbnail_of_overlay(path: Path) -> bytes | None:
    """The same from an overlay that the run has written, decoded at a fraction of its size: much faster."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    flag = cv2.IMREAD_REDUCED_COLOR_4 if size > 400_000 else cv2.IMREAD_COLOR
    picture = cv2.imread(str(path), flag)
    if picture is None:
        return None
    ratio = THUMBNAIL_PX / max(picture.shape[:2])
    if ratio < 1:
        size_wh = tuple(max(round(side * ratio), 1) for side in picture.shape[1::-1])
        picture = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
    return _jpeg(np.asarray(picture, np.uint8), THUMBNAIL_QUALITY)


def blank_thumbnail() -> bytes:
    """What stands for a photograph that cannot be shown: grey, crossed out."""
    grey = np.full((120, 160, 3), 128, np.uint8)
    for start, end in (((0, 0), (159, 119)), ((0, 119), (159, 0))):
        cv2.line(grey, start, end, (104, 104, 104), 2, cv2.LINE_AA)
    return _jpeg(grey, THUMBNAIL_QUALITY)


def jpeg_of(pixels: NDArray[np.uint8]) -> bytes:
    """Upright (H, W, 3) RGB as browsers can show it, whatever format it came in."""
    return _jpeg(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), PHOTO_QUALITY)


def _jpeg(bgr: NDArray[Any], quality: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return encoded.tobytes()
