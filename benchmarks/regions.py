"""What is done with regions of masks: as the program does it, and by scikit-image or SciPy.

    python -m benchmarks.regions

Both ways get the same masks, alternately. Printed are milliseconds of CPU time a mask (medians), how many
times as long the other way takes, and how many pixels of all differ.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from skimage import draw, measure, morphology

from benchmarks.machine import describe_machine
from landmarks.arrays import Float64Array, Mask, Pixels
from pipeline.exports.polygons import fill, outlines
from pipeline.exports.values import MaskWindow
from pipeline.refine import refine_mask

SIDE_PX = 350
DRAW: Any = draw
MEASURE: Any = measure
"""Without types of their own."""

_ELLIPSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


@dataclass(frozen=True)
class Case:
    """One thing that is done, in both ways: each takes a mask and gives an array to compare."""

    name: str
    ours: Callable[[Pixels], Any]
    theirs: Callable[[Pixels], Any]
    other: str


def masks(count: int, seed: int = 1) -> list[Pixels]:
    """Masks of 0 and 255 as crops have them at their worst: a ragged piece, specks around it and holes."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    made = []
    for _ in range(count):
        noise = cv2.GaussianBlur(chance.normal(size=(SIDE_PX, SIDE_PX)), (0, 0), 4)
        distance = np.hypot((rows - SIDE_PX / 2) / 0.45, (columns - SIDE_PX / 2) / 0.36) / SIDE_PX
        made.append(np.asarray((1 - distance + 3 * noise > 0) * 255, np.uint8))
    return made


def rings_of(mask: Pixels) -> list[Float64Array]:
    """The outlines of a mask, moved off the grid by a part of a pixel, as other tools send them."""
    window = MaskWindow.of(mask > 0)
    return [ring + np.array([0.3, 0.2]) for piece in outlines(window) for ring in piece]


def filled(rings: list[Float64Array]) -> Mask:
    """What rings enclose, by the program's own way."""
    window, whole = fill(rings, (SIDE_PX, SIDE_PX)), np.zeros((SIDE_PX, SIDE_PX), bool)
    height, width = window.pixels.shape
    whole[window.y : window.y + height, window.x : window.x + width] = window.pixels
    return whole


def _drawn(rings: list[Float64Array]) -> Mask:
    inside = np.zeros((SIDE_PX, SIDE_PX), bool)
    for ring in rings:
        inside ^= DRAW.polygon2mask((SIDE_PX, SIDE_PX), ring[:, ::-1] - 0.5)
    return inside


def _areas(mask: Pixels) -> Any:
    return np.sort(cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA])


def _labelled_areas(mask: Pixels) -> Any:
    return np.sort([region.area for region in MEASURE.regionprops(MEASURE.label(mask > 0, connectivity=2))])


def _without_specks(mask: Pixels) -> Any:
    smallest = int(np.ceil(0.1 * _areas(mask).max())) - 1
    return morphology.remove_small_objects(mask > 0, max_size=smallest, connectivity=2)


def _opened_and_closed(mask: Pixels) -> Any:
    footprint = _ELLIPSE > 0
    return morphology.closing(morphology.opening(mask, footprint), footprint) > 0


def _contours(mask: Pixels) -> Any:
    found = MEASURE.find_contours(np.pad(mask, 1), 127.5)
    return filled([ring[:, ::-1] - 0.5 for ring in found])


def _outlines(mask: Pixels) -> Any:
    pieces = outlines(MaskWindow.of(mask > 0))
    return filled([np.asarray(ring, np.float64) for piece in pieces for ring in piece])


CASES = (
    Case("areas of pieces", _areas, _labelled_areas, "skimage.measure.label, regionprops"),
    Case(
        "specks dropped",
        lambda mask: refine_mask(mask, smallest_piece=0.1) > 0,
        _without_specks,
        "skimage.morphology.remove_small_objects",
    ),
    Case(
        "holes filled",
        lambda mask: refine_mask(mask, fill_holes=True) > 0,
        lambda mask: ndimage.binary_fill_holes(mask > 0),
        "scipy.ndimage.binary_fill_holes",
    ),
    Case(
        "opened and closed",
        lambda mask: refine_mask(mask, smooth=True) > 0,
        _opened_and_closed,
        "skimage.morphology.opening, closing",
    ),
    Case(
        "outlines, filled again",
        _outlines,
        _contours,
        "skimage.measure.find_contours",
    ),
    Case(
        "rings between pixels filled",
        lambda mask: filled(rings_of(mask)),
        lambda mask: _drawn(rings_of(mask)),
        "skimage.draw.polygon2mask",
    ),
    Case(
        "distances to the mask",
        lambda mask: np.rint(cv2.distanceTransform(~mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * 16),
        lambda mask: np.rint(ndimage.distance_transform_edt(~mask).astype(np.float32) * 16),
        "scipy.ndimage.distance_transform_edt",
    ),
)


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regions", description=__doc__.split("\n")[0])
    parser.add_argument("--masks", type=int, default=30, help="how many masks")
    options = parser.parse_args()
    print(f"machine: {json.dumps(describe_machine())}")
    given = masks(options.masks)
    for case in CASES:
        times: tuple[list[float], list[float]] = [], []
        differing = pixels = 0
        for mask in given:
            found = []
            for way, spent in zip((case.ours, case.theirs), times, strict=True):
                start = time.process_time()
                found.append(way(mask))
                spent.append(1000 * (time.process_time() - start))
            one, other = found
            same = one.shape == other.shape
            differing += int(np.count_nonzero(one != other)) if same else max(one.size, other.size)
            pixels += one.size
        ours, theirs = (statistics.median(spent) for spent in times)
        print(
            f"{case.name:<28} {ours:7.2f} ms {theirs:7.2f} ms {theirs / ours:6.1f} times"
            f" {differing:7} of {pixels}  {case.other}"
        )


if __name__ == "__main__":
    main()
