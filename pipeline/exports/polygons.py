"""Outlines of masks, and masks of outlines.

Two conventions are in use, and both are exact in the readers that hold to them:

- *edges*: corners of pixels; a pixel (x, y) is the square from (x, y) to (x + 1, y + 1) and inside where its
  middle is. COCO, CVAT and geometry libraries.
- *centres*: the outermost pixels themselves, which are drawn as well; ``cv2.fillPoly``, and with it YOLO.

A shape with holes or of several pieces becomes one ring where a format has room for one only: a bridge of no
width leads there and back between the nearest points (a keyhole). By the even-odd rule nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.exports.values import MaskWindow

Ring = NDArray[np.int32]
"""(N, 2) x, y, closed by a line from the last point to the first."""

_BLOCK = 2048


def outlines(mask: MaskWindow, convention: Literal["edges", "centres"] = "edges") -> list[list[Ring]]:
    """Pieces of a mask as rings: the outer one first, then the holes in it.

    Parameters
    ----------
    mask
        The mask.
    convention
        ``edges`` or ``centres``.

    Returns
    -------
    list of lists of (N, 2) int32
        In pixels of the picture. Pieces that touch at corners only are one piece.
    """
    pixels: NDArray[np.uint8] = mask.pixels.astype(np.uint8)
    if convention == "edges":
        pixels = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    found, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    pieces: dict[int, list[Ring]] = {}
    for index, contour in enumerate(found):
        ring = np.asarray(contour, np.int32).reshape(-1, 2)
        if convention == "edges":
            ring = (
                ring + 1
            ) // 2  # a pixel's first row or column of two lies at its start, its second at its end
        ring = without_needless_points(ring) + np.array([mask.x, mask.y], np.int32)
        parent = int(hierarchy[0][index][3])
        if parent < 0:
            pieces.setdefault(index, []).insert(0, ring)
        else:
            pieces.setdefault(parent, []).append(ring)
    return [pieces[key] for key in sorted(pieces)]


def without_needless_points(ring: Ring) -> Ring:
    """A ring without repeated points and without those in the middle of straight lines."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)] if len(ring) > 1 else ring
    if len(ring) < 3:
        return ring
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    straight = (np.sign(before) == np.sign(after)).all(axis=1) & (
        before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    )
    return np.asarray(ring[~straight])


def one_ring(rings: Sequence[Ring]) -> Ring:
    """Join rings by bridges of no width between their nearest points.

    Parameters
    ----------
    rings
        Outer rings and holes alike.

    Returns
    -------
    (N, 2) int32
        By the even-odd rule it holds what the rings hold together.
    """
    joined = rings[0]
    waiting = [(ring, *_nearest(ring, joined)) for ring in rings[1:]]
    while waiting:
        waiting.sort(key=lambda entry: entry[1])
        ring, _, at = waiting.pop(0)
        place = int(_squares(joined, ring[at : at + 1]).argmin())
        walk = np.concatenate([ring[at:], ring[: at + 1]])
        joined = np.concatenate([joined[: place + 1], walk, joined[place:]])
        for index, (other, distance, _) in enumerate(waiting):
            new = _nearest(other, walk)
            if new[0] < distance:
                waiting[index] = (other, *new)
    return joined


def _nearest(ring: Ring, others: Ring) -> tuple[int, int]:
    """Square of the least distance between two rings' points, and the place of the first one's."""
    least = np.full(len(ring), np.iinfo(np.int64).max)
    for start in range(0, len(others), _BLOCK):
        for begin in range(0, len(ring), _BLOCK):
            squares = _squares(ring[begin : begin + _BLOCK], others[start : start + _BLOCK]).min(axis=1)
            least[begin : begin + _BLOCK] = np.minimum(least[begin : begin + _BLOCK], squares)
    place = int(least.argmin())
    return int(least[place]), place


def _squares(points: Ring, others: Ring) -> NDArray[np.int64]:
    """(N, M) squares of distances."""
    difference = points[:, None].astype(np.int64) - others[None]
    return np.asarray((difference**2).sum(axis=2))


def fill(rings: Sequence[NDArray[np.floating[Any]] | Ring], size_wh: tuple[int, int]) -> MaskWindow:
    """The pixels whose middle lies inside rings by the even-odd rule; the convention of edges.

    Parameters
    ----------
    rings
        (N, 2) x, y in pixels; they may leave the picture.
    size_wh
        Width and height of the picture in pixels.

    Returns
    -------
    MaskWindow
    """
    width, height = size_wh
    kept = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings if len(ring) >= 3]
    if not kept:
        return MaskWindow.of(np.zeros((0, 0), bool))
    starts = np.concatenate(kept)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in kept])
    down = (starts[:, 1] <= ends[:, 1])[:, None]
    upper, lower = np.where(down, starts, ends), np.where(down, ends, starts)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    stop = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
    count = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(count)), count)
    if edge.size == 0:
        return MaskWindow.of(np.zeros((0, 0), bool))
    row = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = lower[edge] - upper[edge]
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope[:, 0] / slope[:, 1]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    top, left = int(row.min()), int(column.min())
    toggles = np.zeros((int(row.max()) - top + 1, max(int(column.max()) - left, 0) + 1), np.int32)
    np.add.at(toggles, (row - top, column - left), 1)
    inside = np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1
    return MaskWindow.of(inside, left, top)


def fill_with_border(ring: NDArray[np.floating[Any]] | Ring, size_wh: tuple[int, int]) -> MaskWindow:
    """The pixels that ``cv2.fillPoly`` paints for a ring of whole pixels; the convention of centres.

    Parameters
    ----------
    ring
        (N, 2) x, y in pixels, rounded down.
    size_wh
        Width and height of the picture in pixels.
    """
    points = np.floor(np.asarray(ring, np.float64)).astype(np.int32)
    width, height = size_wh
    low = np.clip(points.min(axis=0), 0, [width, height])
    high = np.clip(points.max(axis=0) + 1, 0, [width, height])
    canvas = np.zeros((max(int(high[1] - low[1]), 0), max(int(high[0] - low[0]), 0)), np.uint8)
    if canvas.size == 0:
        return MaskWindow.of(np.zeros((0, 0), bool))
    cv2.fillPoly(canvas, [points - low.astype(np.int32)], (1,))
    return MaskWindow.of(canvas > 0, int(low[0]), int(low[1]))
