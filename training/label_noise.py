"""How exact are the labels? Labelled and predicted outlines against the photograph's own clear edges.

    python -m training.label_noise --data DIR --network data/models/uncrop_256.caffemodel

Where hair, background or clothes meet the face in one strong step of colour, the step says where the outline
is, without a person's hand. Such edges are looked for across both outlines, the labelled and the predicted
one, so that neither is favoured. How far each outline passes from them, over the width of the face, says
which of the two is the more exact there: a label that lies further from the edges than the prediction cannot
tell how good the prediction is.

Outlines that lie further than `REACH` from an edge mostly find none, so gross faults do not count; and of
exact masks of 100 or 280 pixels the figures are not 0 but 0.1 % (the pixel grid).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float32Array, Pixels
from pipeline.files import path_argument
from training.augment import NETWORK_SIZE_PX, crop_box
from training.data import read_labels, read_prepared_landmarks, read_rgb
from training.datasets import CELEBA_FOLDER, LFW_FOLDER, is_celeba_validation, is_lfw_validation
from training.export import load_network
from training.network import FaceNetwork
from training.scoring import predict_logits

FACE_PX = 400
"""Photographs and masks are enlarged to faces of this width, so that the pixel grid counts less."""

REACH, SAMPLES = 0.03, 31
"""Edges are looked for this far to either side of an outline (over the face's width), at so many places."""

BLUR = 0.004
"""Gaussian blur (sigma over the face's width, at least 0.8 pixels) before colours are compared."""

CLEAR_STEP, SECOND_SHARE, NEIGHBOUR_SHARE = 40.0, 0.5, 0.2
"""An edge is clear if colours differ by this much across it (Euclidean, 0..441) and no step further away than
`NEIGHBOUR_SHARE` of the search line is more than `SECOND_SHARE` as steep."""

FEWEST_EDGES = 30
"""Photographs with fewer clear edge points are left out."""


@dataclass(frozen=True)
class EdgeDistances:
    """Distances of one photograph's outlines from its clear edges, in per cent of the face's width.

    Attributes
    ----------
    label, predicted
        (n,) float32; signed, positive where the edge lies inside of the mask, at the same n edge points.
    exact_iou
        Intersection over union with the label that an outline would have which passes from it as far
        everywhere as the clear edges do, half of it inside, half of it outside.
    """

    label: Float32Array
    predicted: Float32Array
    exact_iou: float


def signed_distance(mask: Pixels) -> Float32Array:
    """Return the distance (h, w) in pixels from the edge of a mask (0 or 255), positive inside."""
    inside = (mask > 127).astype(np.uint8)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.where(inside > 0, within - 0.5, 0.5 - beyond), np.float32)


def outline_length(mask: Pixels) -> float:
    """Return the length in pixels of a mask's outline, holes included: the total slope of its soft edge."""
    soft = cv2.GaussianBlur((mask > 127).astype(np.float32), (0, 0), 2.0)
    rows, columns = np.gradient(soft)
    return float(np.hypot(rows, columns).sum())


