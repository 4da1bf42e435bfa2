"""Boxes, detections and landmarks: frozen value types, checked on construction.

Conventions: origin at the top left, x to the right, y down, whole pixels, boxes half-open.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LANDMARK_COUNT = 68
"""Number of points of the iBUG 300-W markup (Sagonas et al., ICCV workshops 2013)."""


KEYPOINT_COUNT = 4
"""Number of points that detectors may give: both eyes, nose, mouth."""

Keypoints = tuple[tuple[float, float], ...]


def _whole_number(field: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{field}: a whole number is expected, got {value!r}") from None


def _finite_number(field: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{field}: a number is expected, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{field}: a finite number is expected, got {value!r}")
    return number


def _checked_keypoints(field: str, value: Keypoints) -> Keypoints:
    try:
        points = tuple((_finite_number(field, x), _finite_number(field, y)) for x, y in value)
    except TypeError:
        raise ValueError(f"{field}: points (x, y) are expected, got {value!r}") from None
    if len(points) not in (0, KEYPOINT_COUNT):
        raise ValueError(f"{field}: {KEYPOINT_COUNT} points or none are expected, got {len(points)}")
    return points


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels: columns ``x .. x_max - 1`` and rows ``y .. y_max - 1``.

    Parameters
    ----------
    x, y
        First column and row, in pixels. May lie outside of the frame, also below zero.
    width, height
        Size in pixels, at least 0.

    Raises
    ------
    ValueError
        If a field is not a whole number or a size is negative.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for field in ("x", "y", "width", "height"):
            object.__setattr__(self, field, _whole_number(f"Box.{field}", getattr(self, field)))
        for field in ("width", "height"):
            if getattr(self, field) < 0:
                raise ValueError(f"Box.{field}: at least 0 is expected, got {getattr(self, field)}")

    @property
    def x_max(self) -> int:
        """First column right of the box."""
        return self.x + self.width

    @property
    def y_max(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def side(self) -> float:
        """Mean of width and height, in pixels."""
        return (self.width + self.height) / 2

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box ``(x, y)`` in pixel edges' coordinates (a one-pixel box at 0 has 0.5)."""
        return self.x + self.width / 2, self.y + self.height / 2

    def intersection(self, other: Box) -> Box:
        """Return the pixels in both boxes; a box of no pixels where they don't meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        x_max, y_max = min(self.x_max, other.x_max), min(self.y_max, other.y_max)
        return Box(x, y, max(x_max - x, 0), max(y_max - y, 0))

    def iou(self, other: Box) -> float:
        """Shared pixels over all pixels of the two boxes, 0.0 to 1.0 (0.0 if both are empty)."""
        shared = self.intersection(other).area
        union = self.area + other.area - shared
        return shared / union if union else 0.0

    def clipped(self, size_wh: tuple[int, int]) -> Box:
        """Return the part inside a frame of ``size_wh`` = (width, height) pixels; may be empty."""
        width, height = size_wh
        x, y = min(max(self.x, 0), width), min(max(self.y, 0), height)
        return Box(x, y, min(max(self.x_max, x), width) - x, min(max(self.y_max, y), height) - y)


@dataclass(frozen=True, slots=True)
class Detection:
    """A place where a detector saw a face.

    Parameters
    ----------
    box
        Where, in pixels of the whole photograph; may leave the frame.
    score
        The detector's confidence, finite, higher is surer; comparable within one detector only.
    detector
        What found it, for example ``"hog"``, ``"hog@rot+30"`` or ``"cnn"``.
    angle
        Turn of the head in the picture in degrees clockwise, kept within -180 (included) to 180: 0 is
        upright, 90 has the chin at the left. Detectors that don't see it give 0.
    keypoints
        The eye at the left of an upright picture of the face, the other eye, the tip of the nose and the
        middle of the mouth, in pixels of the whole photograph (the first pixel spans 0 to 1). Empty where
        the detector gives none.

    Raises
    ------
    ValueError
        If a field has the wrong type, score, angle or a point is not finite, there are other than four
        points, or the detector has no name.
    """

    box: Box
    score: float
    detector: str
    angle: float = 0.0
    keypoints: Keypoints = ()

    def __post_init__(self) -> None:
        if not isinstance(self.box, Box):
            raise ValueError(f"Detection.box: a Box is expected, got {self.box!r}")  # noqa: TRY004
        object.__setattr__(self, "score", _finite_number("Detection.score", self.score))
        angle = (_finite_number("Detection.angle", self.angle) + 180) % 360 - 180
        object.__setattr__(self, "angle", angle)
        object.__setattr__(self, "keypoints", _checked_keypoints("Detection.keypoints", self.keypoints))
        if not isinstance(self.detector, str) or not self.detector:
            raise ValueError(f"Detection.detector: a name is expected, got {self.detector!r}")


@dataclass(frozen=True, slots=True, eq=False)
class FaceLandmarks:
    """The 68 landmarks of one face, with the detection they came from.

    Equal if points and detection are equal; can be hashed and pickled.

    Parameters
    ----------
    points
        (68, 2) integers; x, y in pixels of the whole photograph; points of a face cut by the frame lie
        outside of it.
        Kept as a read-only int32 copy.
    detection
        Where the face was found.

    Raises
    ------
    ValueError
        If a field has the wrong type, shape or dtype.
    """

    points: npt.NDArray[np.int32]
    detection: Detection

    def __post_init__(self) -> None:
        points = np.asarray(self.points)
        if points.shape != (LANDMARK_COUNT, 2) or not np.issubdtype(points.dtype, np.integer):
            raise ValueError(
                f"FaceLandmarks.points: an integer array of shape ({LANDMARK_COUNT}, 2) is expected, "
                f"got {points.dtype} of shape {points.shape}"
            )
        limits = np.iinfo(np.int32)
        if points.min() < limits.min or points.max() > limits.max:
            raise ValueError("FaceLandmarks.points: coordinates do not fit 32 bits")
        points = np.array(points, dtype=np.int32)
        points.flags.writeable = False
        object.__setattr__(self, "points", points)
        if not isinstance(self.detection, Detection):
            raise ValueError(  # noqa: TRY004
                f"FaceLandmarks.detection: a Detection is expected, got {self.detection!r}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FaceLandmarks):
            return NotImplemented
        return self.detection == other.detection and np.array_equal(self.points, other.points)

    def __hash__(self) -> int:
        return hash((self.points.tobytes(), self.detection))

    def __reduce__(self) -> tuple[type[FaceLandmarks], tuple[Any, ...]]:
        # Rebuilt through the constructor: a plain unpickled array would be writeable.
        return FaceLandmarks, (self.points, self.detection)
