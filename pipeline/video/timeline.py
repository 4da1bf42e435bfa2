"""What a clip is before its pictures are decoded: every frame's time, where decoding can start, its size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.video.hdr import Transfer

_TURNED, _MIRRORED = (1, 8, 3, 6), (2, 7, 4, 5)

Kind = Literal["video", "pictures", "animation"]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Times and shape of a clip. Plain data: it goes to JSON and back.

    Attributes
    ----------
    kind
        ``video``: a file that PyAV reads; ``pictures``: numbered files; ``animation``: GIF, WebP or APNG.
    format
        Container and codec, such as ``matroska h264``.
    pts
        Presentation time of every frame in units of ``time_base``, rising. Frames are counted from these, not
        from what a header claims.
    time_base
        Seconds of one unit.
    key_pts
        Those of ``pts`` at which decoding can start, rising.
    stored_size_wh
        Width and height in pixels as coded.
    rotation
        Degrees counter-clockwise, 0, 90, 180 or 270, by which decoded pictures are turned to stand upright.
    mirrored
        Left and right of decoded pictures are changed after that.
    transfer
        Of the signal.
    has_sound
        Whether there is a sound stream.
    counted
        The file's times are missing or no use: frames are counted from its beginning, times are made of its
        rate, and every decoding starts at the beginning.
    truncated
        Reading the file ended in an error; what lies before it is there.
    """

    kind: Kind
    format: str
    pts: tuple[int, ...]
    time_base: Fraction
    key_pts: tuple[int, ...]
    stored_size_wh: tuple[int, int]
    rotation: int = 0
    transfer: Transfer = "sdr"
    has_sound: bool = False
    counted: bool = False
    truncated: bool = False
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        width, height = self.stored_size_wh
        return (height, width) if self.rotation % 180 else (width, height)

    def upright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A decoded picture, (h, w, ...), as it is shown."""
        turned = np.rot90(stored, self.rotation // 90)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def as_stored(self, upright: NDArray[Any]) -> NDArray[Any]:
        """A picture that is shown, (h, w, ...), as it lies in the file."""
        turned = upright[:, ::-1] if self.mirrored else upright
        return np.ascontiguousarray(np.rot90(turned, -self.rotation // 90))

    @property
    def orientation(self) -> int:
        """The same way upright as a number of EXIF's, 1-8."""
        return (_MIRRORED if self.mirrored else _TURNED)[self.rotation // 90]

    def seconds(self, index: int) -> float:
        """Time of a frame after the clip's first one."""
        return float((self.pts[index] - self.pts[0]) * self.time_base)

    @property
    def frame_seconds(self) -> float:
        """Usual time from a frame to the next: the mean over the clip; a 25th for a single frame."""
        return self.seconds(len(self) - 1) / (len(self) - 1) if len(self) > 1 else 0.04

    @property
    def rate(self) -> Fraction:
        """Frames a second, as a fraction that containers take."""
        return Fraction(1 / self.frame_seconds).limit_denominator(1001)

    def index_of(self, pts: int) -> int | None:
        """Which frame is shown at exactly this time; None where there is none."""
        place = bisect_right(self.pts, pts) - 1
        return place if place >= 0 and self.pts[place] == pts else None

    def key_before(self, index: int) -> int:
        """Time of the last frame not after this one at which decoding can start; the first one's if none."""
        place = bisect_right(self.key_pts, self.pts[index]) - 1
        return self.key_pts[place] if place >= 0 else self.pts[0]

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {**asdict(self), "time_base": [self.time_base.numerator, self.time_base.denominator]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Take back what `to_json` gave."""
        lists = {key: tuple(values[key]) for key in ("pts", "key_pts", "stored_size_wh")}
        return cls(**{**values, **lists, "time_base": Fraction(*values["time_base"])})
