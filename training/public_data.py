"""Readers of the data sets as their authors publish them: CelebAMask-HQ, LaPa, and the LFW part labels.

Where a data set has no 68 landmarks, a function that finds them in a photograph is asked (`MainFaceFinder` of
`training.pseudo` is this project's own chain).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.data import (
    LFW_EDGE_PX,
    LFW_EDGE_WEIGHT,
    Sample,
    celeba_mask,
    hair_frequency,
    make_sample,
    read_labels,
    read_rgb,
    soften_edges,
)

LandmarkFinder = Callable[[Pixels], Float32Array | None]
"""Takes (h, w, 3) uint8 RGB, returns (68, 2) float32 of the main face or None."""

CELEBA_PARTS = {
    "skin": 1, "nose": 2, "eye_g": 3, "l_eye": 4, "r_eye": 5, "l_brow": 6, "r_brow": 7, "l_ear": 8, "r_ear":
    9, "mouth": 10, "u_lip": 11, "l_lip": 12, "hair": 13, "hat": 14, "ear_r": 15, "neck_l": 16, "neck": 17,
    "cloth": 18,
}  # fmt: skip
"""File name parts of CelebAMask-HQ-mask-anno and their classes; later ones cover earlier ones where both
are set."""

LAPA_FACE = (1, 2, 3, 4, 5, 6, 7, 8, 9)
"""LaPa classes that are face: skin, brows, eyes, nose, lips and mouth; 10 is hair (Liu et al., AAAI 2020)."""

LAPA_TO_68 = (
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 55), *range(58, 63),
    66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82, *range(84, 104),
)  # fmt: skip
"""Which of LaPa's 106 points stand for the 68 of iBUG 300-W."""

SKIN_CHANNEL, HAIR_CHANNEL = 1, 0
"""LFW part labels are pictures: red hair, green skin, blue background (Kae et al., CVPR 2013)."""

LFW_NECK_PX = 2
"""How far below the jaw landmarks skin still counts as face."""


