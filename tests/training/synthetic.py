"""Small drawn faces in the layouts the readers know; no photograph is needed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.cutouts import HairCutout, OccluderBank
from training.layers import Crop

SKIN, HAIR, BACKGROUND = (200, 150, 120), (60, 40, 30), (40, 90, 140)


def face_points(size: int = 128) -> Float32Array:
    """68 points in the usual places of a frontal face in a square picture of `size` pixels."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.25 * np.cos(turn), 0.45 + 0.38 * np.sin(turn)], 1)
    brows = np.stack(
        [np.concatenate([np.linspace(0.3, 0.45, 5), np.linspace(0.55, 0.7, 5)]), np.full(10, 0.38)], 1
    )
    nose = np.concatenate(
        [
            np.stack([np.full(4, 0.5), np.linspace(0.44, 0.58, 4)], 1),
            np.stack([np.linspace(0.44, 0.56, 5), np.full(5, 0.61)], 1),
        ]
    )
    eye = np.array([[-0.05, 0], [-0.02, -0.015], [0.02, -0.015], [0.05, 0], [0.02, 0.015], [-0.02, 0.015]])
    eyes = np.concatenate([eye + np.array([0.39, 0.45]), eye + np.array([0.61, 0.45])])
    circle = np.linspace(np.pi, 3 * np.pi, 21)[:20]
    mouth = np.stack([0.5 + 0.08 * np.cos(circle), 0.7 + 0.03 * np.sin(circle)], 1)
    return (np.concatenate([jaw, brows, nose, eyes, mouth]) * size).astype(np.float32)


def draw_face(size: int = 128) -> tuple[Pixels, Pixels]:
    """A picture of a face with hair, and its CelebAMask-HQ classes (1 skin, 13 hair, 17 neck)."""
    image = np.full((size, size, 3), BACKGROUND, np.uint8)
    labels = np.zeros((size, size), np.uint8)
    for colour, value, centre, axes in (
        (HAIR, 13, (0.5, 0.42), (0.32, 0.36)),
        (SKIN, 17, (0.5, 0.95), (0.12, 0.2)),
        (SKIN, 1, (0.5, 0.52), (0.25, 0.32)),
    ):
        middle = (round(centre[0] * size), round(centre[1] * size))
        radii = (round(axes[0] * size), round(axes[1] * size))
        cv2.ellipse(image, middle, radii, 0, 0, 360, colour, -1)
        cv2.ellipse(labels, middle, radii, 0, 0, 360, value, -1)
    return image, labels


def make_crop(size: int = 128) -> Crop:
    """The drawn face as a crop."""
    image, labels = draw_face(size)
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    return Crop(image, face, np.full_like(face, 255), face_points(size))


def make_bank(rng: np.random.Generator) -> OccluderBank:
    """One opaque cut-out of every kind."""

    def cutout(height: int, width: int) -> Pixels:
        pixels = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
        pixels[:, :, 3] = 255
        return pixels

    return OccluderBank(
        [cutout(90, 30)],
        [cutout(40, 60)],
        [cutout(12, 40)],
        [cutout(40, 60)],
        [cutout(60, 50)],
        [HairCutout(cutout(40, 60), face_points() - np.array([34, 24], np.float32))],
    )


def write_prepared(folder: Path, stems: list[str], *, size: int = 128) -> None:
    """A data set in the prepared layout; every photograph shows the drawn face."""
    image, labels = draw_face(size)
    for name in ("images", "masks", "labels"):
        (folder / name).mkdir(parents=True)
    for stem in stems:
        cv2.imwrite(str(folder / "images" / f"{stem}.png"), image[:, :, ::-1])
        cv2.imwrite(str(folder / "labels" / f"{stem}.png"), labels)
        cv2.imwrite(str(folder / "masks" / f"{stem}.png"), np.where(labels == 1, 255, 0).astype(np.uint8))
    points = face_points(size).tolist()
    (folder / "landmarks68.json").write_text(json.dumps(dict.fromkeys(stems, points)), encoding="utf-8")
