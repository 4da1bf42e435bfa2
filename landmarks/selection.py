"""Which of the faces found are wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from landmarks.geometry import Box, FaceLandmarks

Selection = Literal["main", "largest", "all"]


def main_score(box: Box, frame_size_wh: tuple[int, int]) -> float:
    """How central and large a detection is, 0 to 1: upstream's score of the main face.

    Mean of central = clamp(1 - distance of the centres / (0.25 diagonal)), the share of frames that show the
    face (1 for a photograph) and size = clamp(mean side / (0.25 (W + H))), as in ``getSequenceStats`` and
    ``getMainFaceID`` of sequence_face_landmarks/utilities.cpp in YuvalNirkin/find_face_landmarks.

    Parameters
    ----------
    box
        The detection, in pixels.
    frame_size_wh
        Width and height of the photograph in pixels.
    """
    width, height = frame_size_wh
    x, y = box.center
    distance = math.hypot(x - width / 2, y - height / 2)
    central = min(max(1 - distance / (0.25 * math.hypot(width, height)), 0.0), 1.0)
    size = min(box.side / (0.25 * (width + height)), 1.0)
    return (central + 1 + size) / 3


def select_faces(
    faces: Sequence[FaceLandmarks],
    frame_size_wh: tuple[int, int],
    mode: Selection,
    *,
    min_side_px: float = 0.0,
) -> tuple[FaceLandmarks, ...]:
    """Pick the faces that are wanted.

    Parameters
    ----------
    faces
        Faces of one photograph in the order found.
    frame_size_wh
        Width and height of the photograph in pixels.
    mode
        The face with the highest ``main_score``; the one with the largest detection box; all. The first one
        wins ties.
    min_side_px
        Least `Box.side` of a detection; faces below it are left out before the choice is made.

    Returns
    -------
    tuple of FaceLandmarks
        In the order given; empty if ``faces`` is.

    Raises
    ------
    ValueError
        The mode is unknown or the frame has no pixels.
    """
    if mode not in ("main", "largest", "all"):
        raise ValueError(f"mode: 'main', 'largest' or 'all' is expected, got {mode!r}")
    if min(frame_size_wh) < 1:
        raise ValueError(f"frame_size_wh: at least (1, 1) is expected, got {frame_size_wh}")
    faces = [face for face in faces if face.detection.box.side >= min_side_px]
    if mode == "all" or not faces:
        return tuple(faces)
    if mode == "largest":
        return (max(faces, key=lambda face: face.detection.box.area),)
    return (max(faces, key=lambda face: main_score(face.detection.box, frame_size_wh)),)
