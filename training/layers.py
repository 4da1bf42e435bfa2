"""Crops, and layers over them.

Every paste is an RGBA layer of the crop's size. `composite` blends it in and takes its pixels from the face
mask, so that no occluder can be left marked as face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels

COVERED_ALPHA = 0.35
"""A layer this opaque hides the face: the pixel is no longer face. Thinner it counts in part."""


@dataclass(frozen=True)
class Crop:
    """A crop on its way to the network.

    Attributes
    ----------
    image
        (h, w, 3) uint8 RGB.
    face, weight
        (h, w) uint8; as in `training.data.Sample`.
    points
        (68, 2) float32 or None; landmarks in the crop's pixels.
    """

    image: Pixels
    face: Pixels
    weight: Pixels
    points: Float32Array | None


def composite(crop: Crop, layer: Pixels) -> Crop:
    """Blend an RGBA layer of the crop's size over it; covered pixels are not face, and certain to be so."""
    alpha = layer[:, :, 3]
    share = (alpha.astype(np.float32) / 255.0)[:, :, None]
    image = (crop.image * (1.0 - share) + layer[:, :, :3] * share).round().astype(np.uint8)
    hidden = np.clip(alpha.astype(np.float32) / (255.0 * COVERED_ALPHA), 0.0, 1.0)
    face = (crop.face * (1.0 - hidden)).astype(np.uint8)
    weight = np.where(alpha >= 255 * COVERED_ALPHA, np.uint8(255), crop.weight)
    return replace(crop, image=image, face=face, weight=weight)


def warp_layer(cutout: Pixels, matrix: Float32Array, shape_hw: tuple[int, int]) -> Pixels:
    """Bring a cut-out into a transparent layer of `shape_hw` by a 2x3 affine matrix (cut-out to crop)."""
    scale = math.sqrt(max(abs(float(np.linalg.det(matrix[:, :2]))), 1e-6))
    if scale < 0.6:
        shrink = max(scale, 0.05)
        small = cv2.resize(cutout, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, 0] *= cutout.shape[1] / small.shape[1]
        matrix[:, 1] *= cutout.shape[0] / small.shape[0]
        cutout = np.asarray(small, np.uint8)
    layer = cv2.warpAffine(
        cutout,
        matrix,
        (shape_hw[1], shape_hw[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(layer, np.uint8)


def affine(source: list[tuple[float, float]], target: list[tuple[float, float]]) -> Float32Array:
    """Return the 2x3 affine matrix that takes three points to three others."""
    return np.asarray(
        cv2.getAffineTransform(np.array(source, np.float32), np.array(target, np.float32)), np.float32
    )


def face_extent(crop: Crop) -> tuple[Float32Array, float] | None:
    """Return x and y of the face's pixels (n, 2) and the root of their number, about the face's width."""
    ys, xs = np.nonzero(crop.face > 127)
    if len(xs) < 60:
        return None
    return np.stack([xs, ys], 1).astype(np.float32), math.sqrt(len(xs))


def place(cutout: Pixels, centre: tuple[float, float], width_px: float, angle: float, crop: Crop) -> Pixels:
    """Return a layer with a cut-out turned by `angle` (radians), its longer side `width_px`, at `centre`."""
    height, width = cutout.shape[:2]
    scale = width_px / max(height, width)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]], np.float32)
    matrix[:, 2] = np.array(centre) - matrix[:, :2] @ np.array([width / 2, height / 2])
    return warp_layer(cutout, matrix, (crop.face.shape[0], crop.face.shape[1]))


def shading(cutout: Pixels) -> Float32Array:
    """Return the brightness of every pixel of a cut-out over the mean of the opaque ones, (h, w, 1)."""
    brightness = cutout[:, :, :3].mean(2, keepdims=True, dtype=np.float32)
    opaque = brightness[cutout[:, :, 3] > 127]
    return np.asarray(brightness / max(float(opaque.mean()) if len(opaque) else 0.0, 12.0), np.float32)
