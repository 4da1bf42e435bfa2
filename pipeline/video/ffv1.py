"""FFV1 packets of grey frames that are mostly empty, for the price of what is not.

FFV1 (RFC 9043) cuts a frame into slices that know nothing of one another. A mask leaves most of them empty,
so empty ones are coded once; the others are coded tile by tile and put behind the heads that say where they
lie. The packet is to the byte what the encoder makes of the whole frame, which is tried before it is relied
on.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import count, pairwise
from typing import Any

import cv2
import numpy as np

from landmarks.arrays import Pixels
from pipeline.video.containers import import_av

OPTIONS = {"level": "3", "coder": "rice", "context": "0", "g": "1", "slicecrc": "0"}
"""Every frame by itself, Golomb-Rice codes with their runs, no checksum: what is quick for flat pictures."""

FEW_SLICES = 4
"""Of frames that are coded as a whole; FFmpeg makes no fewer."""

_SMALLEST_WH = (640, 360)
_TILE_WH, _MOST_TILES_WH = (160, 135), (12, 8)
_LARGEST_TILE_WH = (352, 288)  # up to here FFmpeg codes one slice
_MOST_SLICES = 1024


class FlatCoder:
    """Codes frames of one size.

    Parameters
    ----------
    size_wh
        Width and height in pixels.
    slices
        What the encoder is asked for: `slices_for` of the size.
    """

    def __init__(self, size_wh: tuple[int, int], slices: int) -> None:
        columns, rows = _grid(slices)
        width, height = size_wh
        self._size_wh, self._slices = size_wh, slices
        self._x = [width * column // columns for column in range(columns + 1)]
        self._y = [height * row // rows for row in range(rows + 1)]
        self._empty, self._heads = _empty_and_heads(_encoder(size_wh, slices), size_wh)
        self._tiles: dict[tuple[int, int], _TileCoder] = {}
        self._flat: dict[tuple[int, int, int], bytes] = {}

    def packet(self, picture: Pixels) -> bytes:
        """A coded frame.

        Parameters
        ----------
        picture
            (H, W) uint8.
        """
        used = cv2.reduce(picture, 1, cv2.REDUCE_MAX)[:, 0]
        parts = []
        place = 0
        for top, bottom in pairwise(self._y):
            is_empty = not used[top:bottom].any()
            for left, right in pairwise(self._x):
                tile = picture[top:bottom, left:right]
                if is_empty or not tile.any():
                    coded = self._empty[place]
                else:
                    coded = self._heads[place] + self._body(tile)
                parts += [coded, len(coded).to_bytes(3, "big")]
                place += 1
        return b"".join(parts)

    def is_exact(self) -> bool:
        """Whether packets are those of the encoder itself."""
        width, height = self._size_wh
        picture = np.zeros((height, width), np.uint8)
        dots = picture[::7, ::5]
        dots[:] = np.random.default_rng(1).integers(0, 256, dots.shape)
        picture[height // 2 :, : width // 2] = 255
        picture[: height // 3, width // 3 :] = 0
        return self.packet(picture) == _coded(_encoder(self._size_wh, self._slices), picture)

    def _body(self, tile: Pixels) -> bytes:
        """A slice without its head."""
        height, width = tile.shape
        value = int(tile[0, 0])
        if not (tile == value).all():
            return self._coded(tile)
        flat = self._flat.get((height, width, value))
        if flat is None:
            flat = self._flat[height, width, value] = self._coded(tile)
        return flat

    def _coded(self, tile: Pixels) -> bytes:
        coder = self._tiles.get(tile.shape)
        if coder is None:
            coder = self._tiles[tile.shape] = _TileCoder(tile.shape)
        return coder.body(tile)


class _TileCoder:
    """Codes tiles of one shape, (height, width), one after the other in the same frame."""

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape
        self._encoder = _encoder((width, height), 1)
        _, (head,) = _empty_and_heads(self._encoder, (width, height))
        self._start = len(head)
        self._frame = import_av().VideoFrame(width, height, "gray")
        (plane,) = self._frame.planes
        self._pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]

    def body(self, tile: Pixels) -> bytes:
        """A slice without its head."""
        self._pixels[:] = tile
        (packet,) = self._encoder.encode(self._frame)
        return _slices(bytes(packet))[0][self._start :]


@lru_cache(maxsize=2)
def flat_coder(size_wh: tuple[int, int]) -> FlatCoder | None:
    """The coder of frames of a size; None where the encoder must code them as a whole."""
    slices = slices_for(size_wh)
    if slices == FEW_SLICES:
        return None
    coder = FlatCoder(size_wh, slices)
    return coder if coder.is_exact() else None


def slices_for(size_wh: tuple[int, int]) -> int:
    """Into how many slices frames of a size are cut: such that one of them is a small part of a face."""
    width, height = size_wh
    if width < _SMALLEST_WH[0] or height < _SMALLEST_WH[1]:
        return FEW_SLICES
    across, down = (
        max(min(round(size / tile), most), -(-size // largest))
        for size, tile, most, largest in zip(size_wh, _TILE_WH, _MOST_TILES_WH, _LARGEST_TILE_WH, strict=True)
    )
    rows = max(down, 2)
    columns, rows = _grid(min(max(across, rows), 2 * rows) * rows)
    fits = -(-width // columns) <= _LARGEST_TILE_WH[0] and -(-height // rows) <= _LARGEST_TILE_WH[1]
    return columns * rows if fits and columns * rows <= _MOST_SLICES else FEW_SLICES


def _grid(slices: int) -> tuple[int, int]:
    """Columns and rows into which FFmpeg cuts frames that are asked to have so many slices."""
    rows = next(rows for rows in count(2) if slices % rows == 0 and rows <= slices // rows <= 2 * rows)
    return slices // rows, rows


def _encoder(size_wh: tuple[int, int], slices: int) -> Any:
    encoder: Any = import_av().CodecContext.create("ffv1", "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt = "gray"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {**OPTIONS, "slices": str(slices)}
    return encoder


def _coded(encoder: Any, picture: Pixels) -> bytes:
    (packet,) = encoder.encode(import_av().VideoFrame.from_ndarray(picture, format="gray"))
    return bytes(packet)


def _slices(packet: bytes) -> list[bytes]:
    """The slices of a packet; each is followed by three bytes with its length."""
    found = []
    end = len(packet)
    while end > 0:
        end -= 3
        length = int.from_bytes(packet[end : end + 3], "big")
        found.append(packet[end - length : end])
        end -= length
    return found[::-1]


def _empty_and_heads(encoder: Any, size_wh: tuple[int, int]) -> tuple[list[bytes], list[bytes]]:
    """Every slice of an empty frame, and the bytes of each that don't tell its pixels.

    The first bit after the head says whether the first pixel is empty: two frames that differ there show
    where the head ends.
    """
    height, width = size_wh[::-1]
    empty = _slices(_coded(encoder, np.zeros((height, width), np.uint8)))
    full = _slices(_coded(encoder, np.full((height, width), 255, np.uint8)))
    heads = []
    for one, other in zip(empty, full, strict=True):
        length = next(place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        heads.append(one[:length])
    return empty, heads
