"""What a manifest says as a whole, gathered line by line in bounded memory."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.manifest.records import recorded_path

SIZE_EDGES_PX = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Where one bar of the sizes ends and the next begins: side of the detection's box."""

SCORE_EDGES = tuple(round(0.5 + 0.05 * step, 2) for step in range(1, 10))
FACE_EDGES = (1, 2, 3, 4, 5, 6, 11, 21, 51)
SAMPLES = 24
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class FaceSample:
    """A face worth a picture.

    Attributes
    ----------
    name, photo
        Name of the photograph in the output, and its path.
    number
        Of the face in its photograph, from 1.
    box_xywh
        The crop, pixels of the upright photograph.
    side_px
        Side of the detection's box.
    score
        The network's score, 0-1.
    instances
        Path of the instance map below the output directory, or None.
    stored_orientation
        EXIF orientation of the photograph that the map is turned by, 1 when it is upright.
    """

    name: str
    photo: str
    number: int
    box_xywh: tuple[int, int, int, int]
    side_px: float
    score: float
    instances: str | None
    stored_orientation: int


class Best:
    """Keeps the few faces that are first by a key, of any number."""

    def __init__(self, key: Callable[[FaceSample], float], most: int = SAMPLES) -> None:
        self._key = key
        self._most = most
        self._heap: list[tuple[float, int, FaceSample]] = []
        self._seen = 0

    def add(self, sample: FaceSample) -> None:
        """Look at one more face; of equal ones the earlier stays."""
        self._seen += 1
        entry = (self._key(sample), -self._seen, sample)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def samples(self) -> list[FaceSample]:
        """The first ones, the very first ahead."""
        return [sample for _, _, sample in sorted(self._heap, reverse=True)]


@dataclass(slots=True)
class Histogram:
    """Counts between edges: below the first, between each two, from the last on."""

    edges: tuple[float, ...]
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    def add(self, value: float) -> None:
        """Count a value; one that lies on an edge belongs above it."""
        self.counts[bisect_right(self.edges, value)] += 1


@dataclass(slots=True)
class RunStatistics:
    """What a page shows of a run.

    Attributes
    ----------
    statuses
        Photographs by status.
    faces
        Faces in all, those of clips left out.
    clips, clip_frames, tracks
        How many of the ``statuses`` are clips that did not fail, their frames, and people followed in them.
    reasons
        (stage, type of error) to photographs.
    examples
        (stage, type of error) to a few messages.
    sizes_px, scores, faces_per_photo
        Histograms of the faces' sides in pixels, of their scores, and of faces a photograph.
    seconds
        Stage to seconds over all photographs.
    sheets
        Title to the faces that stand out by it.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    faces: int = 0
    clips: int = 0
    clip_frames: int = 0
    tracks: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    sizes_px: Histogram = field(default_factory=lambda: Histogram(SIZE_EDGES_PX))
    scores: Histogram = field(default_factory=lambda: Histogram(SCORE_EDGES))
    faces_per_photo: Histogram = field(default_factory=lambda: Histogram(FACE_EDGES))
    seconds: Counter[str] = field(default_factory=Counter)
    sheets: dict[str, Best] = field(
        default_factory=lambda: {
            "Lowest scores": Best(lambda face: -face.score),
            "Highest scores": Best(lambda face: face.score),
            "Largest": Best(lambda face: face.side_px),
            "Smallest": Best(lambda face: -face.side_px),
        }
    )

    @property
    def photographs(self) -> int:
        """How many there are."""
        return sum(self.statuses.values())

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one line of the manifest."""
        self.statuses[record["status"]] += 1
        for error in record.get("errors", ()):
            reason = (error["stage"], error["type"])
            self.reasons[reason] += 1
            examples = self.examples.setdefault(reason, [])
            if len(examples) < EXAMPLES:
                examples.append(error["message"])
        for stage, seconds in record.get("seconds", {}).items():
            if stage != "total":
                self.seconds[stage] += seconds
        faces = record.get("faces", ())
        if "clip" in record:
            self.clips += 1
            self.clip_frames += record["clip"]["frames"]
            self.tracks += len(record["clip"]["tracks"])
        elif record["status"] != "failed":
            self.faces_per_photo.add(len(faces))
        for face in faces:
            self._add_face(record, face)

    def _add_face(self, record: Mapping[str, Any], face: Mapping[str, Any]) -> None:
        _, _, width, height = face["detection"]["box_xywh"]
        stored = record.get("orientation") == "stored"
        sample = FaceSample(
            name=record["name"],
            photo=recorded_path(record),
            number=face["number"],
            box_xywh=tuple(face["box_xywh"]),
            side_px=float(width * height) ** 0.5,
            score=face["score"],
            instances=record.get("files", {}).get("instances"),
            stored_orientation=(record.get("stored_orientation") or 1) if stored else 1,
        )
        self.faces += 1
        self.sizes_px.add(sample.side_px)
        self.scores.add(sample.score)
        for sheet in self.sheets.values():
            sheet.add(sample)


def gather(records: Iterable[Mapping[str, Any]]) -> RunStatistics:
    """Gather all lines of a manifest."""
    statistics = RunStatistics()
    for record in records:
        statistics.add(record)
    return statistics
