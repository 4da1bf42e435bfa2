"""Self-training: label photographs without masks by a trained network, where it is sure.

    python -m training.pseudo --teacher data/models/uncrop_256.caffemodel --photos DIR --out DIR

The result has the layout of the other prepared data sets (its ``labels/`` hold the weight of every pixel) and
goes to ``training.train --pseudo DIR``. The teacher looks at every crop four times (two scales, mirrored);
pixels whose averaged probability is not near 0 or 1 get no weight, and photographs with too many of them are
left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from landmarks.finder import FaceFinder
from landmarks.predictor import predictor_path
from landmarks.selection import select_faces
from pipeline.files import path_argument
from training.augment import NETWORK_SIZE_PX, crop_box
from training.data import read_rgb
from training.export import load_network
from training.network import FaceNetwork
from training.scoring import predict_logits

SURE_LOW, SURE_HIGH = 0.1, 0.9
"""Averaged probabilities between the two are not trusted."""

MAX_UNSURE_SHARE = 0.4
"""Photographs with more unsure pixels than this share of the face are left out."""

TEACHER_SIZES_PX = (NETWORK_SIZE_PX, NETWORK_SIZE_PX + 64)


class MainFaceFinder:
    """Finds the landmarks of the main face with the project's own detector chain."""

    def __init__(self) -> None:
        self._finder = FaceFinder.load(predictor=predictor_path())

    def __call__(self, image: Pixels) -> Float32Array | None:
        """Return (68, 2) float32 of the main face of (h, w, 3) uint8 RGB, or None."""
        chosen = select_faces(self._finder.find(image), (image.shape[1], image.shape[0]), "main")
        return chosen[0].points.astype(np.float32) if chosen else None


def teacher_probability(network: FaceNetwork, image: Pixels, points: Float32Array) -> Float32Array:
    """Return the probability of face (h, w) of a photograph, 0 outside of the face's crop box."""
    height, width = image.shape[:2]
    x, y, box_width, box_height = (int(value) for value in crop_box(points, (width, height), clamp=True))
    pixels = image[y : y + box_height, x : x + box_width]
    votes = []
    for size in TEACHER_SIZES_PX:
        resized = np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
        for mirrored in (False, True):
            logits = predict_logits(network, np.ascontiguousarray(resized[:, ::-1]) if mirrored else resized)
            votes.append(cv2.resize(logits[:, ::-1] if mirrored else logits, (box_width, box_height)))
    result = np.zeros((height, width), np.float32)
    result[y : y + box_height, x : x + box_width] = 1 / (1 + np.exp(-np.clip(np.mean(votes, 0), -30, 30)))
    return result


def label_folder(network: FaceNetwork, photos: Path, out: Path) -> int:
    """Label every photograph directly in `photos` and return how many were kept.

    Existing labels in `out` are kept, so that several folders can go into one.
    """
    find = MainFaceFinder()
    for name in ("images", "masks", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    index = out / "landmarks68.json"
    landmarks = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    kept = 0
    for path in sorted(item for item in photos.iterdir() if item.suffix.lower() in (".jpg", ".png", ".webp")):
        if path.stem in landmarks:
            continue
        image = read_rgb(path)
        points = find(image)
        if points is None:
            continue
        probability = teacher_probability(network, image, points)
        face = probability > 0.5
        unsure = (probability > SURE_LOW) & (probability < SURE_HIGH)
        if not face.any() or unsure.sum() > MAX_UNSURE_SHARE * face.sum():
            continue
        cv2.imwrite(str(out / "images" / f"{path.stem}.png"), image[:, :, ::-1])
        cv2.imwrite(str(out / "masks" / f"{path.stem}.png"), np.where(face, 255, 0).astype(np.uint8))
        cv2.imwrite(str(out / "labels" / f"{path.stem}.png"), np.where(unsure, 0, 255).astype(np.uint8))
        landmarks[path.stem] = points.tolist()
        kept += 1
    index.write_text(json.dumps(landmarks), encoding="utf-8")
    return kept


def main() -> None:
    """Label the folders named on the command line."""
    parser = argparse.ArgumentParser(description="Label photographs by a trained network, where it is sure.")
    parser.add_argument(
        "--teacher", type=path_argument, required=True, help="a run's last.pt, or an exported caffemodel"
    )
    parser.add_argument(
        "--photos", type=path_argument, nargs="+", required=True, help="folders of photographs"
    )
    parser.add_argument("--out", type=path_argument, required=True)
    options = parser.parse_args()
    network = load_network(options.teacher)
    for folder in options.photos:
        print(f"{folder}: {label_folder(network, folder, options.out)} photographs labelled")


if __name__ == "__main__":
    main()
