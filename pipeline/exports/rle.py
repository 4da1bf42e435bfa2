"""Run lengths of masks, as COCO, CVAT and Label Studio write them.

A mask is handed over as a *window*: the part of it that holds all of its pixels, and where that part lies in
the picture. Pictures are large and faces are not; nothing here takes time or memory for the whole picture.

- COCO (cocoapi, ``common/maskApi.c``): runs down the columns of the whole picture, background first; in its
  compressed string every count but the first three is the difference to the one two before it, in groups of
  five bits, least first, bit 0x20 telling that more follow, written as characters from ``0`` on.
- CVAT for images 1.1: runs along the rows of a box around the mask, background first.
- Label Studio's brush (label-studio-sdk, ``converter/brush.py``): a stream of bits, explained at
  `encode_label_studio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Mask

_GROUP_BITS = 5
_MORE = 0x20
_SIGN = 0x10
_FIRST_CHARACTER = 48
_GROUP_LIMITS = 1 << np.arange(_GROUP_BITS - 1, 63, _GROUP_BITS)
"""What no longer fits a group of bits with its sign, two of them, ..."""

_LS_WORD_SIZE = 8
_LS_RUN_BITS = (3, 4, 8, 16)
_LS_CHANNELS = 4

_Counts = NDArray[np.int64]


def encode_coco(mask: Mask, size_wh: tuple[int, int] | None = None, at_xy: tuple[int, int] = (0, 0)) -> str:
    """COCO's compressed string of a mask.

    Parameters
    ----------
    mask
        (h, w) bool: the window, or the whole picture.
    size_wh
        Width and height of the picture in pixels; None: those of ``mask``.
    at_xy
        Where the window's top left pixel lies in the picture.

    Returns
    -------
    str
        ASCII; with ``size`` = [height, width] it makes COCO's ``segmentation``.

    Raises
    ------
    ValueError
        The window leaves the picture.
    """
    return compress(coco_counts(mask, size_wh, at_xy))


def coco_counts(
    mask: Mask, size_wh: tuple[int, int] | None = None, at_xy: tuple[int, int] = (0, 0)
) -> _Counts:
    """COCO's uncompressed counts of a mask: down the columns, background first; see `encode_coco`.

    Returns
    -------
    (N,) int64
        They sum up to width x height; the first one is 0 where the picture starts with the mask.
    """
    height_window, width_window = mask.shape
    width, height = size_wh if size_wh is not None else (width_window, height_window)
    x, y = at_xy
    if not (0 <= x <= width - width_window and 0 <= y <= height - height_window):
        raise ValueError(
            f"at_xy: a window of {width_window} x {height_window} pixels at {at_xy} leaves a picture of "
            f"{width} x {height}"
        )
    flat = np.zeros(width_window * (height_window + 1) + 1, bool)  # a pixel of background after every column
    flat[1:].reshape(width_window, height_window + 1)[:, :-1] = mask.T
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    columns = changes // (height_window + 1)
    places = changes + columns * (height - height_window - 1) + (x * height + y)  # where runs start and end
    counts = _lengths(places, width * height)
    if not counts[1:-1].all():  # a run to a column's last pixel goes on in the next column's first
        inner = places[1:-1].reshape(-1, 2)
        apart = inner[inner[:, 0] != inner[:, 1]].ravel()
        counts = _lengths(np.concatenate([places[:1], apart, places[-1:]]), width * height)
    return counts[:-1] if counts.size > 1 and counts[-1] == 0 else counts


def _lengths(changes: _Counts, size: int) -> _Counts:
    """Lengths of runs that change at some places, up to the picture's end."""
    places = np.empty(changes.size + 2, np.int64)
    places[0], places[1:-1], places[-1] = 0, changes, size
    return places[1:] - places[:-1]


