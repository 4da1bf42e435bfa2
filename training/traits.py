"""What makes a photograph harder than others: traits read from its labels, landmarks and pixels."""

from __future__ import annotations

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from training.data import CELEBA_GLASSES, CELEBA_HAIR, LFW_HAIR, hair_frequency

CELEBA_HAT = 14

DARK_LUMA, BRIGHT_LUMA = 100.0, 170.0
"""Median luma (0..255) of the face up to which it is dark, from which it is bright."""

TURNED_RATIO = 2.2
"""Distances from the nose to either end of the jaw line, the longer over the shorter, from which a head is
turned (about 25 degrees)."""

TILTED_DEG = 15.0
"""Tilt of the line between the eyes from which a head is tilted."""

LEAST_SHARE = 0.005
"""Of the face's area, that glasses or a hat must have."""

TRAITS = ("dark", "bright", "turned", "tilted", "glasses", "hat", "grey or little hair")


def traits_of(
    image: Pixels, face: Pixels, labels: Pixels, points: Float32Array | None, source: str
) -> tuple[str, ...]:
    """Return which of `TRAITS` a labelled photograph has.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    face, labels
        (h, w) uint8; face mask of 0 or 255, and the data set's own classes.
    points
        (68, 2) float32 or None; dlib's landmarks.
    source
        What the classes mean; LFW's know neither glasses nor hats, so that hair under a hat is little hair.
    """
    found = []
    luma = float(np.median(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[face > 127]))
    if luma <= DARK_LUMA:
        found.append("dark")
    if luma >= BRIGHT_LUMA:
        found.append("bright")
    if points is not None:
        sides = sorted(float(np.linalg.norm(points[30] - points[end])) for end in (0, 16))
        if sides[1] >= TURNED_RATIO * sides[0]:
            found.append("turned")
        across = points[42:48].mean(0) - points[36:42].mean(0)
        if abs(np.degrees(np.arctan2(across[1], across[0]))) >= TILTED_DEG:
            found.append("tilted")
    hair = labels == (CELEBA_HAIR if source == "celebamask" else LFW_HAIR)
    if source == "celebamask":
        found += [
            name
            for name, label in (("glasses", CELEBA_GLASSES), ("hat", CELEBA_HAT))
            if (labels == label).sum() >= LEAST_SHARE * (face > 127).sum()
        ]
    if "hat" not in found and hair_frequency(image, hair, face) > 1:
        found.append("grey or little hair")
    return tuple(found)
