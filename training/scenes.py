"""Light that comes from one place: a window behind the head, and dark places with the noise of a sensor.

Drawn as families much wider than the two scenes of `training.conditions`, and blind to the mask: the shadow
is a loose ellipse about the head, so that its edge says nothing of where the face ends.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.layers import Crop, face_extent

BACKLIT_SHARE = 0.6
"""Of the scenes; the others are dark."""


def relight_scene(crop: Crop, rng: np.random.Generator) -> Pixels:
    """Return the crop's picture with a window behind the head, or as of a dark place."""
    return backlit(crop, rng) if rng.random() < BACKLIT_SHARE else dark(crop.image, rng)


def backlit(crop: Crop, rng: np.random.Generator) -> Pixels:
    """Return the picture with all around the head brightened or burnt out, and the face in its own shadow.

    The shadow's edge is soft or hard, near or far, around the head alone or with shoulders, and light may
    come from one side only; over it lies a veil of stray light. A crop without a face is made dark instead.
    """
    extent = face_extent(crop)
    if extent is None:
        return dark(crop.image, rng)
    coordinates, size = extent
    image = crop.image.astype(np.float32)
    shadow = _head_shadow(coordinates.mean(0), size, crop.face.shape, rng)
    if rng.random() < 0.3:
        shadow = np.maximum(shadow, _ramp(crop.face.shape, rng))
    shadow = shadow[:, :, None]
    tint = rng.uniform(0.85, 1.15, 3) if rng.random() < 0.5 else np.ones(3)
    around = (image * rng.uniform(0.9, 1.8) + rng.uniform(0, 170)) * tint
    light = shadow * image * np.exp(rng.uniform(np.log(0.13), np.log(0.6))) + (1 - shadow) * around
    veil = cv2.GaussianBlur(1 - shadow[:, :, 0], (0, 0), rng.uniform(0.2, 0.8) * size)[:, :, None]
    return add_grain(light + veil * rng.uniform(0, 60) * tint, rng, float(np.exp(rng.uniform(-0.7, 2.0))))


def dark(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture as of a dark place: little light, often of one colour, and much noise."""
    if rng.random() < 0.7:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4)), np.uint8)
    colour = np.exp(rng.normal(0, rng.choice([0.05, 0.35]), 3))
    gain = np.exp(rng.uniform(np.log(0.17), np.log(0.6)))
    light = 255 * (image.astype(np.float32) / 255) ** rng.uniform(0.8, 1.9) * gain * colour
    if rng.random() < 0.3:
        light = light * (1 - 0.8 * _ramp(image.shape[:2], rng))[:, :, None]
    return add_grain(light, rng, float(rng.uniform(1.5, 14)))


def add_grain(light: Float32Array, rng: np.random.Generator, sigma: float) -> Pixels:
    """Return light (h, w, 3) 0..255 with the noise of a sensor: some everywhere, more in the light.

    Its grains are as large as pixels or, as in enlarged photographs, up to twice that, coloured or not.
    """
    height, width = light.shape[:2]
    share = rng.uniform(0.5, 1.0) if rng.random() < 0.6 else 1.0
    channels = 3 if rng.random() < 0.75 else 1
    grain = rng.standard_normal((round(height * share), round(width * share), channels), np.float32)
    if share < 1:
        grain = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        grain = grain.reshape(height, width, channels)
    shot = rng.uniform(0.02, 0.25) * sigma * np.maximum(light, 0)
    noisy = light + grain * np.sqrt(sigma**2 + shot)
    return np.asarray(np.clip(noisy, 0, 255).round(), np.uint8)


def _head_shadow(
    centre: Float32Array, size: float, shape_hw: tuple[int, ...], rng: np.random.Generator
) -> Float32Array:
    """Draw a head's shadow, 0..1: an ellipse about it, often with shoulders below, its edge blurred."""
    shadow = np.zeros(shape_hw, np.uint8)
    x, y = centre + np.array([rng.normal(0, 0.08), rng.uniform(-0.3, 0.08)]) * size
    axes = (size * rng.uniform(0.5, 1.2), size * rng.uniform(0.65, 1.4))
    cv2.ellipse(shadow, ((x, y), (2 * axes[0], 2 * axes[1]), rng.normal(0, 10)), (255,), -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        spot = (x + rng.normal(0, 0.1) * size, y + size * rng.uniform(1.4, 2.0))
        breadth = (size * rng.uniform(1.6, 3.4), size * rng.uniform(1.2, 2.2))
        cv2.ellipse(shadow, (spot, breadth, 0.0), (255,), -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), size * np.exp(rng.uniform(-3.7, -1.2)))
    return np.asarray(soft / 255, np.float32)


def _ramp(shape_hw: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Draw a soft step across the picture, 0..1, in any direction."""
    along = along_direction(shape_hw, rng.uniform(0, 2 * np.pi)) + rng.uniform(-0.3, 0.3)
    return soft_step(along, rng.uniform(0.03, 0.3))


def along_direction(shape_hw: tuple[int, ...], angle: float) -> Float32Array:
    """Return how far pixels lie along a direction (radians), (h, w), the picture's sides being 1 long."""
    height, width = shape_hw[:2]
    xs = (np.arange(width, dtype=np.float32) / width - 0.5)[None]
    ys = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    return np.asarray(xs * math.cos(angle) + ys * math.sin(angle), np.float32)


def soft_step(along: Float32Array, softness: float) -> Float32Array:
    """Return a step from 0 to 1 where `along` passes 0, the softer the wider."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(along / softness, -20, 20))), np.float32)
