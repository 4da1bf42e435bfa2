"""Labelled photographs in memory: what the training draws its crops from.

A `Sample` holds the pixels around one face, the face mask, a weight for every pixel (0: the label says
nothing here) and the 68 landmarks. The readers for other folder layouts are in `training.public_data`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float32Array, Pixels

MAX_SIDE_PX = 400
"""Photographs are kept at most this large: the network sees the face at 256 pixels a crop, and a crop is
about twice as high as the landmarks."""

CELEBA_FACE = (1, 2, 4, 5, 6, 7, 10, 11, 12)
"""CelebAMask-HQ classes that are face: skin, nose, eyes, brows, mouth and lips."""
CELEBA_GLASSES, CELEBA_HAIR = 3, 13
CLEAR_LENS_RATIO, DARK_LENS_RATIO = 0.62, 0.42
"""Median lens brightness over median skin brightness above which lenses are clear and below which they are
dark."""

LFW_HAIR = 2
LFW_EDGE_PX, LFW_EDGE_WEIGHT = 2, 0.7
"""LFW part labels are superpixels: this band around the face's edge (at 250 pixels a photograph) counts
this much."""

SPLIT_SEED = "uncrop-2018"
"""Part of the hash that decides who is held out; changing it changes every split."""


@dataclass(frozen=True)
class Sample:
    """One labelled face.

    Attributes
    ----------
    name, source, person
        Stem of the file, data set it comes from, and who it shows (the stem where nobody says).
    image
        (h, w, 3) uint8 RGB.
    face
        (h, w) uint8; 255 face, 0 not; between the two where resizing mixed them.
    weight
        (h, w) uint8; how much a pixel's label counts, 255 fully, 0 not at all.
    points
        (68, 2) float32 or None; dlib's landmarks, x and y in pixels.
    extent
        (n, 2) float32; points the crop box is computed from: the landmarks, or two corners guessed from the
        mask without them.
    frequency
        How often the sample is drawn, relative to others of its source.
    """

    name: str
    source: str
    person: str
    image: Pixels
    face: Pixels
    weight: Pixels
    points: Float32Array | None
    extent: Float32Array
    frequency: float = 1.0


def person_of(stem: str) -> str:
    """Return the person of a file name: ``First_Last`` of ``First_Last_0001``, others as they are."""
    head, _, number = stem.rpartition("_")
    return head if head and len(number) == 4 and number.isdigit() else stem


def hash_fraction(person: str) -> float:
    """Return a fraction in [0, 1) that depends on nothing but the name (SHA-256)."""
    digest = hashlib.sha256(f"{SPLIT_SEED}:{person}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def split_people(people: Sequence[str], validation_share: float) -> tuple[set[str], set[str]]:
    """Split people into training and validation by the hash of their name.

    Parameters
    ----------
    people
        Names, repeated as they may be.
    validation_share
        Expected share of validation people, 0..1.

    Returns
    -------
    (training, validation)
        Disjoint sets. A person lands on the same side whoever else is in the list.
    """
    validation = {person for person in people if hash_fraction(person) < validation_share}
    return set(people) - validation, validation


def read_rgb(path: Path) -> Pixels:
    """Read a photograph as (h, w, 3) uint8 RGB.

    Raises
    ------
    ValueError
        If the file is no picture OpenCV can read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path}: not a readable picture; remove it or fetch it again")
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def read_labels(path: Path) -> Pixels:
    """Read a single-channel label picture as (h, w) uint8.

    Raises
    ------
    ValueError
        If the file is missing, unreadable or has several channels.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ValueError(f"{path}: a single-channel label picture is expected; check the data set's folder")
    return np.asarray(labels, np.uint8)


def celeba_mask(image: Pixels, labels: Pixels, points: Float32Array | None) -> tuple[Pixels, Pixels]:
    """Turn CelebAMask-HQ classes into a face mask and weights.

    Eyeglasses (class 3) do not say whether their lenses are clear. Where the lens pixels around the eyes are
    nearly as bright as the skin the glasses inside the face outline are face, where they are dark they are
    not, between the two (or without landmarks) they have no weight.

    Returns
    -------
    face, weight
        (h, w) uint8; 0 or 255 each.
    """
    face = np.where(np.isin(labels, CELEBA_FACE), 255, 0).astype(np.uint8)
    weight = np.full(labels.shape, 255, np.uint8)
    glasses = labels == CELEBA_GLASSES
    if not glasses.any():
        return face, weight
    verdict = lens_verdict(image, labels, points)
    if verdict == "dark":
        return face, weight
    inside = np.zeros(labels.shape, np.uint8)
    if points is not None:
        cv2.fillConvexPoly(inside, cv2.convexHull(points.round().astype(np.int32)), 255)
    if verdict == "clear":
        face[glasses & (inside > 0)] = 255
        weight[glasses & (inside == 0)] = 0
    else:
        weight[glasses] = 0
    return face, weight


def lens_verdict(image: Pixels, labels: Pixels, points: Float32Array | None) -> str:
    """Say whether the glasses of a CelebAMask-HQ photograph are ``clear``, ``dark`` or ``unknown``."""
    if points is None:
        return "unknown"
    brightness = image.max(axis=2)
    eyes = np.zeros(labels.shape, np.uint8)
    for start in (36, 42):
        centre = points[start : start + 6].mean(0)
        radius = np.linalg.norm(points[start + 3] - points[start]) * 0.8
        cv2.circle(eyes, (int(centre[0]), int(centre[1])), max(int(radius), 1), 255, -1)
    lens = (labels == CELEBA_GLASSES) & (eyes > 0)
    seen_through = np.isin(labels, (4, 5)) & (eyes > 0)
    skin = np.isin(labels, (1, 2))
    if not skin.any() or not lens.any():
        return "clear" if seen_through.any() else "unknown"
    ratio = float(np.median(brightness[lens])) / max(float(np.median(brightness[skin])), 1.0)
    if ratio >= CLEAR_LENS_RATIO:
        return "clear"
    return "dark" if ratio <= DARK_LENS_RATIO and not seen_through.any() else "unknown"


def edge_band(face: Pixels, radius_px: int) -> npt.NDArray[np.bool_]:
    """Return the pixels within `radius_px` of the edge of a mask."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.asarray(cv2.dilate(face, kernel) != cv2.erode(face, kernel))


