"""Which of the faces found are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from landmarks.geometry import Box, FaceLandmarks


def main_score(box: Box, frame_size_wh: tuple[int, int]) -> float:
    """Upstream's score of a detection: mean of central position, frame share and size."""
    width, height = frame_size_wh
    center = np.array([box.x + box.width / 2, box.y + box.height / 2])
    distance = float(np.hypot(*(center - np.array([width / 2, height / 2]))))
    central = float(np.clip(1 - distance / (0.25 * np.hypot(width, height)), 0, 1))
    size = float(np.clip((box.width + box.height) / 2 / (0.25 * (width + height)), 0, 1))
    return (central + 1 + size) / 3


def select_faces(
    faces: Sequence[FaceLandmarks], frame_size_wh: tuple[int, int], mode: Literal["main", "largest", "all"]
) -> tuple[FaceLandmarks, ...]:
    """The faces wanted, in the order found."""
    if mode == "all" or not faces:
        return tuple(faces)
    if mode == "largest":
        return (max(faces, key=lambda face: face.detection.box.area),)
    return (max(faces, key=lambda face: main_score(face.detection.box, frame_size_wh)),)