def compress(counts: NDArray[np.integer[Any]] | Sequence[int]) -> str:
    """COCO's compressed string of counts."""
    values = np.array(counts, np.int64)
    values[3:] -= np.asarray(counts, np.int64)[1:-2]
    sizes = np.searchsorted(_GROUP_LIMITS, values ^ (values >> 63), side="right") + 1
    place = np.arange(int(sizes.max(initial=0)))
    groups = (values[:, None] >> (_GROUP_BITS * place)) & 0x1F
    groups[place < sizes[:, None] - 1] |= _MORE
    characters = (groups + _FIRST_CHARACTER).astype(np.uint8)
    return characters[place < sizes[:, None]].tobytes().decode("ascii")


def decompress(text: str | bytes) -> _Counts:
    """Counts of a compressed string.

    Raises
    ------
    ValueError
        It is none.
    """
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if codes.size == 0:
        return np.zeros(0, np.int64)
    if codes.min() < 0 or codes.max() > 0x3F or codes[-1] & _MORE:
        raise ValueError("counts: not a compressed string of COCO")
    last = np.flatnonzero((codes & _MORE) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    if int((last - first).max()) > 11:
        raise ValueError("counts: a number of the compressed string is too long")
    place = np.arange(codes.size) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((codes & 0x1F) << (_GROUP_BITS * place), first)
    negative = (codes[last] & _SIGN) > 0
    values[negative] -= np.int64(1) << (_GROUP_BITS * (last - first + 1)[negative])
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def decode_coco(counts: str | bytes | Sequence[int], size_wh: tuple[int, int]) -> Mask:
    """The mask of COCO's counts, compressed or not.

    Parameters
    ----------
    counts
        The string, or the list of lengths.
    size_wh
        Width and height of the picture in pixels.

    Returns
    -------
    (height, width) bool

    Raises
    ------
    ValueError
        The counts do not fill the picture.
    """
    width, height = size_wh
    lengths = decompress(counts) if isinstance(counts, str | bytes) else np.asarray(counts, np.int64)
    return np.ascontiguousarray(_runs_to_pixels(lengths, width * height).reshape(width, height).T)


def encode_rows(mask: Mask) -> _Counts:
    """Lengths of the runs along the rows of a window, background first: CVAT's ``rle``."""
    flat = np.zeros(mask.size + 1, bool)
    flat[1:] = mask.ravel()
    return _lengths(np.flatnonzero(flat[1:] != flat[:-1]), mask.size)


def decode_rows(counts: Sequence[int] | NDArray[np.integer[Any]], size_wh: tuple[int, int]) -> Mask:
    """The (height, width) bool window of CVAT's ``rle``; see `encode_rows`.

    Raises
    ------
    ValueError
        The counts do not fill the window.
    """
    width, height = size_wh
    return _runs_to_pixels(np.asarray(counts, np.int64), width * height).reshape(height, width)


def _runs_to_pixels(lengths: _Counts, size: int) -> Mask:
    if lengths.ndim != 1 or (lengths.size and lengths.min() < 0) or int(lengths.sum()) != size:
        raise ValueError(f"counts: runs of {int(lengths.sum())} pixels in all, but {size} are to be filled")
    return np.repeat(np.arange(lengths.size) % 2 == 1, lengths)


def encode_label_studio(
    mask: Mask, size_wh: tuple[int, int] | None = None, at_xy: tuple[int, int] = (0, 0)
) -> bytes:
    """Label Studio's brush code of a mask, painted as opaque white.

    Its stream, most significant bits first: the number of values in 32 bits, which is 4 x width x height
    because every pixel has four channels, along the rows; the size of a value less one in 5 bits (7); four
    sizes of run lengths less one in 4 bits each (2, 3, 7, 15: lengths of 3, 4, 8 or 16 bits). Then blocks: a
    bit that tells whether it is a run, which of the four sizes in 2 bits, how many values less one in as many
    bits, and the value in 8 bits (blocks that are no run have all their values). Zeros fill the last byte.

    Parameters
    ----------
    mask, size_wh, at_xy
        As of `encode_coco`.

    Returns
    -------
    bytes
        The format stores them as a list of numbers.
    """
    height_window, width_window = mask.shape
    width, height = size_wh if size_wh is not None else (width_window, height_window)
    counts = _row_counts(mask, (width, height), at_xy) * _LS_CHANNELS
    values = np.where(np.arange(counts.size) % 2 == 1, 255, 0)
    values, counts = values[counts > 0], counts[counts > 0]
    longest = 1 << _LS_RUN_BITS[-1]
    pieces = -(-counts // longest)
    values = np.repeat(values, pieces)
    lengths = np.full(values.size, longest, np.int64)
    ends = np.cumsum(pieces) - 1
    lengths[ends] = counts - (pieces - 1) * longest
    which = np.searchsorted(1 << np.array(_LS_RUN_BITS), lengths)
    bits = np.array(_LS_RUN_BITS)[which]
    words = (((4 | which) << bits | (lengths - 1)) << _LS_WORD_SIZE) | values
    head = [(width * height * _LS_CHANNELS, 32), (_LS_WORD_SIZE - 1, 5), *((b - 1, 4) for b in _LS_RUN_BITS)]
    return _packed(
        np.concatenate([[word for word, _ in head], words]),
        np.concatenate([[size for _, size in head], 3 + bits + _LS_WORD_SIZE]),
    )


def decode_label_studio(code: bytes | Sequence[int], size_wh: tuple[int, int]) -> Mask:
    """The mask of Label Studio's brush code; painted is where opacity is above 128.

    Parameters
    ----------
    code
        The bytes, or the list of numbers that the format stores.
    size_wh
        Width and height of the picture in pixels.

    Returns
    -------
    (height, width) bool

    Raises
    ------
    ValueError
        The code is damaged or that of a picture of another size.
    """
    width, height = size_wh
    bits = np.unpackbits(np.frombuffer(bytes(code), np.uint8))
    reader = _BitReader(bits)
    count = reader.number(32)
    if count != width * height * _LS_CHANNELS:
        raise ValueError(f"rle: {count} values, but {width} x {height} pixels have {width * height * 4}")
    word_size = reader.number(5) + 1
    sizes = [reader.number(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        is_run = reader.number(1)
        length = reader.number(sizes[reader.number(2)]) + 1
        if is_run:
            values[done : done + length] = reader.number(word_size)
        else:
            values[done : done + length] = reader.numbers(word_size, length)[: count - done]
        done += length
    return np.asarray(values.reshape(height, width, _LS_CHANNELS)[:, :, 3] > 128)


class _BitReader:
    """Takes numbers from an array of bits, most significant first."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits = bits
        self._at = 0

    def number(self, size: int) -> int:
        return int(self.numbers(size, 1)[0])

    def numbers(self, size: int, count: int) -> NDArray[np.int64]:
        end = self._at + size * count
        if end > self._bits.size:
            raise ValueError("rle: it ends too early")
        rows = self._bits[self._at : end].reshape(count, size).astype(np.int64)
        self._at = end
        return np.asarray(rows @ (1 << np.arange(size - 1, -1, -1, dtype=np.int64)))


def _row_counts(mask: Mask, size_wh: tuple[int, int], at_xy: tuple[int, int]) -> _Counts:
    """Runs along the rows of the whole picture: COCO's, of the picture mirrored at its diagonal."""
    width, height = size_wh
    return coco_counts(mask.T, (height, width), at_xy[::-1])


def _packed(words: _Counts, sizes: _Counts) -> bytes:
    """Put numbers of so many bits one behind another, most significant bit first."""
    behind = sizes[:, None] - 1 - np.arange(int(sizes.max()))  # how many bits of the number follow
    bits = words[:, None] >> np.maximum(behind, 0) & 1
    return np.packbits(bits[behind >= 0].astype(bool)).tobytes()