def clear_edges(image: Pixels, mask: Pixels, face_width_px: float) -> Float32Array:
    """Find the photograph's clear edges near the outline of a mask.

    Parameters
    ----------
    image
        (h, w, 3) uint8.
    mask
        (h, w) uint8; 0 or 255.
    face_width_px

    Returns
    -------
    (n, 2) float32
        x and y of the steepest place on each line across the outline that has a clear one.
    """
    smooth = cv2.GaussianBlur(signed_distance(mask), (0, 0), 1.5)
    outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not outlines:
        return np.zeros((0, 2), np.float32)
    columns, rows = np.concatenate([outline[:, 0] for outline in outlines]).T
    normals = np.stack(
        [cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3)[rows, columns] for dx in (1, 0)], 1
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    places = np.linspace(-REACH, REACH, SAMPLES, dtype=np.float32) * np.float32(face_width_px)
    xs = (columns[:, None] + places * normals[:, :1]).astype(np.float32)
    ys = (rows[:, None] + places * normals[:, 1:]).astype(np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), max(0.8, BLUR * face_width_px)).astype(np.float32)
    colours = cv2.remap(blurred, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    steepness = np.linalg.norm(np.diff(colours, axis=1), axis=2)
    steepest = steepness.argmax(1)
    away = np.abs(np.arange(SAMPLES - 1)[None] - steepest[:, None]) > NEIGHBOUR_SHARE * SAMPLES
    second = np.where(away, steepness, 0).max(1)
    height, width = mask.shape
    clear = (
        (second < SECOND_SHARE * steepness.max(1))
        & (np.linalg.norm(colours[:, -1] - colours[:, 0], axis=1) > CLEAR_STEP)
        & (steepest > 0)
        & (steepest < SAMPLES - 2)
        & ((xs > 1) & (xs < width - 2) & (ys > 1) & (ys < height - 2)).all(1)
    )
    lines = np.flatnonzero(clear)
    at = steepest[lines]
    return np.stack([(line[lines, at] + line[lines, at + 1]) / 2 for line in (xs, ys)], 1).astype(np.float32)


def edge_distances(image: Pixels, label: Pixels, predicted: Pixels, face_width_px: float) -> EdgeDistances:
    """Measure how far two outlines, masks (h, w) of 0 or 255, pass from the clear edges near either."""
    enlarged = max(1.0, FACE_PX / face_width_px)
    if enlarged > 1:
        image, label, predicted = (
            np.asarray(cv2.resize(picture, None, fx=enlarged, fy=enlarged), np.uint8)
            for picture in (image, label, predicted)
        )
        face_width_px *= enlarged
    label, predicted = (np.where(mask > 127, 255, 0).astype(np.uint8) for mask in (label, predicted))
    edges = np.concatenate([clear_edges(image, mask, face_width_px) for mask in (label, predicted)])
    found = []
    for mask in (label, predicted):
        xs, ys = edges[:, 0].reshape(-1, 1), edges[:, 1].reshape(-1, 1)
        if len(edges):
            distance = cv2.remap(signed_distance(mask), xs, ys, cv2.INTER_LINEAR)[:, 0]
        else:
            distance = np.zeros(0, np.float32)
        found.append(np.asarray(distance, np.float32))
    length_px = outline_length(label)
    area_px = max(int((label > 127).sum()), 1)
    wrong = float(np.abs(found[0]).mean()) * length_px / area_px if len(edges) else 0.0
    percent = np.float32(100 / face_width_px)
    return EdgeDistances(found[0] * percent, found[1] * percent, (1 - wrong / 2) / (1 + wrong / 2))


def predict_mask(network: FaceNetwork, image: Pixels, points: Float32Array) -> Pixels:
    """Segment the face of landmarks (68, 2) in a photograph (h, w, 3), at its size."""
    height, width = image.shape[:2]
    x, y, box_width, box_height = (int(value) for value in crop_box(points, (width, height), clamp=True))
    size_wh = (NETWORK_SIZE_PX, NETWORK_SIZE_PX)
    crop = cv2.resize(image[y : y + box_height, x : x + box_width], size_wh, interpolation=cv2.INTER_CUBIC)
    logits = cv2.resize(predict_logits(network, np.asarray(crop, np.uint8)), (box_width, box_height))
    mask = np.zeros((height, width), np.uint8)
    mask[y : y + box_height, x : x + box_width] = np.where(logits > 0, 255, 0)
    return mask


def measure_folder(network: FaceNetwork, folder: Path, keep: Callable[[str], bool]) -> list[EdgeDistances]:
    """Measure the photographs of a prepared folder that `keep` wants, with both masks and edges enough."""
    landmarks = read_prepared_landmarks(folder)
    measured = []
    for path in sorted((folder / "images").iterdir()):
        points = landmarks.get(path.stem)
        if points is None or not keep(path.stem):
            continue
        image = read_rgb(path)
        label = read_labels(folder / "masks" / f"{path.stem}.png")
        width_px = float(np.linalg.norm(points[16] - points[0]))
        predicted = predict_mask(network, image, points)
        if not (label.any() and predicted.any()):
            continue
        distances = edge_distances(image, label, predicted, width_px)
        if len(distances.label) >= FEWEST_EDGES:
            measured.append(distances)
    return measured


def mean_distance(photographs: list[Float32Array]) -> float:
    """Return the mean of the photographs' mean absolute distances."""
    return float(np.mean([np.abs(distances).mean() for distances in photographs]))


def spread(photographs: list[Float32Array]) -> float:
    """Return the mean absolute distance once the shift that a whole set's outlines share is taken off."""
    shift = float(np.mean([distances.mean() for distances in photographs]))
    return mean_distance([np.asarray(distances - shift, np.float32) for distances in photographs])


def summarise(measured: list[EdgeDistances]) -> str:
    """Return one line on a set."""
    labels: list[npt.NDArray[np.float32]] = [distances.label for distances in measured]
    predicted = [distances.predicted for distances in measured]
    pairs = zip(predicted, labels, strict=True)
    closer = np.mean([np.abs(one).mean() < np.abs(other).mean() for one, other in pairs])
    exact = np.mean([distances.exact_iou for distances in measured])
    return (
        f"{len(measured)} photographs; distance from clear edges in % of the face's width: "
        f"label {mean_distance(labels):.2f} (shift taken off: {spread(labels):.2f}), "
        f"network {mean_distance(predicted):.2f} ({spread(predicted):.2f}); network closer in {closer:.0%}; "
        f"an outline on the edges would score {exact:.3f} against the labels"
    )


def main() -> None:
    """Measure the held-out photographs of the data sets below ``--data``."""
    parser = argparse.ArgumentParser(description="Compare labels and predictions with clear edges.")
    parser.add_argument("--data", type=path_argument, required=True)
    parser.add_argument("--network", type=path_argument, default=Path("data/models/uncrop_256.caffemodel"))
    options = parser.parse_args()
    sets = {CELEBA_FOLDER: is_celeba_validation, LFW_FOLDER: is_lfw_validation}
    found = [name for name in sets if (options.data / name).is_dir()]
    if not found:
        parser.error(f"{options.data}: no {' and no '.join(sets)}; extract them there")
    network = load_network(options.network)
    for name in found:
        measured = measure_folder(network, options.data / name, sets[name])
        print(f"{name}: {summarise(measured) if measured else 'no photograph has clear edges'}")


if __name__ == "__main__":
    main()
