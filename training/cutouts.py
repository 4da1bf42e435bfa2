"""Cut-outs of things that get in front of faces, read into memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.data import CELEBA_HAIR, read_labels, read_prepared_landmarks, read_rgb

DARK_LENS_BRIGHTNESS = 85.0
"""Cut-outs of glasses brighter than this (median of the brightest channel) show the eyes: they are not
pasted."""

LEAST_HAIR_SHARE = 0.02
"""Portraits with less hair than this share of the picture have none worth pasting."""


@dataclass(frozen=True)
class HairCutout:
    """Hair without the head.

    Attributes
    ----------
    pixels
        (h, w, 4) uint8 RGBA.
    points
        (68, 2) float32; landmarks of the face that wore it, in the cut-out's pixels; they may lie outside
        of it.
    """

    pixels: Pixels
    points: Float32Array


@dataclass(frozen=True)
class OccluderBank:
    """Cut-outs (h, w, 4) uint8 RGBA in memory, by kind; a kind may be empty."""

    skin: list[Pixels] = field(default_factory=list)
    objects: list[Pixels] = field(default_factory=list)
    glasses: list[Pixels] = field(default_factory=list)
    medical_masks: list[Pixels] = field(default_factory=list)
    heads: list[Pixels] = field(default_factory=list)
    hair: list[HairCutout] = field(default_factory=list)


def read_rgba(path: Path) -> Pixels:
    """Read a cut-out as (h, w, 4) uint8 RGBA.

    Raises
    ------
    ValueError
        If it is unreadable or has no alpha channel.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"{path}: a picture with an alpha channel is expected")
    return np.ascontiguousarray(picture[:, :, [2, 1, 0, 3]], dtype=np.uint8)


def read_occluders(folder: Path) -> OccluderBank:
    """Read ``skin/``, ``objects/`` and ``medical_masks/`` of an occluder folder; missing ones stay empty.

    Glasses are recognised by their file name and kept only when dark. Turned medical masks (``_left``,
    ``_right``) are left out: the frontal ones are bent to the face by the landmarks.
    """
    bank = OccluderBank()
    for path in sorted((folder / "skin").glob("*.webp")):
        bank.skin.append(read_rgba(path))
    for path in sorted((folder / "objects").glob("*.webp")):
        cutout = read_rgba(path)
        if "glasses" not in path.stem:
            bank.objects.append(cutout)
            continue
        dark = np.median(cutout[cutout[:, :, 3] > 127][:, :3].max(1)) < DARK_LENS_BRIGHTNESS
        if dark and cutout.shape[1] > 1.6 * cutout.shape[0]:
            bank.glasses.append(cutout)
    for path in sorted((folder / "medical_masks").glob("*.webp")):
        if not path.stem.endswith(("_left", "_right")):
            bank.medical_masks.append(read_rgba(path))
    return bank


def read_heads(folder: Path, stems: set[str], limit: int) -> list[Pixels]:
    """Cut heads (skin, hair, ears, hats) out of CelebAMask-HQ photographs, to stand beside other faces."""
    heads: list[Pixels] = []
    for path in sorted((folder / "images").iterdir()):
        if path.stem not in stems or len(heads) >= limit:
            continue
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        alpha = np.where((labels > 0) & (labels < 15), 255, 0).astype(np.uint8)
        ys, xs = np.nonzero(alpha)
        box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        rgba = np.dstack([read_rgb(path), cv2.GaussianBlur(alpha, (3, 3), 0)])[box]
        scale = 220 / max(rgba.shape[:2])
        heads.append(
            np.asarray(cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        )
    return heads


def read_hair(folder: Path, stems: set[str], limit: int, size_px: int = 320) -> list[HairCutout]:
    """Cut hair out of CelebAMask-HQ photographs whose landmarks are known, at most `size_px` large."""
    landmarks = read_prepared_landmarks(folder)
    found: list[HairCutout] = []
    for path in sorted((folder / "images").iterdir()):
        points = landmarks.get(path.stem)
        if points is None or path.stem not in stems or len(found) >= limit:
            continue
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        alpha = np.where(labels == CELEBA_HAIR, 255, 0).astype(np.uint8)
        if (alpha > 0).mean() < LEAST_HAIR_SHARE:
            continue
        scale = min(1.0, size_px / max(alpha.shape))
        rgba = np.dstack([read_rgb(path), cv2.GaussianBlur(alpha, (3, 3), 0)])
        rgba = np.asarray(cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        ys, xs = np.nonzero(rgba[:, :, 3])
        pixels = np.ascontiguousarray(rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
        corner = np.array([xs.min(), ys.min()])
        found.append(HairCutout(pixels, ((points + 0.5) * scale - 0.5 - corner).astype(np.float32)))
    return found
