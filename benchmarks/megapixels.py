"""Photographs of one size for measurements, made of the samples, each with content of its own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
FACES = ("astronaut.jpg", "grace_hopper.jpg", "obama.jpg", "biden_rotated.jpg")
QUALITY = 92


def write_photographs(folder: Path, count: int, size_wh: tuple[int, int]) -> list[Path]:
    """Write portraits, scaled to cover the frame, shifted, some mirrored, and with their own noise.

    Parameters
    ----------
    folder
        Where to; it exists.
    count
        How many.
    size_wh
        Width and height in pixels.

    Returns
    -------
    list of Path
        JPEG files with one face each.
    """
    rng = np.random.default_rng(1)
    sources = [cv2.imread(str(SAMPLES / name), cv2.IMREAD_COLOR) for name in FACES]
    width, height = size_wh
    paths: list[Path] = []
    for index in range(count):
        source = sources[index % len(sources)]
        if source is None:
            raise FileNotFoundError(f"{SAMPLES}: samples are missing; restore data/samples")
        scale = max(width / source.shape[1], height / source.shape[0]) * rng.uniform(1.0, 1.1)
        scaled = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x = int(rng.integers(0, scaled.shape[1] - width + 1))
        picture = scaled[:height, x : x + width].astype(np.int16)
        picture += rng.integers(-3, 4, picture.shape, dtype=np.int16)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        paths.append(folder / f"{index:05}.jpg")
        encoded = np.clip(picture, 0, 255).astype(np.uint8)
        cv2.imwrite(str(paths[-1]), encoded, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return paths
