"""Windows of a map or mask file, without more work for the rest of the picture than inflating it.

Maps are large and faces are not. The PNGs that this program writes are grey, and every row is as it is or
the difference to the one above (filters 0 and 2 of PNG, third edition, 9.2): a window of them is sums down
its own columns. Rows below the lowest window are not inflated, and most empty rows at the top are only
counted (see `pipeline.mask_png.inflate_rows`). Any other picture is decoded as a whole. A file is known to be
undamaged by the sums of its chunks.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.errors import UsageError
from pipeline.mask_png import inflate_rows

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_CHUNK = struct.Struct(">I4s")
_CHECK = struct.Struct(">I")
_UNFILTERED, _UP = 0, 2


class MapFile:
    """A picture of one channel that is read by windows.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    size_wh
        Width and height in pixels.

    Raises
    ------
    UsageError
        It has gone, is damaged, or has colours.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        try:
            content = _content(path)
        except OSError as error:
            raise _unreadable(path) from error
        self._deflated = b""
        self._depth = 1
        self._pixels: NDArray[Any] | None = None
        self._empty_rows = 0
        self._rows: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        header = _own(content)
        if header is None:
            self._pixels = _decoded(content, path)
            self.size_wh = self._pixels.shape[1], self._pixels.shape[0]
        else:
            self.size_wh, self._depth, self._deflated = header

    def windows(self, boxes: Sequence[Box]) -> list[NDArray[Any]]:
        """Read boxes that lie inside the picture.

        Parameters
        ----------
        boxes
            Whole pixels.

        Returns
        -------
        list of (height, width) uint8 or uint16

        Raises
        ------
        UsageError
            The file is damaged.
        """
        self._inflate(max((box.y_max for box in boxes), default=0))
        return [self._window(box) for box in boxes]

    def _window(self, box: Box) -> NDArray[Any]:
        if self._pixels is not None:
            return self._pixels[box.y : box.y_max, box.x : box.x_max]
        depth, start = self._depth, self._empty_rows
        columns = self._rows[: max(box.y_max - start, 0), 1 + box.x * depth : 1 + box.x_max * depth]
        part = _unfiltered(columns, self._rows[: len(columns), 0], max(box.y - start, 0))
        if box.y < start:
            above = np.zeros((min(start, box.y_max) - box.y, box.width * depth), np.uint8)
            part = np.concatenate([above, part])
        return part if depth == 1 else np.ascontiguousarray(part).view(">u2").astype(np.uint16)

    def _inflate(self, rows: int) -> None:
        """Read so many rows, or decode the file as a whole if it is not one of this program's."""
        if self._pixels is not None or rows <= self._empty_rows + len(self._rows):
            return
        stride = 1 + self.size_wh[0] * self._depth
        try:
            zeros, raw = inflate_rows(self._deflated, rows * stride)
        except zlib.error as error:
            raise _unreadable(self._path) from error
        if zeros + len(raw) != rows * stride:
            raise _unreadable(self._path)
        self._empty_rows, begun = divmod(zeros, stride)
        self._rows = np.frombuffer(bytes(begun) + raw if begun else raw, np.uint8).reshape(-1, stride)
        if (self._rows[:, 0] | _UP != _UP).any():
            self._pixels = _decoded(_content(self._path), self._path)


def _unfiltered(columns: NDArray[np.uint8], filters: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
    """Rows from ``start`` on, each of which is as it is or the difference to the one above."""
    kinds = filters.tobytes()
    first = max(kinds.rfind(_UNFILTERED, 0, start + 1), 0)
    begin = kinds.find(_UP, first + 1)
    if begin < 0:
        return columns[start:]
    rows = columns[first:].copy()
    while begin > 0:
        end = kinds.find(_UNFILTERED, begin)
        part = rows[begin - 1 - first : end - first if end > 0 else None]  # with the row that is added to
        np.add.accumulate(part, axis=0, dtype=np.uint8, out=part)
        begin = kinds.find(_UP, end) if end > 0 else -1
    return rows[start - first :]


def _own(content: bytes) -> tuple[tuple[int, int], int, bytes] | None:
    """Size, bytes a pixel and deflated rows of a grey PNG of 8 or 16 bits that is whole; else None."""
    if not content.startswith(_SIGNATURE):
        return None
    at, header, data = len(_SIGNATURE), b"", []
    while at + _CHUNK.size <= len(content):
        length, kind = _CHUNK.unpack_from(content, at)
        end = at + _CHUNK.size + length
        if end + _CHECK.size > len(content):
            return None
        if zlib.crc32(content[at + 4 : end]) != _CHECK.unpack_from(content, end)[0]:
            return None
        if kind == b"IHDR":
            header = content[at + _CHUNK.size : end]
        elif kind == b"IDAT":
            data.append(content[at + _CHUNK.size : end])
        elif kind == b"IEND":
            break
        elif kind[:1].isupper():
            return None
        at = end + _CHECK.size
    else:
        return None
    if len(header) != _HEADER.size:
        return None
    width, height, bits, colours, *_, interlaced = _HEADER.unpack(header)
    if colours != 0 or interlaced or bits not in (8, 16):
        return None
    return (width, height), bits // 8, b"".join(data)


def _content(path: Path | str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - for every photograph; paths are slower
        return file.readall()


def _decoded(content: bytes, path: Path | str) -> NDArray[Any]:
    buffer = np.frombuffer(content, np.uint8)
    picture = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED) if buffer.size else None
    if picture is None or picture.ndim != 2:
        raise _unreadable(path)
    return np.asarray(picture)


def _unreadable(path: Path | str) -> UsageError:
    return UsageError(f"{path}: is not there or damaged; run the photograph again (--force does all)")
