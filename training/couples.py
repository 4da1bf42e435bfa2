"""Couples cheek to cheek, made of held-out portraits, and how well each face keeps its skin.

    python -m training.couples --data DIR                                # as shipped
    python -m training.couples --data DIR --set scores.neighbours=false

Of two portraits of CelebAMask-HQ one is laid in front of the other, its left cheek on the other's right one:
once without anything left of its face, cheek to cheek, and once with its hair. Prints for the face behind and
the one in front the mean IoU, and as shares of the face what is lost, what is given to the other face, and
what belongs to neither.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float64Array, Pixels
from pipeline.config import load_config
from pipeline.files import path_argument
from pipeline.photo import PhotoSegmenter
from pipeline.results import PhotoResult
from training.data import celeba_mask, read_labels, read_prepared_landmarks, read_rgb
from training.datasets import CELEBA_FOLDER, is_celeba_validation

SIZE_WH, BEHIND_AT = (1024, 672), (60, 60)
"""Size of the pictures, and where the portrait behind lies in them."""

FRONTAL = (0.35, 0.65)
"""Where the nose is between the ends of the jaw in portraits that are taken, a share of the jaw's width."""

JAW_ENDS, CHEEKS, NOSE = (0, 16), (3, 13), 30
"""Among the 68 landmarks: the jaw's ends, a point on each cheek, the tip of the nose."""


@dataclass(frozen=True)
class Portrait:
    """A portrait: picture, 0/255 mask of its face, mask of the whole head and body, landmarks (68, 2)."""

    image: Pixels
    face: Pixels
    person: Pixels
    points: Float64Array

    @property
    def width(self) -> float:
        """Width of the jaw in pixels."""
        return float(np.linalg.norm(self.points[JAW_ENDS[1]] - self.points[JAW_ENDS[0]]))


@dataclass(frozen=True)
class Couple:
    """A made picture with the 0/255 masks of the face behind and the one in front, and their noses."""

    image: Pixels
    faces: tuple[Pixels, Pixels]
    noses: tuple[Float64Array, Float64Array]


def portraits(data: Path) -> list[Portrait]:
    """The held-out portraits below `data` that look about straight ahead."""
    folder = data / CELEBA_FOLDER
    landmarks = read_prepared_landmarks(folder)
    taken = []
    for path in sorted((folder / "images").iterdir()):
        points = landmarks.get(path.stem)
        if points is None or not is_celeba_validation(path.stem):
            continue
        at = points.astype(np.float64)
        left, right = at[JAW_ENDS[0], 0], at[JAW_ENDS[1], 0]
        if not FRONTAL[0] < (at[NOSE, 0] - left) / max(right - left, 1) < FRONTAL[1]:
            continue
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        image = read_rgb(path)
        face, _ = celeba_mask(image, labels, points)
        taken.append(Portrait(image, face, np.where(labels > 0, 255, 0).astype(np.uint8), at))
    return taken


def together(behind: Portrait, front: Portrait, rng: np.random.Generator, *, hair: bool) -> Couple:
    """Lay one portrait in front of another, cheek on cheek; with `hair` all of it, else from its face on."""
    scale = behind.width / front.width * rng.uniform(0.9, 1.1)
    move = np.asarray(cv2.getRotationMatrix2D((0, 0), rng.uniform(-12, 12), scale), np.float64)
    nearer, higher = rng.uniform(0, 0.06), rng.uniform(-0.1, 0.1)
    cheek = behind.points[CHEEKS[1]] + BEHIND_AT + behind.width * np.array([-nearer, higher])
    move[:, 2] += cheek - move[:, :2] @ front.points[CHEEKS[0]]
    image, face, person = (
        np.asarray(cv2.warpAffine(plane, move, SIZE_WH, flags=method), np.uint8)
        for plane, method in (
            (front.image, cv2.INTER_AREA),
            (front.face, cv2.INTER_NEAREST),
            (front.person, cv2.INTER_NEAREST),
        )
    )
    shown = person > 0
    if not hair:
        rows = np.flatnonzero((face > 0).any(axis=1))
        edges = np.argmax(face > 0, axis=1)
        edges[: rows[0]], edges[rows[-1] :] = edges[rows[0]], edges[rows[-1]]
        shown &= np.arange(SIZE_WH[0]) >= edges[:, None]
    far = cv2.GaussianBlur(cv2.resize(behind.image, SIZE_WH), (0, 0), 40)
    picture, hidden = np.array(far, np.uint8), np.zeros(SIZE_WH[::-1], np.uint8)
    rows_, columns = (
        slice(start, start + size) for start, size in zip(BEHIND_AT[::-1], behind.face.shape, strict=True)
    )
    picture[rows_, columns], hidden[rows_, columns] = behind.image, behind.face
    soft = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 1.0)[:, :, None]
    mixed = (picture * (1 - soft) + image * soft).round().astype(np.uint8)
    masks = np.where(shown, 0, hidden).astype(np.uint8), np.where(shown, face, 0).astype(np.uint8)
    noses = behind.points[NOSE] + BEHIND_AT, move[:, :2] @ front.points[NOSE] + move[:, 2]
    return Couple(mixed, masks, noses)


def couples(taken: list[Portrait], *, hair: bool) -> Iterator[Couple]:
    """Lay every portrait behind another one; the same ones always."""
    for number, behind in enumerate(taken):
        front = taken[(number * 7 + 11) % len(taken)]
        if front is not behind:
            yield together(behind, front, np.random.default_rng(number), hair=hair)


def shares(result: PhotoResult, couple: Couple) -> NDArray[np.float64] | None:
    """For both faces IoU, lost, given to the other, belonging to neither (2, 4); None if one is not found."""
    if len(result.faces) < 2:
        return None
    seen = np.array([face.landmarks.points[NOSE] for face in result.faces])
    found = [1 + int(np.linalg.norm(seen - nose, axis=1).argmin()) for nose in couple.noses]
    if found[0] == found[1]:
        return None
    rows = []
    for own, other in ((0, 1), (1, 0)):
        mine, truth, theirs = result.instances == found[own], couple.faces[own] > 0, couple.faces[other] > 0
        size = max(int(truth.sum()), 1)
        rows.append(
            [
                (mine & truth).sum() / max(int((mine | truth).sum()), 1),
                (truth & ~mine).sum() / size,
                (truth & (result.instances == found[other])).sum() / size,
                (mine & ~truth & ~theirs).sum() / size,
            ]
        )
    return np.array(rows)


def main(arguments: list[str] | None = None) -> None:
    """Make the couples, segment them, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=path_argument, required=True, help="folder of the extracted data sets")
    parser.add_argument("--config", type=path_argument, help="default: default.yaml of the program")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    taken = portraits(options.data)
    print("| couples | face | IoU | lost | given to the other | of neither |\n|---|---|---|---|---|---|")
    with PhotoSegmenter.from_config(load_config(options.config, options.overrides)) as segmenter:
        for name, hair in (("cheek to cheek", False), ("with hair between", True)):
            every: list[Any] = [
                shares(segmenter.segment(couple.image), couple) for couple in couples(taken, hair=hair)
            ]
            both = [rows for rows in every if rows is not None]
            for place, which in enumerate(("behind", "in front")):
                means = np.mean([rows[place] for rows in both], axis=0)
                figures = " | ".join(f"{mean:.4f}" for mean in means)
                print(f"| {len(both)} of {len(every)} {name} | {which} | {figures} |")


if __name__ == "__main__":
    main()
