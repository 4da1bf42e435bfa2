"""Places where labels of held-out photographs are known to be wrong: means can be given without them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Pixels
from pipeline.yaml_text import read_yaml

FAULTS_FILE = Path(__file__).with_name("label_faults.yaml")

Polygon = list[tuple[int, int]]


def read_faults(path: Path = FAULTS_FILE) -> dict[str, dict[str, list[Polygon]]]:
    """Read the polygons of every photograph: set, then stem, then polygons of x, y in pixels.

    Raises
    ------
    ValueError
        If an entry has no polygon of three points or more, or does not say what is wrong.
    """
    faults: dict[str, dict[str, list[Polygon]]] = {}
    for dataset, photographs in read_yaml(path.read_text(encoding="utf-8")).items():
        faults[dataset] = {}
        for stem, places in photographs.items():
            for place in places:
                if len(place.get("polygon", ())) < 3 or not place.get("fault"):
                    raise ValueError(f"{path}: {stem} needs 'fault' and a 'polygon' of three points or more")
            faults[dataset][stem] = [[(x, y) for x, y in place["polygon"]] for place in places]
    return faults


def without_faults(weight: Pixels, polygons: list[Polygon]) -> Pixels:
    """Return the weights (h, w) with 0 inside of the polygons."""
    sure = weight.copy()
    for polygon in polygons:
        cv2.fillPoly(sure, [np.array(polygon, np.int32)], 0)
    return sure
