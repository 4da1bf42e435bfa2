"""What becomes of a photograph: the values that the stages hand to the outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import FaceLandmarks
from pipeline.config import OutputConfig

if TYPE_CHECKING:
    from pipeline.crop import FaceCrop

Status = Literal["ok", "no_face", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class StageError:
    """An error recorded for one photograph.

    Attributes
    ----------
    stage
        Where it happened: ``read``, ``landmarks``, ``crop``, ``network``, ``uncrop``, ``output``, ``worker``;
        ``photo`` if nobody knows.
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
    mirror_disagreement
        Share of the face's pixels, 0-1, that the network decides otherwise in the mirrored crop; None without
        ``network.mirror``.
    confidence
        How likely the mask is that of a real face, 0-1 (`pipeline.confidence`): of faces with 0.9 nine in ten
        are; 1 where nobody judged.
    landmark_quality
        How likely the landmarks lie where they should, 0-1 (`pipeline.confidence`); 1 where nobody judged.
    """

    landmarks: FaceLandmarks
    crop: FaceCrop
    mask: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    score: float
    mirror_disagreement: float | None = None
    confidence: float = 1.0
    landmark_quality: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """All that is known of one photograph after the last stage.

    Attributes
    ----------
    status
        ``ok``: every face done; ``no_face``: none found; ``partial``: some faces failed. (When all fail,
        `PhotoSegmenter.segment` raises, and `PhotoSegmenter.segment_many` makes a ``failed`` of it.)
    instances
        (H, W) uint8, or uint16 beyond 255 faces: 0 background, else 1 + index into ``faces``; upright.
    alpha
        (H, W) uint8 soft mask of all faces, or None unless asked for; upright.
    faces
        Faces in the order of their numbers in ``instances``.
    errors
        With any error the status is not ``ok``.
    timings
        Stage -> seconds.
    at_limit
        How many of the faces wanted are so small that others like them were probably not found
        (`landmarks.finder.at_limit`); 0 also where the faces were not searched for.
    """

    status: Status
    instances: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None = None
    faces: tuple[FaceResult, ...] = ()
    errors: tuple[StageError, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    at_limit: int = 0

    def save(
        self,
        directory: str | PathLike[str],
        name: str,
        *,
        image: NDArray[np.uint8] | None = None,
        **kinds: bool,
    ) -> dict[str, Path]:
        """Write masks, instance map and more, in the folders and under the names that a run gives them.

        Parameters
        ----------
        directory
            Folder to write to; made if it is not there.
        name
            Of the photograph, such as ``anna/1.jpg``: its mask is ``masks/anna/1.jpg.png``.
        image
            (H, W, 3) uint8 RGB, what was segmented; with it there is an overlay.
        kinds
            Further kinds, or less, as in the section ``output`` of a configuration: ``cutouts=True``.

        Returns
        -------
        dict
            Kind -> file, of what is written of the photograph as a whole.

        Raises
        ------
        ValueError
            ``name`` is empty, absolute or leads out of the folder; a kind is unknown; an overlay is asked for
            without the image.
        OutputError
            A file cannot be written.
        """
        from pipeline.outputs import write_outputs  # noqa: PLC0415 - whoever saves nothing needs no encoder

        chosen = {"overlays": image is not None, **kinds}
        if chosen["overlays"] and image is None:
            raise ValueError("overlays: give the photograph too, as image=")
        parts = PurePath(name).parts
        if not parts or PurePath(name).is_absolute() or ".." in parts:
            raise ValueError(f"name: expected a path below the folder such as 'anna/1.jpg', got {name!r}")
        config = OutputConfig.model_validate({"directory": str(directory), **chosen})
        pixels = np.zeros((*self.instances.shape, 3), np.uint8) if image is None else image
        files, _ = write_outputs(self, pixels, 1, name, config)
        return {kind: Path(directory, file) for kind, file in files.items()}

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W) uint8, 0 or 255: the union of all faces."""
        return np.asarray((self.instances > 0).view(np.uint8) * np.uint8(255))
