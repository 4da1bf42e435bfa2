"""Glasses on the eyes: dark ones, which hide the face, and clear ones, which belong to it."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.cutouts import OccluderBank
from training.layers import Crop, place

REFLECTING_SHARE = 0.25
"""Of the dark glasses, so many mirror something."""


def sunglasses_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """Dark glasses on the eyes: a cut-out, or drawn lenses with a frame."""
    points = crop.points
    if points is None:
        return None
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    distance = float(np.linalg.norm(right - left))
    if distance < 8:
        return None
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    centre = (left + right) / 2
    if bank.glasses and rng.random() < 0.5:
        cutout = bank.glasses[rng.integers(len(bank.glasses))]
        if rng.random() < 0.5:
            cutout = np.ascontiguousarray(cutout[:, ::-1])
        layer = place(
            cutout, (float(centre[0]), float(centre[1])), distance * rng.uniform(2.0, 2.5), angle, crop
        )
        return reflect(layer, bank, rng) if rng.random() < REFLECTING_SHARE else layer
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    colour = rng.integers(0, 70, 3)
    frame = rng.integers(0, 200, 3) if rng.random() < 0.3 else colour // 2
    _draw_glasses(layer, (left, right), distance, angle, rng, lens=colour, frame=frame)
    if rng.random() < 0.4:
        shade = np.linspace(rng.uniform(0.7, 1), rng.uniform(1, 2.2), layer.shape[0], dtype=np.float32)[
            :, None, None
        ]
        layer[:, :, :3] = np.clip(layer[:, :, :3] * shade, 0, 150).astype(np.uint8)
    if rng.random() < REFLECTING_SHARE:
        layer = reflect(layer, bank, rng)
    return np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8)


def reflect(layer: Pixels, bank: OccluderBank, rng: np.random.Generator) -> Pixels:
    """Return a layer of dark glasses that mirror something: lamps, or a thing of any colours.

    Mirrored skin is left out: networks that saw it took clear glasses for dark ones.
    """
    height, width = layer.shape[:2]
    if rng.random() < 0.5 and bank.objects:
        thing = bank.objects[rng.integers(len(bank.objects))]
        scene = np.asarray(cv2.resize(thing[:, :, :3], (width, height)), np.float32)
    else:
        scene = _lamps(layer, rng)
    scene = cv2.GaussianBlur(scene, (0, 0), width * rng.uniform(0.002, 0.02)) * rng.uniform(0.1, 0.6)
    mirroring = layer.copy()
    mirroring[:, :, :3] = np.clip(layer[:, :, :3] * rng.uniform(0.6, 1.0) + scene, 0, 255).astype(np.uint8)
    return mirroring


def _lamps(layer: Pixels, rng: np.random.Generator) -> Float32Array:
    """Draw a few bright spots on what is opaque in a layer, on black (h, w, 3)."""
    scene = np.zeros((layer.shape[0], layer.shape[1], 3), np.float32)
    ys, xs = np.nonzero(layer[:, :, 3] > 127)
    for _ in range(int(rng.integers(1, 4)) if len(xs) else 0):
        at = int(rng.integers(len(xs)))
        axes = tuple(max(1, int(layer.shape[1] * rng.uniform(0.01, most))) for most in (0.09, 0.05))
        light = float(rng.uniform(120, 255))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(scene, (int(xs[at]), int(ys[at])), axes, turn, 0, 360, (light, light, light), -1)
    return scene


def _draw_glasses(
    layer: Pixels,
    eyes: tuple[Float32Array, Float32Array],
    distance: float,
    angle: float,
    rng: np.random.Generator,
    *,
    lens: Pixels | np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None,
    frame: Pixels | np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> None:
    """Draw two lenses (filled when `lens` is a colour), their frame, bridge and arms into an RGBA layer."""
    thickness = max(1, round(distance * rng.uniform(0.02, 0.1)))
    axes = (distance * rng.uniform(0.33, 0.44), distance * rng.uniform(0.2, 0.38))
    exponent = rng.uniform(0.55, 1.0)
    turn = np.linspace(0, 2 * math.pi, 40)
    shape = np.stack(
        [np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** exponent * axes[0],
         np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** exponent * axes[1]], 1
    )  # fmt: skip
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    drop = rng.uniform(-0.02, 0.12) * distance
    down, along = rotation @ np.array([0.0, 1.0]) * drop, rotation @ np.array([1.0, 0.0])
    frame_rgba = (*(int(value) for value in frame), 255)
    centres = [eye + down for eye in eyes]
    outlines = [(shape @ rotation.T + centre).round().astype(np.int32) for centre in centres]
    if lens is not None:
        for outline in outlines:
            cv2.fillPoly(layer, [outline], (*(int(value) for value in lens), int(rng.integers(225, 256))))
    for outline in outlines:
        cv2.polylines(layer, [outline], True, frame_rgba, thickness, cv2.LINE_AA)
    inner = [centres[0] + along * axes[0], centres[1] - along * axes[0]]
    outer = [centres[0] - along * axes[0], centres[1] + along * axes[0]]
    cv2.line(layer, _pixel(inner[0]), _pixel(inner[1]), frame_rgba, thickness, cv2.LINE_AA)
    for start, sign in zip(outer, (-1.0, 1.0), strict=True):
        end = start + along * sign * distance * 0.45
        cv2.line(layer, _pixel(start), _pixel(end), frame_rgba, thickness, cv2.LINE_AA)


def _pixel(point: Float32Array | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def add_clear_glasses(crop: Crop, rng: np.random.Generator) -> Crop:
    """Draw clear glasses on the eyes. They belong to the face: only the pixels change, never the mask."""
    points = crop.points
    if points is None:
        return crop
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    distance = float(np.linalg.norm(right - left))
    if distance < 12:
        return crop
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    frame = rng.integers(0, 90, 3) if rng.random() < 0.7 else rng.integers(60, 220, 3)
    _draw_glasses(layer, (left, right), distance, angle, rng, lens=None, frame=frame)
    if rng.random() < 0.4:
        for eye in (left, right):
            spot = (eye + rng.normal(0, 0.12, 2) * distance).astype(np.float32)
            axes = (max(1, int(distance * 0.15)), max(1, int(distance * 0.06)))
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(
                layer, _pixel(spot), axes, turn, 0, 360, (255, 255, 255, int(rng.integers(40, 150))), -1
            )
    layer = np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8)
    near_face = cv2.dilate(crop.face, np.ones((3, 3), np.uint8)) > 0
    share = (layer[:, :, 3].astype(np.float32) / 255.0 * near_face)[:, :, None]
    image = (crop.image * (1.0 - share) + layer[:, :, :3] * share).round().astype(np.uint8)
    return replace(crop, image=image)
