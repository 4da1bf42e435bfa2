"""Fit and check what the program says of its own faces: confidence and landmark quality.

    python -m training.confidence --data DIR --without-faces PHOTOS --out OUT

Faces of held-out photographs, as they are, ruined, turned and shrunk, are right where their mask shares
`RIGHT_IOU` with the truth; what BlazeFace and CenterFace propose in photographs without faces, before it is
judged, is wrong, and counts `FALSE_SHARE` of all. Prints the weights for `pipeline.confidence`, and for every
step of the scale how often it was right: by weights fitted on other people, and by those that are shipped.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float64Array, Pixels
from landmarks.blazeface import BlazeFace
from landmarks.candidates import merge
from landmarks.centerface import CenterFace
from landmarks.geometry import FaceLandmarks
from landmarks.predictor import predictor_path
from landmarks.views import scaled_view
from pipeline.confidence import GOOD_LANDMARKS, LANDMARKS, RIGHT, RIGHT_IOU, Clues, read_clues, weighed
from pipeline.config import load_config
from pipeline.files import path_argument
from pipeline.framing import frame_face
from pipeline.jaw import beyond_jaw, overstepping
from pipeline.photo import PhotoSegmenter
from pipeline.uncrop import uncrop_mask
from training.conditions import HARD, PLAIN, Photograph, ruin
from training.data import hash_fraction, person_of, read_rgb
from training.scoring import masked_iou
from training.validate import held_out

KEPT_IN_PLACE = (PLAIN, "grey", "gamma 0.4", "gamma 2.2", "JPEG 15", *HARD)
"""Conditions under which the landmarks stay where they were."""

SIDES_PX = (48, 24, 14)
"""Widths of the faces of shrunk photographs."""

TURNED = ("turn 45", "turn 90", "turn 135", "turn 180", "turn 270")

FALSE_SHARE = 0.05
"""So many of all finds are supposed to be false: of small faces in everyday pictures about so many are."""

MOST_FALSE = 6
"""Finds of each network taken from one photograph without faces."""

PROPOSED, LONGEST_PX = 0.25, 1280
"""Least score of finds in photographs without faces, and the longer side that is searched."""

LANDMARK_CLUES = ("blazeface", "centerface", "other_detector", "held", "missed", "overstepped", "apart")

FOLDS = 5
RIDGE = 1e-4
STEPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01)


@dataclass(frozen=True)
class Row:
    """One face: whose photograph, under which condition, its clues, and what is true of it."""

    person: str
    condition: str
    clues: Clues
    right: bool
    landmarks_good: bool | None


def shrunk(photograph: Photograph, side_px: int) -> Photograph:
    """The photograph made so small that its face is about `side_px` wide."""
    columns = np.flatnonzero((photograph.face > 127).any(axis=0))
    scale = min(side_px / max(len(columns), 1), 1.0)
    height, width = photograph.face.shape
    size_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = np.asarray(cv2.resize(photograph.image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    planes = [
        np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_NEAREST), np.uint8)
        for plane in (photograph.face, photograph.weight, photograph.sure)
    ]
    return Photograph(photograph.name, image, planes[0], planes[1], planes[2])


def clues_of(segmenter: PhotoSegmenter, image: Pixels, face: FaceLandmarks) -> tuple[Clues, Pixels] | None:
    """The clues of one face and its full-frame mask (0 or 255); None if its crop is empty."""
    try:
        crop = frame_face(image, face, segmenter.config.crop)
    except ValueError:
        return None
    scored = segmenter.score([(face, crop)], [])
    result = segmenter.decide(scored, crop.frame_size_wh)
    scores = scored[0][1]
    grid_hw = scores.margin.shape[0], scores.margin.shape[1]
    overstepped = overstepping(scores.margin, beyond_jaw(scores.to_grid(face.points), grid_hw))
    clues = read_clues(face, scores, network=result.faces[0].score, overstepped=overstepped)
    return clues, uncrop_mask(result.faces[0].mask, crop)


def true_rows(segmenter: PhotoSegmenter, photograph: Photograph, conditions: Iterable[str]) -> Iterator[Row]:
    """Yield a row for the main face of a photograph under every condition under which it is found."""
    before = None
    for condition in conditions:
        kind, _, amount = condition.partition(" ")
        changed = shrunk(photograph, int(amount)) if kind == "shrunk" else ruin(photograph, condition)
        found = segmenter.find(changed.image)
        read = clues_of(segmenter, changed.image, found[0]) if found else None
        if read is None:
            continue
        right = masked_iou(read[1], changed.face, changed.weight) >= RIGHT_IOU
        good = None
        if condition == PLAIN:
            before = found[0].points.astype(np.float64) if right else None
        elif condition in KEPT_IN_PLACE and before is not None:
            apart = np.linalg.norm(found[0].points - before, axis=1).mean()
            good = bool(apart <= GOOD_LANDMARKS * np.linalg.norm(before[16] - before[0]))
        yield Row(person_of(photograph.name), condition, read[0], right, good)


def false_rows(segmenter: PhotoSegmenter, photographs: Iterable[Path]) -> Iterator[Row]:
    """Yield a row for what the detectors propose in photographs without faces, before they are judged."""
    blazeface, centerface = BlazeFace(), CenterFace()
    predictor = dlib.shape_predictor(str(predictor_path()))
    for path in photographs:
        image = read_rgb(path)
        longest_px = min(max(image.shape[:2]), LONGEST_PX)
        view = scaled_view(image, longest_px)
        keen = merge(blazeface.find_at_all_sizes_of(view, threshold=PROPOSED))
        strict = centerface.find_in(view, threshold=PROPOSED)
        for candidate in keen[:MOST_FALSE] + strict[:MOST_FALSE]:
            box = candidate.box
            parts = predictor(image, dlib.rectangle(box.x, box.y, box.x_max - 1, box.y_max - 1)).parts()
            points = np.array([(part.x, part.y) for part in parts], np.int32)
            face = FaceLandmarks(points, candidate.detection())
            read = clues_of(segmenter, image, face)
            if read is not None:
                yield Row(path.stem, "false", read[0], False, None)


def fitted(
    clues: Float64Array, truth: NDArray[np.bool_], weight: Float64Array, *, rounds: int = 30
) -> NDArray[np.float64]:
    """Weights of a logistic regression, the constant first, by Newton's method with a small ridge."""
    columns = np.column_stack([np.ones(len(clues)), clues])
    found = np.zeros(columns.shape[1])
    share = weight / weight.sum()
    for _ in range(rounds):
        likely = 1 / (1 + np.exp(-columns @ found))
        slope = columns.T @ (share * (truth - likely)) - RIDGE * found
        curve = (columns * (share * likely * (1 - likely))[:, None]).T @ columns
        found = found + np.linalg.solve(curve + RIDGE * np.eye(len(found)), slope)
    return np.asarray(found, np.float64)


