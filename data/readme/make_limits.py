"""Make the picture of where the network breaks: ``python -m data.readme.make_limits``, from the checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Pixels
from pipeline.config import load_config
from pipeline.output_pictures import overlay
from pipeline.photo import PhotoSegmenter

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "data" / "models" / "uncrop_256_limits.jpg"
SAMPLES = ("grace_hopper.jpg", "obama.jpg", "astronaut.jpg")
TILE_WH = (150, 120)
LABEL_HEIGHT_PX = 16


def covered(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """Cover nose, mouth and chin with an ellipse of one skin colour."""
    centre, width = points[33], float(np.linalg.norm(points[14] - points[2]))
    below = float(np.linalg.norm(points[8] - points[30])) * 0.75
    middle = (int(centre[0]), int(centre[1] + 0.3 * below))
    axes = (int(width * 0.5), int(below))
    return np.asarray(
        cv2.ellipse(image.copy(), middle, axes, 0, 0, 360, (208, 165, 135), -1, cv2.LINE_AA), np.uint8
    )


def darkened(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """Gamma 6 and noise."""
    dark = 255 * (image / 255.0) ** 6
    noise = np.random.default_rng(6).normal(0, 4, image.shape)
    return np.clip(dark + noise, 0, 255).astype(np.uint8)


def blurred(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """The face made 24 pixels high, and large again."""
    ratio = 24 / float(np.ptp(points[:, 1]))
    small = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def tilted(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """Turned by 70 degrees about the face."""
    centre = tuple(float(value) for value in points.mean(0))
    matrix = cv2.getRotationMatrix2D(centre, 70, 0.8)
    return np.asarray(cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0])), np.uint8)


def behind_blinds(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """Dark bars over half of the face."""
    period = max(2, round(float(np.ptp(points[:, 1])) / 8))
    barred = image.copy()
    for top in range(0, image.shape[0], period):
        barred[top : top + period // 2] = (40, 30, 25)
    return barred


def over_exposed(image: Pixels, points: NDArray[np.int64]) -> Pixels:
    """Four times the light."""
    return np.clip(image.astype(np.int32) * 4, 0, 255).astype(np.uint8)


DAMAGES: dict[str, Callable[[Pixels, NDArray[np.int64]], Pixels]] = {
    "skin-coloured cover": covered,
    "gamma 6, noise": darkened,
    "24 pixels": blurred,
    "70 degrees": tilted,
    "blinds": behind_blinds,
    "over-exposed x4": over_exposed,
}


def main() -> None:
    """Segment three damaged samples in six ways and put the overlays into a grid."""
    segmenter = PhotoSegmenter.from_config(
        load_config(ROOT / "configs" / "default.yaml", ["faces.select=main"])
    )
    rows = []
    for name in SAMPLES:
        bgr = cv2.imread(str(ROOT / "data" / "samples" / name), cv2.IMREAD_COLOR)
        assert bgr is not None
        image = np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)
        points = segmenter.segment(image).faces[0].landmarks.points.astype(np.int64)
        tiles = []
        for damage in DAMAGES.values():
            changed = damage(image, points)
            tiles.append(_tile(overlay(changed, segmenter.segment(changed).mask), points))
        rows.append(np.hstack(tiles))
    segmenter.close()
    labels = np.zeros((LABEL_HEIGHT_PX, rows[0].shape[1], 3), np.uint8)
    for index, name in enumerate(DAMAGES):
        place = (index * TILE_WH[0] + 4, LABEL_HEIGHT_PX - 4)
        cv2.putText(labels, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    picture = np.vstack([*rows, labels])
    cv2.imwrite(str(TARGET), picture[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, 88))


def _tile(picture: Pixels, points: NDArray[np.int64]) -> Pixels:
    """The neighbourhood of the face, at one size."""
    height = float(np.ptp(points[:, 1])) * 2.6
    size_wh = (height * TILE_WH[0] / TILE_WH[1], height)
    corner = points.mean(0) - np.array(size_wh) * (0.5, 0.5)
    scale = TILE_WH[1] / height
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, matrix, TILE_WH, flags=flags), np.uint8)


if __name__ == "__main__":
    main()