def read_celebamask_hq(folder: Path, keep: Callable[[str], bool], find: LandmarkFinder) -> Iterator[Sample]:
    """Read ``CelebA-HQ-img/<n>.jpg`` and ``CelebAMask-HQ-mask-anno/<n // 2000>/<nnnnn>_<part>.png``.

    Photographs are shrunk to the 512 pixels of their labels.

    Raises
    ------
    ValueError
        If the folder has not this layout.
    """
    images, parts = folder / "CelebA-HQ-img", folder / "CelebAMask-HQ-mask-anno"
    if not images.is_dir() or not parts.is_dir():
        raise ValueError(
            f"{folder}: CelebA-HQ-img/ and CelebAMask-HQ-mask-anno/ are expected; unpack CelebAMask-HQ there"
        )
    for path in sorted(images.glob("*.jpg"), key=lambda item: int(item.stem)):
        if not keep(path.stem):
            continue
        labels: Pixels | None = None
        for part, value in CELEBA_PARTS.items():
            part_path = parts / str(int(path.stem) // 2000) / f"{int(path.stem):05d}_{part}.png"
            if not part_path.is_file():
                continue
            drawn = cv2.imread(str(part_path), cv2.IMREAD_GRAYSCALE)
            if drawn is None:
                raise ValueError(f"{part_path}: not a readable picture; unpack it again")
            labels = np.zeros(drawn.shape, np.uint8) if labels is None else labels
            labels[drawn > 127] = value
        if labels is None:
            continue
        size_wh = (labels.shape[1], labels.shape[0])
        image = np.asarray(cv2.resize(read_rgb(path), size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        points = find(image)
        face, weight = celeba_mask(image, labels, points)
        frequency = hair_frequency(image, labels == CELEBA_PARTS["hair"], face)
        sample = make_sample(path.stem, "celebamask", image, face, weight, points, frequency=frequency)
        if sample is not None:
            yield sample


def read_lapa(folder: Path, keep: Callable[[str], bool]) -> Iterator[Sample]:
    """Read one part of LaPa (``train``, ...): ``images/``, ``labels/`` and ``landmarks/`` (106 points).

    Raises
    ------
    ValueError
        If the folder has not this layout or a landmark file has not 106 points.
    """
    if not all((folder / name).is_dir() for name in ("images", "labels", "landmarks")):
        raise ValueError(
            f"{folder}: images/, labels/ and landmarks/ are expected; give one part of LaPa, such as train"
        )
    for path in sorted((folder / "images").glob("*.jpg")):
        if not keep(path.stem):
            continue
        text = (folder / "landmarks" / f"{path.stem}.txt").read_text(encoding="utf-8").split()
        if int(text[0]) != 106 or len(text) != 213:
            raise ValueError(
                f"{folder / 'landmarks' / path.stem}.txt: the number 106 and 106 points are expected"
            )
        points = np.array(text[1:], np.float32).reshape(106, 2)[list(LAPA_TO_68)]
        image, labels = read_rgb(path), read_labels(folder / "labels" / f"{path.stem}.png")
        face = np.where(np.isin(labels, LAPA_FACE), 255, 0).astype(np.uint8)
        sample = make_sample(path.stem, "lapa", image, face, np.full(face.shape, 255, np.uint8), points)
        if sample is not None:
            yield sample


def read_lfw_parts(folder: Path, keep: Callable[[str], bool], find: LandmarkFinder) -> Iterator[Sample]:
    """Read ``lfw_funneled/<person>/<stem>.jpg`` and ``parts_lfw_funneled_gt_images/<stem>.ppm``.

    The labels' skin holds neck and ears, and beards are hair: see `lfw_mask`. Photographs in which no face is
    found are left out.

    Raises
    ------
    ValueError
        If the folder has not this layout.
    """
    images, labels_folder = folder / "lfw_funneled", folder / "parts_lfw_funneled_gt_images"
    if not images.is_dir() or not labels_folder.is_dir():
        raise ValueError(f"{folder}: lfw_funneled/ and parts_lfw_funneled_gt_images/ are expected")
    for path in sorted(labels_folder.glob("*.ppm")):
        photograph = images / path.stem.rpartition("_")[0] / f"{path.stem}.jpg"
        if not keep(path.stem) or not photograph.is_file():
            continue
        image = read_rgb(photograph)
        points = find(image)
        if points is None:
            continue
        parts = read_rgb(path)
        face = lfw_mask(parts, points)
        weight = soften_edges(
            face, np.full(face.shape, 255, np.uint8), radius_px=LFW_EDGE_PX, edge_weight=LFW_EDGE_WEIGHT
        )
        frequency = hair_frequency(image, parts[:, :, HAIR_CHANNEL] > 127, face)
        sample = make_sample(path.stem, "lfw", image, face, weight, points, frequency=frequency)
        if sample is not None:
            yield sample


def lfw_mask(parts: Pixels, points: Float32Array) -> Pixels:
    """Turn LFW part labels into a face mask: skin above the jaw and between the ears, beard filled in.

    Parameters
    ----------
    parts
        (h, w, 3) uint8 RGB; the label picture.
    points
        (68, 2) float32; landmarks.

    Returns
    -------
    (h, w) uint8
        0 or 255.
    """
    height, width = parts.shape[:2]
    skin = parts[:, :, SKIN_CHANNEL] > 127
    jaw = points[:17].copy()
    jaw[:, 1] += LFW_NECK_PX
    above = np.array([[jaw[16][0], 0.0], [jaw[0][0], 0.0]], np.float32)
    limits = np.zeros((height, width), np.uint8)
    cv2.fillPoly(limits, [np.round(np.vstack([jaw, above])).astype(np.int32)], 255)
    below_eyes = np.zeros((height, width), np.uint8)
    lower = np.vstack([points[2:15], points[[29]]])
    cv2.fillPoly(below_eyes, [np.round(lower).astype(np.int32)], 255)
    beard = (parts[:, :, HAIR_CHANNEL] > 127) & (below_eyes > 0)
    return np.where((skin | beard) & (limits > 0), 255, 0).astype(np.uint8)
