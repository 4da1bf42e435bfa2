"""Which tracks of a clip are wanted: all, the main one, or the largest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from landmarks.selection import Selection
from pipeline.video.tracks import LinkedFrame


@dataclass(slots=True)
class _Sums:
    frames: int = 0
    centre_distance: float = 0.0
    side: float = 0.0
    area: float = 0.0


@dataclass(slots=True)
class Census:
    """What is counted of every track while a clip is linked; filled faces don't count.

    Parameters
    ----------
    frame_size_wh
        Width and height of the frames in pixels.
    """

    frame_size_wh: tuple[int, int]
    frames_with_faces: int = 0
    _tracks: dict[int, _Sums] = field(default_factory=dict)

    def count(self, frame: LinkedFrame) -> None:
        """Take a frame into account."""
        seen = [face for face in frame.faces if not face.is_filled]
        self.frames_with_faces += bool(seen)
        width, height = self.frame_size_wh
        for face in seen:
            sums = self._tracks.setdefault(face.track, _Sums())
            # The corners of an OpenCV rectangle: its centre is half their sum.
            x, y = face.box.center
            sums.frames += 1
            sums.centre_distance += math.hypot(x - width / 2, y - height / 2)
            sums.side += face.box.side
            sums.area += face.box.area

    @property
    def last_track(self) -> int:
        """Highest number of a track; -1 where there is none."""
        return max(self._tracks, default=-1)

    def wanted(self, mode: Selection, *, min_side_px: float = 0.0) -> tuple[int, ...]:
        """Numbers of the tracks that are wanted.

        Parameters
        ----------
        mode
            ``all``; ``main``: the track with the highest `main_score` above 0; ``largest``: the one that
            covers most pixels over all frames. The first one wins ties.
        min_side_px
            Tracks whose detection boxes are smaller than this on average are left out before the choice: as
            a whole, so that a face near the limit does not come and go.
        """
        large = [
            track for track, sums in sorted(self._tracks.items()) if sums.side / sums.frames >= min_side_px
        ]
        if mode == "all" or not large:
            return tuple(large)
        if mode == "largest":
            return (max(large, key=lambda track: self._tracks[track].area),)
        best = max(large, key=self.main_score)
        return (best,) if self.main_score(best) > 0 else ()

    def main_score(self, track: int) -> float:
        """How central, lasting and large a track is, 0 to 1: find_face_landmarks' score in a sequence.

        Mean of central = clamp(1 - mean distance of box and frame centres / (0.25 diagonal)), share of the
        frames with faces that show it, and size = clamp(mean side / (0.25 (W + H))), as in
        ``getSequenceStats`` and ``getMainFaceID`` of sequence_face_landmarks/utilities.cpp.
        """
        sums = self._tracks[track]
        width, height = self.frame_size_wh
        central = 1 - sums.centre_distance / sums.frames / (0.25 * math.hypot(width, height))
        share = sums.frames / self.frames_with_faces
        size = sums.side / sums.frames / (0.25 * (width + height))
        return (min(max(central, 0.0), 1.0) + share + min(size, 1.0)) / 3


def census_of(frames: Iterable[LinkedFrame], frame_size_wh: tuple[int, int]) -> Census:
    """Count the tracks of all frames."""
    census = Census(frame_size_wh)
    for frame in frames:
        census.count(frame)
    return census
