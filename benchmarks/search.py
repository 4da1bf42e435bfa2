"""What the search costs on 24-megapixel photographs, and which sizes of faces it finds there.

::

    python -m benchmarks.search

Faces of the samples are pasted into a large photograph without any, so that dlib's HOG box around each has a
known side, and two searches look for them: that of the default configuration, and dlib's HOG detector on the
full-size picture, as upstream searches. Both see the same photographs in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.megapixels import FACES, SAMPLES
from landmarks.arrays import Pixels
from landmarks.candidates import Candidate, same_face
from landmarks.finder import FaceFinder
from landmarks.predictor import predictor_path
from pipeline.files import path_argument

RESULTS = Path(__file__).with_name("results") / "search.json"
FRAME_WH = (6000, 4000)
SIDES_PX = (80, 90, 100, 120, 160, 240, 400, 700)
HEAD = 2.2
"""Side of what is pasted, in sides of the box: head, hair and some of the neighbourhood."""

Search = Callable[[Pixels], list[Candidate]]


@dataclass(frozen=True, slots=True)
class Pasted:
    """A face in a photograph: side of its box in pixels, and the box."""

    side_px: int
    place: Candidate


def main() -> None:
    """Parse the arguments, measure, print and write the results."""
    parser = argparse.ArgumentParser(description="Time the search for faces in large photographs.")
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    detector = dlib.get_frontal_face_detector()
    finder = FaceFinder.load(predictor=predictor_path(None))
    searches: dict[str, Search] = {
        "default": lambda image: [Candidate.of(face) for face in finder.detect(image)],
        "full-size HOG": lambda image: [_candidate(box) for box in detector(image, 0)],
    }
    heads = [cut_head(detector, name) for name in FACES]
    rng = np.random.default_rng(24)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    found: dict[str, dict[int, int]] = {name: dict.fromkeys(SIDES_PX, 0) for name in searches}
    others = dict.fromkeys(searches, 0)
    finder.detect(heads[0][0])
    for number in range(options.photos):
        image, faces = photograph(heads, rng, number)
        for name, search in searches.items():
            start = time.perf_counter()
            candidates = search(image)
            seconds[name].append(time.perf_counter() - start)
            for face in faces:
                found[name][face.side_px] += any(same_face(face.place, other) for other in candidates)
            others[name] += sum(
                not any(same_face(face.place, other) for face in faces) for other in candidates
            )
    ratios = [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)]
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "frame_wh": FRAME_WH,
        "photos": options.photos,
        "seconds_median": {name: round(statistics.median(values), 3) for name, values in seconds.items()},
        "share_of_full_size_hog": round(statistics.median(ratios), 3),
        "found_by_side_px": found,
        "found_elsewhere": others,
    }
    print(json.dumps(results, indent=2))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def cut_head(detector: Any, name: str) -> tuple[Pixels, float]:
    """A square around the one face of a sample, RGB, and the share of its side that the HOG box takes."""
    picture = cv2.imread(str(SAMPLES / name), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{SAMPLES / name}: a sample is missing; restore data/samples")
    image = np.ascontiguousarray(picture[:, :, ::-1], np.uint8)
    box = _candidate(max(detector(image, 1), key=lambda item: item.area()))
    reach = min(HEAD * box.side / 2, box.x, box.y, image.shape[1] - box.x, image.shape[0] - box.y)
    x, y, side = int(box.x - reach), int(box.y - reach), int(2 * reach)
    return np.ascontiguousarray(image[y : y + side, x : x + side]), box.side / side


def photograph(
    heads: Sequence[tuple[Pixels, float]], rng: np.random.Generator, number: int
) -> tuple[Pixels, list[Pasted]]:
    """A photograph of a rocket, (4000, 6000, 3) RGB, with a face of every size somewhere in it."""
    background = cv2.imread(str(SAMPLES / "rocket.jpg"), cv2.IMREAD_COLOR)
    assert background is not None
    noise = rng.normal(0, 3, (FRAME_WH[1] // 4, FRAME_WH[0] // 4, 3))
    image = np.asarray(cv2.resize(background[:, :, ::-1], FRAME_WH, interpolation=cv2.INTER_CUBIC), np.int16)
    image = image + np.asarray(cv2.resize(noise, FRAME_WH), np.int16)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    faces = []
    columns = rng.permutation(len(SIDES_PX))
    for index, side_px in enumerate(SIDES_PX):
        head, share = heads[(index + number) % len(heads)]
        size = round(side_px / share)
        small = cv2.resize(
            head, (size, size), interpolation=cv2.INTER_AREA if size < len(head) else cv2.INTER_CUBIC
        )
        column, row = int(columns[index]) % 4, int(columns[index]) // 4
        cell_wh = (FRAME_WH[0] // 4, FRAME_WH[1] // 2)
        x = column * cell_wh[0] + int(rng.integers(0, max(cell_wh[0] - size, 1)))
        y = row * cell_wh[1] + int(rng.integers(0, max(cell_wh[1] - size, 1)))
        part = pixels[y : y + size, x : x + size]
        part[:] = small[: part.shape[0], : part.shape[1]]
        place = Candidate(x + size / 2, y + size / 2, side_px, side_px, 0.0, 1.0, "pasted")
        faces.append(Pasted(side_px, place))
    return pixels, faces


def _candidate(box: Any) -> Candidate:
    """A rectangle of dlib as a candidate."""
    x, y = (box.left() + box.right() + 1) / 2, (box.top() + box.bottom() + 1) / 2
    return Candidate(x, y, box.width(), box.height(), 0.0, 0.0, "hog")


if __name__ == "__main__":
    main()