def cross_checked(
    rows: list[Row], names: tuple[str, ...], truth: NDArray[np.bool_], weight: Float64Array
) -> tuple[dict[str, float], Float64Array]:
    """Weights on all rows, and of every row the figure by weights fitted on other people's."""
    clues = np.array([[asdict(row.clues)[name] for name in names] for row in rows])
    fold = np.array([int(hash_fraction(row.person) * FOLDS) for row in rows])
    figures = np.zeros(len(rows))
    for number in range(FOLDS):
        apart = fold == number
        weights = fitted(clues[~apart], truth[~apart], weight[~apart])
        figures[apart] = 1 / (1 + np.exp(-(weights[0] + clues[apart] @ weights[1:])))
    whole = fitted(clues, truth, weight)
    return dict(zip(("constant", *names), (round(float(value), 3) for value in whole), strict=True)), figures


def reliability(figures: Float64Array, truth: NDArray[np.bool_], weight: Float64Array) -> str:
    """A Markdown table: what was said, and how often it was so."""
    lines = ["| said | faces | share of all | mean said | true |", "|---|---|---|---|---|"]
    for low, high in pairwise(STEPS):
        inside = (figures >= low) & (figures < high)
        if inside.any():
            said = np.average(figures[inside], weights=weight[inside])
            true = np.average(truth[inside], weights=weight[inside])
            share = weight[inside].sum() / weight.sum()
            lines.append(
                f"| {low:.2f}-{min(high, 1):.2f} | {inside.sum()} | {share:.3f} | {said:.3f} | {true:.3f} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Collect, fit, print; write ``rows.csv``."""
    parser = argparse.ArgumentParser(description="Fit the confidence and landmark quality of faces.")
    parser.add_argument("--data", type=path_argument, required=True, help="folder of the extracted data sets")
    parser.add_argument(
        "--without-faces", type=path_argument, required=True, help="folder of photographs, no faces"
    )
    parser.add_argument("--out", type=path_argument, required=True, help="folder for rows.csv")
    parser.add_argument("--config", type=path_argument, help="default: default.yaml of the program")
    parser.add_argument("--every", type=int, default=1, help="take every so many photographs")
    options = parser.parse_args(arguments)
    segmenter = PhotoSegmenter.from_config(load_config(options.config, ["faces.select=main"]))
    conditions = (*KEPT_IN_PLACE, *TURNED, *(f"shrunk {side}" for side in SIDES_PX))
    rows: list[Row] = []
    for number, (_, photograph) in enumerate(held_out(options.data)):
        if number % options.every == 0:
            rows += true_rows(segmenter, photograph, conditions)
    rows += false_rows(segmenter, sorted(options.without_faces.iterdir()))
    segmenter.close()
    write_rows(options.out, rows)
    false = np.array([row.condition == "false" for row in rows])
    weight = np.where(false, FALSE_SHARE / false.sum(), (1 - FALSE_SHARE) / (~false).sum())
    right = np.array([row.right for row in rows])
    report("RIGHT", rows, RIGHT, tuple(field.name for field in fields(Clues)), right, weight)
    known = [row for row in rows if row.landmarks_good is not None]
    good = np.array([bool(row.landmarks_good) for row in known])
    report("LANDMARKS", known, LANDMARKS, LANDMARK_CLUES, good, np.full(len(known), 1 / len(known)))


def report(
    name: str,
    rows: list[Row],
    shipped: Mapping[str, float],
    names: tuple[str, ...],
    truth: NDArray[np.bool_],
    weight: Float64Array,
) -> None:
    """Print the weights of one figure and how they hold, and how the shipped ones do."""
    weights, figures = cross_checked(rows, names, truth, weight)
    now = np.array([weighed(row.clues, shipped) for row in rows])
    print(f"{name} = {json.dumps(weights)}\n\n{reliability(figures, truth, weight)}\n")
    print(f"As shipped:\n\n{reliability(now, truth, weight)}\n")


def write_rows(directory: Path, rows: list[Row]) -> None:
    """Write one line a face."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [field.name for field in fields(Clues)]
        writer.writerow(["person", "condition", *names, "right", "landmarks_good"])
        for row in rows:
            values = [f"{value:.4f}" for value in astuple(row.clues)]
            writer.writerow([row.person, row.condition, *values, row.right, row.landmarks_good])


if __name__ == "__main__":
    main()
