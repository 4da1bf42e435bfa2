"""How many faces the search finds, by their size, and how many it makes up.

::

    python -m benchmarks.detection FOLDER [FOLDER ...]

A folder holds photographs and, where faces are known, ``boxes.json``: name of a photograph without its ending
to boxes ``[x, y, width, height]``. Boxes of other conventions (hairline to chin, ...) are brought to ours by
their median shift and scale over near pairs. Of a folder without ``boxes.json`` every find is counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Container, Sequence
from typing import Any

import cv2
import numpy as np

from landmarks.finder import at_limit
from landmarks.geometry import FaceLandmarks
from pipeline.config import load_config
from pipeline.errors import ImageReadError
from pipeline.files import path_argument
from pipeline.images import read_photo
from pipeline.loading import load_finder

SIZES_PX = (12, 20, 30, 40, 60, 80)
NEAR_CENTRE, NEAR_SIZES = 0.5, (0.4, 2.5)
SAME_CENTRE, SAME_SIZES = 0.4, (0.6, 1.7)
"""A find is a face of the truth when its centre is at most this share of the face's side away, and its size
lies between these shares of it; the wider ones hold before the conventions are brought together."""

SMALL_PX = 24
"""Faces of the truth below this side are those that a hint at missed small faces is about."""

Place = tuple[float, float, float]
"""Centre x, y and side in pixels."""


def main() -> None:
    """Search every folder with the configuration given, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=path_argument)
    parser.add_argument("--config", help="default: default.yaml of the program")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    cv2.setNumThreads(1)
    finder = load_finder(config)
    for folder in options.folders:
        found: dict[str, list[Place]] = {}
        seconds = []
        at_limits: set[str] = set()
        for path in sorted(folder.iterdir()):
            try:
                photo = read_photo(path, max_pixels=config.input.max_pixels)
            except ImageReadError:
                continue
            start = time.perf_counter()
            faces = finder.find(photo.pixels)
            seconds.append(time.perf_counter() - start)
            found[path.stem] = [place_of(face) for face in faces]
            if at_limit(faces, upsample=config.detector.upsample):
                at_limits.add(path.stem)
        if not found:
            raise SystemExit(f"{folder}: no photograph there")
        truth_file = folder / "boxes.json"
        result: dict[str, Any] = {
            "folder": folder.name,
            "photographs": len(found),
            "faces_found": sum(map(len, found.values())),
            "photographs_with_faces": sum(map(bool, found.values())),
            "photographs_with_faces_at_limit": len(at_limits),
            "seconds": {
                "median": round(statistics.median(seconds), 3),
                "mean": round(statistics.fmean(seconds), 3),
                "largest": round(max(seconds), 2),
            },
        }
        if truth_file.exists():
            boxes = json.loads(truth_file.read_text(encoding="utf-8"))
            truth = {name: [centred(box) for box in known] for name, known in boxes.items()}
            result |= recall(truth, found, at_limits)
        print(json.dumps(result, indent=2))


def place_of(face: FaceLandmarks) -> Place:
    """Place of a find."""
    box = face.detection.box
    return centred((box.x, box.y, box.width, box.height))


def centred(box: Sequence[float]) -> Place:
    """Centre and side of a box ``x, y, width, height``."""
    x, y, width, height = box
    return x + width / 2, y + height / 2, float(width * height) ** 0.5


def recall(
    truth: dict[str, list[Place]], found: dict[str, list[Place]], at_limits: Container[str] = ()
) -> dict[str, Any]:
    """Share of the known faces that were found, in all and by size, and finds that are none of them.

    Also in how many photographs small ones were missed, of those with faces at the limit and of the others.
    """
    pairs = [
        (known, other)
        for name, places in truth.items()
        for known in places
        if (other := _nearest(known, found.get(name, []), NEAR_CENTRE, NEAR_SIZES)) is not None
    ]
    offsets = np.array([[(b[0] - a[0]) / a[2], (b[1] - a[1]) / a[2], b[2] / a[2]] for a, b in pairs])
    x, y, scale = np.median(offsets, axis=0) if len(offsets) else (0.0, 0.0, 1.0)
    counts = {size: [0, 0] for size in (0, *SIZES_PX)}
    matched = 0
    misses: set[str] = set()
    for name, places in truth.items():
        free = list(found.get(name, []))
        for known in sorted(places, key=lambda place: -place[2]):
            moved = (known[0] + x * known[2], known[1] + y * known[2], known[2] * scale)
            other = _nearest(moved, free, SAME_CENTRE, SAME_SIZES)
            size = max(edge for edge in counts if known[2] >= edge)
            counts[size][1] += 1
            if other is not None:
                free.remove(other)
                counts[size][0] += 1
                matched += 1
            elif known[2] < SMALL_PX:
                misses.add(name)
    total = sum(known for _, known in counts.values())
    from_20 = [counts[size] for size in counts if size >= 20]
    return {
        "known_faces": total,
        "found_share": round(matched / max(total, 1), 4),
        "found_share_from_20_px": round(
            sum(hits for hits, _ in from_20) / max(sum(known for _, known in from_20), 1), 4
        ),
        "found_by_size": {f"from {size} px": f"{hits} of {known}" for size, (hits, known) in counts.items()},
        "photographs_with_small_faces_missed": {
            "with faces at the limit": _share(misses, [name for name in truth if name in at_limits]),
            "others": _share(misses, [name for name in truth if name not in at_limits]),
        },
        "finds_beside": sum(map(len, found.values())) - matched,
    }


def _share(some: Container[str], names: Sequence[str]) -> str:
    return f"{sum(name in some for name in names)} of {len(names)}"


def _nearest(
    known: Place, places: Sequence[Place], centre: float, sizes: tuple[float, float]
) -> Place | None:
    near = [
        (distance, place)
        for place in places
        if (distance := float(np.hypot(place[0] - known[0], place[1] - known[1])) / known[2]) < centre
        and sizes[0] < place[2] / known[2] < sizes[1]
    ]
    return min(near)[1] if near else None


if __name__ == "__main__":
    main()
