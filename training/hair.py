"""Hair over forehead, eyes and cheeks: other people's, placed by the landmarks, and drawn strands."""

from __future__ import annotations

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.cutouts import OccluderBank
from training.layers import Crop, face_extent, shading, warp_layer

MIRRORED_POINTS = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""Which of the 68 landmarks becomes which in a mirrored picture."""

STEEPEST_STRETCH = 2.0
"""Hair is not pasted where its wearer's face would have to be stretched more than this one way than the
other."""


def wig_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """Another person's hair where it would hang on this head, often lower, of any colour, also of skin's."""
    points = crop.points
    if points is None or not bank.hair:
        return None
    wearer = bank.hair[rng.integers(len(bank.hair))]
    cutout, source = wearer.pixels, wearer.points
    if rng.random() < 0.5:
        cutout = np.ascontiguousarray(cutout[:, ::-1])
        source = source[list(MIRRORED_POINTS)] * [-1, 1] + [cutout.shape[1] - 1, 0]
    face_height = float(np.linalg.norm(points[8] - points[27]))
    down = (points[8] - points[27]) / max(face_height, 1.0)
    target = points.mean(0) + (points - points.mean(0)) * rng.uniform(0.92, 1.08)
    target = target + down * face_height * rng.uniform(-0.05, 0.2) + rng.normal(0, 0.03, 2) * face_height
    matrix = fit_affine(source, target)
    stretches = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if stretches[1] < 1e-3 or stretches[0] > STEEPEST_STRETCH * stretches[1]:
        return None
    if rng.random() < 0.35:
        cutout = _dye_hair(cutout, crop, rng)
    if rng.random() < 0.4:
        cutout = _coarsen(cutout, rng.uniform(0.25, 0.7))
    return warp_layer(cutout, matrix, (crop.face.shape[0], crop.face.shape[1]))


def fit_affine(source: Float32Array, target: Float32Array) -> Float32Array:
    """Return the 2x3 affine matrix that takes points (n, 2) to others with the least squared error."""
    padded = np.column_stack([source, np.ones(len(source))])
    solution, *_ = np.linalg.lstsq(padded, target, rcond=None)
    return np.asarray(solution.T, np.float32)


def _dye_hair(cutout: Pixels, crop: Crop, rng: np.random.Generator) -> Pixels:
    """Give hair the colour of the face's skin or nearly so, or white, grey, fair, brown or black."""
    draw, skin = rng.random(), crop.image[crop.face > 127]
    if draw < 0.3 and len(skin):
        colour = np.median(skin, axis=0) * rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    elif draw < 0.6:
        colour = rng.uniform(90, 235) * rng.uniform(0.96, 1.04, 3)
    else:
        colour = rng.uniform(20, 220) * np.array([1.0, rng.uniform(0.7, 0.95), rng.uniform(0.4, 0.8)])
    dyed = cutout.copy()
    contrast = rng.uniform(0.8, 1.3)
    dyed[:, :, :3] = np.clip((1 + (shading(cutout) - 1) * contrast) * colour, 0, 255).astype(np.uint8)
    return dyed


def _coarsen(cutout: Pixels, share: float) -> Pixels:
    """Take away the detail that a photograph of `share` of the size would not show."""
    height, width = cutout.shape[:2]
    small = cv2.resize(cutout, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def strands_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """Strands of hair that fall from above the face over forehead and cheeks."""
    extent = face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    left, top = coordinates.min(0)
    right, bottom = coordinates.max(0)
    root = np.array([rng.uniform(left, right), top - 0.1 * size])
    tip = np.array(
        [rng.uniform(left - 0.1 * size, right + 0.1 * size), rng.uniform((top + bottom) / 2, bottom)]
    )
    bend = (root + tip) / 2 + rng.normal(0, 0.25 * size, 2)
    base = rng.integers(0, 60) if rng.random() < 0.5 else rng.integers(60, 220)
    warm = np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.4, 1.0)])
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    steps = np.linspace(0, 1, 16)[:, None]
    spread = size * rng.uniform(0.02, 0.09)
    for _ in range(int(rng.integers(6, 30))):
        jitter = rng.normal(0, spread, (3, 2))
        a, b, c = root + jitter[0], bend + jitter[1], tip + jitter[2]
        curve = (1 - steps) ** 2 * a + 2 * steps * (1 - steps) * b + steps**2 * c
        colour = np.clip(base * warm * rng.uniform(0.6, 1.3), 0, 255)
        cv2.polylines(layer, [curve.round().astype(np.int32)], False, (*(int(v) for v in colour), 255),
                      max(1, int(size * rng.uniform(0.008, 0.025))), cv2.LINE_AA)  # fmt: skip
    return layer
