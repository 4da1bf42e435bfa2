"""What becomes of a photograph: the values that the stages hand to the outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import FaceLandmarks

if TYPE_CHECKING:
    from pipeline.crop import FaceCrop

Status = Literal["ok", "no_face", "partial", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class StageError:
    """An error recorded for one photograph.

    Attributes
    ----------
    stage
        Where it happened: ``read``, ``landmarks``, ``crop``, ``network``, ``output`` or ``worker``.
    type
        Class name of the exception.
    message
        What was wrong, for the user.
    """

    stage: str
    type: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class FaceResult:
    """One segmented face.

    Attributes
    ----------
    landmarks
        The 68 points and the detection they came from, in pixels of the upright photograph.
    crop
        The crop and its mapping back.
    mask
        (crop height, crop width) uint8, 0 or 255: the face.
    alpha
        (crop height, crop width) uint8, 0-255: probability of face, or None unless soft masks were asked for.
    score
        Mean probability of face over the mask's pixels, 0-1; 0 when the mask is empty.
    """

    landmarks: FaceLandmarks
    crop: FaceCrop
    mask: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """All that is known of one photograph after the last stage.

    Attributes
    ----------
    status
        ``ok``: every face done; ``no_face``: none found; ``partial``: some faces failed. (When all fail,
        `PhotoSegmenter.segment` raises.)
    instances
        (H, W) uint8, or uint16 beyond 255 faces: 0 background, else 1 + index into ``faces``; upright.
    alpha
        (H, W) uint8 soft mask of all faces, or None unless asked for; upright.
    faces
        Faces in the order of their numbers in ``instances``.
    errors
        With any error the status is not ``ok``.
    timings
        Seconds per stage.
    """

    status: Status
    instances: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None = None
    faces: tuple[FaceResult, ...] = ()
    errors: tuple[StageError, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W) uint8, 0 or 255: the union of all faces."""
        return np.where(self.instances > 0, np.uint8(255), np.uint8(0))
