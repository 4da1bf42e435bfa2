"""What an export hands from a run's folder to a format: photographs with their faces, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box

Shapes = Literal["masks", "polygons"]
Images = Literal["link", "copy", "none"]
FrameFiles = Literal["png", "jpg", "none"]

LABEL = "face"
"""The one class that every format gets."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskWindow:
    """A mask as the part of the picture that holds all of its pixels.

    Attributes
    ----------
    pixels
        (h, w) bool; no row or column at its border is empty. (0, 0) for a mask without pixels.
    x, y
        Where its top left pixel lies in the picture.
    """

    pixels: NDArray[np.bool_]
    x: int
    y: int

    @classmethod
    def of(cls, pixels: NDArray[np.bool_], x: int = 0, y: int = 0) -> MaskWindow:
        """Cut a mask, whose top left pixel lies at (x, y), down to what holds its pixels."""
        rows, columns = np.nonzero(pixels.any(axis=1))[0], np.nonzero(pixels.any(axis=0))[0]
        if rows.size == 0:
            return cls(np.zeros((0, 0), bool), 0, 0)
        top, left = int(rows[0]), int(columns[0])
        inner = pixels[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        return cls(np.ascontiguousarray(inner), x + left, y + top)

    @property
    def box(self) -> Box:
        """The window, half-open whole pixels of the picture."""
        return Box(self.x, self.y, self.pixels.shape[1], self.pixels.shape[0])

    @property
    def xywh(self) -> list[int]:
        """The window as most formats write it: x, y, width, height."""
        return [self.x, self.y, self.pixels.shape[1], self.pixels.shape[0]]

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))

    def frame(self, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
        """The (height, width) bool mask of the whole picture."""
        picture = np.zeros(size_wh[::-1], bool)
        picture[self.y : self.box.y_max, self.x : self.box.x_max] = self.pixels
        return picture

    def same(self, other: MaskWindow) -> bool:
        """Whether it is the same mask, pixel for pixel."""
        return (self.x, self.y) == (other.x, other.y) and np.array_equal(self.pixels, other.pixels)

    def iou(self, other: MaskWindow) -> float:
        """Pixels in both over pixels in either; 1 when both are empty."""
        shared = self.box.intersection(other.box)
        both = 0
        if shared.area:
            both = int(np.count_nonzero(self._part(shared) & other._part(shared)))
        either = self.area_px + other.area_px - both
        return both / either if either else 1.0

    def _part(self, box: Box) -> NDArray[np.bool_]:
        return self.pixels[box.y - self.y : box.y_max - self.y, box.x - self.x : box.x_max - self.x]


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One face of a photograph; boxes and points in pixels of the export's grid.

    Attributes
    ----------
    number
        Of the face in the record or in the corrected map, from 1 on.
    mask
        Its pixels; at least one.
    score
        Mean probability of face over the mask, 0-1; None for faces that a person has drawn.
    confidence
        How sure it is that this is a face and its mask is right, 0-1 (see docs/faces.md); None for faces
        that a person has drawn, and of runs that do not say.
    landmarks
        (68, 2) int32 x, y; they may lie outside the frame. None where they are not known.
    landmark_quality
        How likely they are right, 0-1; None where it is not known.
    source
        Who says so: the ``run``, or a person who has ``accepted`` or ``corrected`` it.
    track_id
        From 1 on, the same for one person throughout a clip and for nobody else in the export; None for
        photographs, and for faces that a person has added to a frame.
    """

    number: int
    mask: MaskWindow
    score: float | None = None
    confidence: float | None = None
    landmarks: NDArray[np.int32] | None = None
    landmark_quality: float | None = None
    source: Literal["run", "accepted", "corrected"] = "run"
    track_id: int | None = None

    @property
    def qualities(self) -> dict[str, float]:
        """``confidence`` and ``landmark_quality``, as far as they are known."""
        known = {"confidence": self.confidence, "landmark_quality": self.landmark_quality}
        return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class ExportClip:
    """A clip whose frames are exported.

    Attributes
    ----------
    number
        From 1 on, in the order of the names.
    file_name
        What the export calls it, with ``/``: from the root of choice.
    size_wh
        Width and height in pixels of the export's grid.
    frames
        How many it has.
    every
        Every which frame is exported, from the first on.
    tracks
        How many tracks it has.
    first_track_id
        ``track_id`` of its first track.
    last_frames
        Number of a track, from 0 on, to its last frame.
    """

    number: int
    file_name: str
    size_wh: tuple[int, int]
    frames: int
    every: int
    tracks: int
    first_track_id: int
    last_frames: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ExportFrame:
    """Which frame of a clip a picture is.

    Attributes
    ----------
    clip
        The clip.
    index
        Of the frame, from 0 on.
    pixels
        (H, W, 3) uint8 RGB on the export's grid, where frames are written; else None.
    """

    clip: ExportClip
    index: int
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExportPhoto:
    """A photograph with its faces, or a frame of a clip.

    Attributes
    ----------
    number
        From 1 on, in the order of the names.
    name
        As in the manifest: of the outputs, unique, and a relative path that is safe everywhere.
    path
        Of the file, absolute; bytes that are no UTF-8 are surrogate escapes.
    file_name
        What the export calls it, with ``/``: from the root of choice.
    sha256
        Of the file's bytes.
    size_wh
        Width and height in pixels of the export's grid.
    turned
        Whether the file has an EXIF orientation, so that the stored grid is not what viewers show.
    instances
        Faces in the order of their numbers.
    source
        ``accepted`` or ``corrected`` by a person as a whole, or of the ``run``.
    known_numbers
        Numbers that are taken, also those of faces that are left out.
    frame
        Which frame of a clip it is; ``path`` and ``sha256`` are the clip's then. None for photographs.
    """

    number: int
    name: str
    path: str
    file_name: str
    sha256: str
    size_wh: tuple[int, int]
    turned: bool
    instances: tuple[Instance, ...] = ()
    source: Literal["run", "accepted", "corrected"] = "run"
    known_numbers: tuple[int, ...] = ()
    frame: ExportFrame | None = None

    @property
    def source_name(self) -> str:
        """What the export calls the file: the photograph, or the clip that the frame is of."""
        return self.file_name if self.frame is None else self.frame.clip.file_name

    @property
    def tree_name(self) -> str:
        """A relative path for files that an export makes of the photograph; it never leaves a folder."""
        parts = self.file_name.split("/")
        return self.name if self.file_name.startswith("/") or ".." in parts else self.file_name


@dataclass(frozen=True, slots=True, eq=False)
class ImportedFace:
    """A face as another tool has left it.

    Attributes
    ----------
    mask
        Its pixels.
    number
        Number of the face in this program's export, where the format keeps it; else None.
    score
        How sure the one who found it was, where the format tells.
    """

    mask: MaskWindow
    number: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImportedPhoto:
    """A photograph as another tool has left it.

    Attributes
    ----------
    file_name
        What the format calls it; where it does not keep it, without its suffix.
    size_wh
        Width and height in pixels that the format gives; None where it gives shares of them only.
    faces
        Gives its faces, for a width and height.
    sha256
        Of the photograph's bytes, where the format keeps it or has the file beside it.
    of_clip
        Whether the format says that it is a frame of a clip; ``sha256`` is the clip's then.

    Raises
    ------
    ValueError
        By ``faces``, where a mask does not fit the size.
    """

    file_name: str
    size_wh: tuple[int, int] | None
    faces: Callable[[tuple[int, int]], tuple[ImportedFace, ...]]
    sha256: str | None = None
    of_clip: bool = False


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How an export is to be written.

    Attributes
    ----------
    shapes
        ``masks`` (pixel for pixel) or ``polygons``, where the format has both.
    images
        ``link``, ``copy`` or ``none``: how photographs come to stand beside the labels.
    frames
        ``png``, ``jpg`` or ``none``: as what frames of clips come to stand there.
    splits
        Names of the parts, in order; one empty name where nothing is split.
    url_prefix
        What a photograph's path is put behind to make an address (Label Studio).
    """

    shapes: Shapes = "masks"
    images: Images = "none"
    frames: FrameFiles = "none"
    splits: tuple[str, ...] = ("",)
    url_prefix: str = "/data/local-files/?d="

    def places(self, photo: ExportPhoto) -> bool:
        """Whether a photograph or frame comes to stand beside the labels."""
        return (self.images if photo.frame is None else self.frames) != "none"