def soften_edges(face: Pixels, weight: Pixels, *, radius_px: int, edge_weight: float) -> Pixels:
    """Return `weight` with the band around the face's edge scaled by `edge_weight`, for coarse labels."""
    softened = weight.copy()
    band = edge_band(face, radius_px)
    softened[band] = (softened[band] * edge_weight).astype(np.uint8)
    return softened


def make_sample(
    name: str,
    source: str,
    image: Pixels,
    face: Pixels,
    weight: Pixels,
    points: Float32Array | None,
    *,
    person: str | None = None,
    frequency: float = 1.0,
) -> Sample | None:
    """Shrink a labelled photograph to `MAX_SIDE_PX` and work out the points its crop box comes from.

    Returns
    -------
    Sample or None
        None without any face pixel.
    """
    if not (face > 127).any():
        return None
    scale = min(1.0, MAX_SIDE_PX / max(image.shape[:2]))
    if scale < 1.0:
        size_wh = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        face = np.asarray(cv2.resize(face, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        weight = np.asarray(cv2.resize(weight, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        points = None if points is None else (points * np.float32(scale)).astype(np.float32)
    extent = points if points is not None else extent_of_mask(face)
    return Sample(name, source, person or person_of(name), image, face, weight, points, extent, frequency)


def extent_of_mask(face: Pixels) -> Float32Array:
    """Guess the extent of the landmarks: the mask's width and its lower two thirds."""
    ys, xs = np.nonzero(face > 127)
    top, bottom = float(ys.min()), float(ys.max())
    return np.array([[xs.min(), top + (bottom - top) / 3], [xs.max(), bottom]], np.float32)


def hair_frequency(image: Pixels, hair: npt.NDArray[np.bool_], face: Pixels) -> float:
    """Return 2 for grey or white hair and for hardly any hair, else 1: rare heads are drawn more often."""
    if hair.sum() < 0.08 * (face > 127).sum():
        return 2.0
    pixels = image[hair].astype(np.float32)
    grey = float(np.mean(pixels.max(1) - pixels.min(1))) < 28.0
    return 2.0 if grey and float(np.median(pixels.max(1))) > 110.0 else 1.0


def read_prepared_landmarks(folder: Path) -> dict[str, Float32Array | None]:
    """Read ``landmarks68.json`` of a prepared folder: stem to (68, 2) float32, None where there is no face.

    Raises
    ------
    ValueError
        If the folder has not the layout of `read_prepared`.
    """
    index = folder / "landmarks68.json"
    if not index.is_file() or not (folder / "images").is_dir():
        raise ValueError(f"{folder}: images/ and landmarks68.json are expected; extract the tar file there")
    found: dict[str, list[list[float]] | None] = json.loads(index.read_text(encoding="utf-8"))
    return {
        stem: None if points is None else np.asarray(points, np.float32) for stem, points in found.items()
    }


def read_prepared(folder: Path, source: str, keep: Callable[[str], bool]) -> Iterator[Sample]:
    """Read a folder with ``images/``, ``masks/``, ``labels/`` and ``landmarks68.json``.

    Parameters
    ----------
    folder
        The folder.
    source
        Which labels it holds; decides about glasses, coarse edges and drawing frequency. Of ``pseudo``,
        ``labels/`` are the weights.
    keep
        Takes a stem, says whether the photograph is wanted.

    Raises
    ------
    ValueError
        If the folder has not this layout or a file is unreadable.
    """
    landmarks = read_prepared_landmarks(folder)
    for path in sorted((folder / "images").iterdir()):
        if not keep(path.stem):
            continue
        points = landmarks.get(path.stem)
        image = read_rgb(path)
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        face = read_labels(folder / "masks" / f"{path.stem}.png")
        weight = np.full(face.shape, 255, np.uint8)
        frequency = 1.0
        if source == "celebamask":
            face, weight = celeba_mask(image, labels, points)
            frequency = hair_frequency(image, labels == CELEBA_HAIR, face)
        elif source == "lfw":
            weight = soften_edges(face, weight, radius_px=LFW_EDGE_PX, edge_weight=LFW_EDGE_WEIGHT)
            frequency = hair_frequency(image, labels == LFW_HAIR, face)
        elif source == "pseudo":
            weight = labels
        sample = make_sample(path.stem, source, image, face, weight, points, frequency=frequency)
        if sample is not None:
            yield sample
