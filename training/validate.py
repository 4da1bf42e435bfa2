"""Measure a network over the whole chain: photograph, landmarks, crop, network, full-frame mask, truth.

    python -m training.validate --data DIR --out training/runs/first/validation --set network.model=uncrop_256

Every held-out photograph is segmented as it is and, on request, ruined in a known way. A face that is not
found counts 0. Beside it stands the landmark outline (`createFullFace` of find_face_landmarks), which needs
no network.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from pipeline.config import load_config
from pipeline.files import path_argument
from pipeline.outline import outline_points
from pipeline.photo import PhotoSegmenter
from training.conditions import CONDITIONS, GROUPS, HARD, PLAIN, Photograph, ruin
from training.data import celeba_mask, read_labels, read_prepared_landmarks, read_rgb
from training.datasets import (
    CELEBA_FOLDER,
    LFW_FOLDER,
    LFW_OCCLUDED_FOLDER,
    is_celeba_validation,
    is_lfw_validation,
)
from training.label_faults import read_faults, without_faults
from training.scoring import masked_iou
from training.traits import TRAITS, traits_of

BOOTSTRAP_ROUNDS, BOOTSTRAP_SEED = 2000, 1704
SHEET_TILE_PX, SHEET_COLUMNS = 240, 8


@dataclass(frozen=True)
class Row:
    """One measurement: IoU of the chain, of the chain where the truth is sure, and of the outline."""

    dataset: str
    condition: str
    name: str
    found: bool
    iou: float
    sure_iou: float
    outline_iou: float
    traits: tuple[str, ...] = ()


def held_out(data: Path) -> Iterator[tuple[str, Photograph]]:
    """Yield the held-out photographs below `data`, each with the name of its set."""
    faults = read_faults()
    for dataset, folder, keep in (
        ("CelebAMask-HQ", data / CELEBA_FOLDER, is_celeba_validation),
        ("LFW parts", data / LFW_FOLDER, is_lfw_validation),
        ("LFW occluded", data / LFW_OCCLUDED_FOLDER, lambda stem: True),
    ):
        if not folder.is_dir():
            continue
        landmarks = read_prepared_landmarks(folder)
        for path in sorted((folder / "images").iterdir()):
            if not keep(path.stem):
                continue
            image, face = read_rgb(path), read_labels(folder / "masks" / f"{path.stem}.png")
            labels = read_labels(folder / "labels" / f"{path.stem}.png")
            weight, points = np.full(face.shape, 255, np.uint8), landmarks.get(path.stem)
            source = "celebamask" if dataset == "CelebAMask-HQ" else "lfw"
            if source == "celebamask":
                face, weight = celeba_mask(image, labels, points)
            traits = traits_of(image, face, labels, points, source)
            sure = without_faults(weight, faults.get(dataset, {}).get(path.stem, []))
            yield dataset, Photograph(path.stem, image, face, weight, sure, traits)


def landmark_outline(points: Float32Array, shape_hw: tuple[int, int]) -> Pixels:
    """Fill the face outline of find_face_landmarks.

    Returns
    -------
    (h, w) uint8
        0 or 255.
    """
    mask = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(mask, [np.round(outline_points(points)).astype(np.int32)], 255)
    return mask


def measure(
    segmenter: PhotoSegmenter, dataset: str, photograph: Photograph, condition: str
) -> tuple[Row, Pixels]:
    """Segment one photograph and compare; returns the row and the predicted mask (0 or 255)."""
    result = segmenter.segment(photograph.image)
    mask = np.where(result.instances > 0, 255, 0).astype(np.uint8)
    outline = np.zeros_like(mask)
    for face in result.faces:
        outline |= landmark_outline(face.landmarks.points.astype(np.float32), photograph.face.shape)
    compared = ((mask, photograph.weight), (mask, photograph.sure), (outline, photograph.weight))
    iou, sure, bare = (masked_iou(predicted, photograph.face, weight) for predicted, weight in compared)
    found = bool(result.faces)
    return Row(dataset, condition, photograph.name, found, iou, sure, bare, photograph.traits), mask


def bootstrap_interval(values: Float32Array) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean (Efron 1979) from `BOOTSTRAP_ROUNDS` resamples."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    means = values[rng.integers(len(values), size=(BOOTSTRAP_ROUNDS, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def table(rows: list[Row]) -> str:
    """Return a Markdown table: mean, interval, without known faults, median, 10th percentile, outline."""
    lines = [
        "| set | condition | photos | found | mean IoU (95 %) | without known faults of labels | median "
        "| 10th percentile | outline |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset, condition in dict.fromkeys((row.dataset, row.condition) for row in rows):
        group = [row for row in rows if (row.dataset, row.condition) == (dataset, condition)]
        values = np.array([row.iou for row in group], np.float32)
        low, high = bootstrap_interval(values)
        lines.append(
            f"| {dataset} | {condition} | {len(group)} | {sum(row.found for row in group)} "
            f"| {values.mean():.4f} ({low:.4f}-{high:.4f}) "
            f"| {np.mean([row.sure_iou for row in group]):.4f} | {np.median(values):.4f} "
            f"| {np.percentile(values, 10):.4f} | {np.mean([row.outline_iou for row in group]):.4f} |"
        )
    return "\n".join(lines)


def trait_table(rows: list[Row]) -> str:
    """Return a Markdown table of the photographs with each trait, over all sets, as they are.

    The last column compares every photograph with the mean of its own set.
    """
    plain = [row for row in rows if row.condition == "plain"]
    means = {
        dataset: float(np.mean([row.iou for row in plain if row.dataset == dataset]))
        for dataset in {row.dataset for row in plain}
    }
    lines = [
        "| trait | photos | found | mean IoU | 10th percentile | beside its set |",
        "|---|---|---|---|---|---|",
    ]
    for trait in TRAITS:
        group = [row for row in plain if trait in row.traits]
        if not group:
            continue
        values = np.array([row.iou for row in group])
        beside = np.mean([row.iou - means[row.dataset] for row in group])
        lines.append(
            f"| {trait} | {len(group)} | {sum(row.found for row in group)} | {values.mean():.3f} "
            f"| {np.percentile(values, 10):.3f} | {beside:+.3f} |"
        )
    return "\n".join(lines)


def overlay_tile(photograph: Photograph, mask: Pixels, caption: str) -> Pixels:
    """Draw the predicted mask in red and the truth's outline in green, as a square tile."""
    tint = (np.array([255, 0, 0]) * 0.4 + photograph.image * 0.6).astype(np.uint8)
    picture = np.where(mask[:, :, None] > 0, tint, photograph.image)
    contours, _ = cv2.findContours(photograph.face, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, (0, 255, 0), max(1, picture.shape[0] // 250))
    scale = SHEET_TILE_PX / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((SHEET_TILE_PX, SHEET_TILE_PX, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    cv2.putText(tile, caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
    return tile


def write_sheet(path: Path, tiles: list[Pixels]) -> None:
    """Write tiles as one contact sheet."""
    blank = np.zeros((SHEET_TILE_PX, SHEET_TILE_PX, 3), np.uint8)
    padded = tiles + [blank] * (-len(tiles) % SHEET_COLUMNS)
    lines = [
        np.hstack(padded[start : start + SHEET_COLUMNS]) for start in range(0, len(padded), SHEET_COLUMNS)
    ]
    cv2.imwrite(str(path), np.vstack(lines)[:, :, ::-1])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write ``rows.csv`` and sheets of the best and worst photographs."""
    parser = argparse.ArgumentParser(
        description="Measure a network over the whole chain on held-out photographs."
    )
    parser.add_argument("--data", type=path_argument, required=True, help="folder of the extracted data sets")
    parser.add_argument("--out", type=path_argument, required=True, help="folder for rows.csv and the sheets")
    parser.add_argument("--config", type=path_argument, help="default: default.yaml of the program")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--conditions", nargs="+", default=[PLAIN], choices=[*CONDITIONS, *GROUPS])
    parser.add_argument("--limit", type=int, default=0, help="photographs of each set, 0 for all")
    options = parser.parse_args(arguments)
    conditions = dict.fromkeys(name for given in options.conditions for name in GROUPS.get(given, (given,)))
    config = load_config(options.config, ["faces.select=main", *options.overrides])
    segmenter = PhotoSegmenter.from_config(config)
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    tiles: list[tuple[Row, Pixels]] = []
    counts: dict[str, int] = {}
    for dataset, photograph in held_out(options.data):
        counts[dataset] = counts.get(dataset, 0) + 1
        if options.limit and counts[dataset] > options.limit:
            continue
        for condition in conditions:
            changed = ruin(photograph, condition)
            row, mask = measure(segmenter, dataset, changed, condition)
            rows.append(row)
            if condition in (PLAIN, *HARD):
                tiles.append((row, overlay_tile(changed, mask, f"{row.iou:.3f}")))
    segmenter.close()
    with (options.out / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "condition", "name", "found", "iou", "sure_iou", "outline_iou", "traits"])
        for row in rows:
            values = [f"{value:.5f}" for value in (row.iou, row.sure_iou, row.outline_iou)]
            traits = " + ".join(row.traits)
            writer.writerow([row.dataset, row.condition, row.name, row.found, *values, traits])
    for dataset in dict.fromkeys(row.dataset for row, _ in tiles):
        ranked = sorted(
            ((row, tile) for row, tile in tiles if row.dataset == dataset), key=lambda pair: pair[0].iou
        )
        stem = dataset.lower().replace(" ", "_")
        write_sheet(options.out / f"{stem}_worst.png", [tile for _, tile in ranked[:24]])
        write_sheet(options.out / f"{stem}_best.png", [tile for _, tile in ranked[-16:]])
    report = table(rows) + ("\n\n" + trait_table(rows) if "plain" in conditions else "")
    (options.out / "table.md").write_text(report + "\n", encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
