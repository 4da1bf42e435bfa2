"""What the wall shows of every photograph, small enough to hold a million of them."""

from __future__ import annotations

import json
import math
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UncropError, UsageError
from pipeline.manifest.schema import SCHEMA, parsed

LOW_SCORE = 0.9
"""Below it a face counts as one of low score: well-lit faces of the embedded network have 0.97 and more."""

SMALL_PX = 40
"""Side of the detection's box below which a face is small: less than a sixth of the network's input."""

USUAL_SHARE = 0.22
"""Share of its square crop that a face's mask covers: the median of the samples (0.11 to 0.30)."""

STATUSES = ("ok", "no_face", "partial", "failed", "skipped", "new")
_BREATH_LINES, _BREATH_SECONDS = 200, 0.002
"""How often the reading of a manifest lets those through who ask meanwhile, such as for the first view."""

SORTS = ("name", "doubt", "score", "size", "faces")
NO_FACE_DOUBT = 0.3
"""Doubt of a photograph without a face: before the sure ones, behind those of doubtful faces."""

VERDICT_CODES = {None: 0, "accept": 1, "reject": 2}
CLIP = 4
"""Flag of a clip; 1 is corrected, 2 stale."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph as the wall shows it.

    Attributes
    ----------
    id
        Its place in the index; stable while the server runs.
    name, status
        As in the manifest; status ``new``: no run has seen it.
    faces
        How many faces the run found.
    score
        The lowest score of any, or None.
    side_px
        Side of the smallest face, or None.
    clip
        Whether it is a clip: the page shows what is counted of it, and takes verdicts.
    """

    id: int
    name: str
    status: str
    faces: int
    score: float | None
    side_px: float | None
    clip: bool


class PhotoIndex:
    """Reads a manifest once and remembers where every record stands.

    Parameters
    ----------
    manifest
        ``manifest.jsonl``; it may still be growing, what comes later is not seen. Where a run has put its
        lines in order meanwhile it is read again.
    others
        Names and paths of photographs without a record.
    """

    def __init__(self, manifest: Path, others: Mapping[str, str] | None = None) -> None:
        self._manifest = manifest
        self._others = dict(others or {})
        self._names: list[str] = []
        self._place: dict[str, int] = {}
        self._starts = array("q")
        self._status = array("B")
        self._faces = array("I")
        self._score = array("f")
        self._side = array("f")
        self._doubt = array("f")
        self._verdict = array("B")
        self._flags = array("B")
        self._lock = threading.RLock()  # arrays can't grow while numpy looks at them
        self._sorted: dict[str, NDArray[np.int64]] = {}
        self.loading = True
        self.problem: str | None = None

    def __len__(self) -> int:
        return len(self._names)

    def load(self) -> None:
        """Read the manifest; of several records of a photograph the last one counts.

        What hinders it is in ``problem`` afterwards; what was read until then is there.
        """
        try:
            self._read_all()
            for name in self._others:
                if name not in self._place:
                    with self._lock:
                        self._take(-1, {"name": name, "status": "new", "faces": []})
        except (OSError, UncropError) as error:
            self.problem = str(error)
        finally:
            with self._lock:
                self._sorted.clear()
                self.loading = False

    def _read_all(self) -> None:
        if self._manifest.exists():
            with self._manifest.open("rb") as file:
                for count, (start, record) in enumerate(_records(file), start=1):
                    with self._lock:
                        self._take(start, record)
                    if count % _BREATH_LINES == 0:
                        time.sleep(_BREATH_SECONDS)

    def name(self, number: int) -> str:
        """Name of a photograph.

        Raises
        ------
        IndexError
            There is none of that number.
        """
        if number < 0:
            raise IndexError(number)
        return self._names[number]

    def number(self, name: str) -> int | None:
        """Place of a photograph of that name."""
        return self._place.get(name)

    def entry(self, number: int) -> Entry:
        """What the wall shows of a photograph."""
        name = self.name(number)
        faces = self._faces[number]
        return Entry(
            number,
            name,
            STATUSES[self._status[number]],
            faces,
            round(self._score[number], 4) if faces else None,
            round(self._side[number], 1) if faces else None,
            bool(self._flags[number] & CLIP),
        )

    def record(self, number: int) -> dict[str, Any]:
        """Its whole record, read anew from the manifest.

        Raises
        ------
        UsageError
            It is not in the manifest any more, or a later version of the program wrote it.
        """
        name = self.name(number)
        if self._starts[number] < 0:
            return {"name": name, "photo": self._others[name], "status": "new", "faces": [], "files": {}}
        record = self._record_at(self._starts[number])
        if record is None or record["name"] != name:  # a run has put its lines in order meanwhile
            self._read_all()
            record = self._record_at(self._starts[number])
        if record is None or record["name"] != name:
            raise UsageError(f"{self._manifest}: {name} is not there any more; start the review again")
        return record

    def _record_at(self, start: int) -> dict[str, Any] | None:
        with self._manifest.open("rb") as file:
            file.seek(start)
            line = file.readline()
        record = parsed(line)
        return None if record is None else dict(record)

    def set_verdict(self, number: int, verdict: str | None, *, corrected: bool, stale: bool) -> None:
        """Note what a person said, for the filters."""
        self._verdict[number] = VERDICT_CODES.get(verdict, 0)
        self._flags[number] = (self._flags[number] & CLIP) | corrected | stale << 1

    @property
    def judged(self) -> int:
        """Photographs with a verdict that still holds."""
        with self._lock:
            verdicts, flags = np.array(self._verdict, np.uint8), np.array(self._flags, np.uint8)
        return int(np.count_nonzero((verdicts > 0) & (flags & 2 == 0)))

    def select(self, show: str, sort: str, search: str) -> NDArray[np.int64]:
        """Numbers of the photographs of a filter that hold a text in their name, in an order.

        Raises
        ------
        ValueError
            No such filter or order.
        """
        if show not in FILTERS or sort not in SORTS:
            raise ValueError(f"show one of {', '.join(FILTERS)} in the order of one of {', '.join(SORTS)}")
        with self._lock:
            order = self._order(sort)
            columns: Columns = {
                "status": np.array(self._status, np.uint8)[: len(order)],
                "faces": np.array(self._faces, np.int64)[: len(order)],
                "score": np.array(self._score, np.float32)[: len(order)],
                "side": np.array(self._side, np.float32)[: len(order)],
                "verdict": np.array(self._verdict, np.uint8)[: len(order)],
                "flags": np.array(self._flags, np.uint8)[: len(order)],
            }
        chosen = order[FILTERS[show](columns)[order]]
        if search:
            wanted = search.casefold()
            chosen = np.array([n for n in chosen if wanted in self._names[n].casefold()], np.int64)
        return chosen

    def _order(self, sort: str) -> NDArray[np.int64]:
        with self._lock:
            if sort not in self._sorted or self.loading:
                count = len(self._flags)
                names = np.array(sorted(range(count), key=self._names.__getitem__), np.int64)
                keys: dict[str, Callable[[], NDArray[Any]]] = {
                    "doubt": lambda: -np.array(self._doubt, np.float32)[:count],
                    "score": lambda: np.where(
                        np.array(self._faces)[:count] > 0, np.array(self._score, np.float32)[:count], 2
                    ),
                    "size": lambda: np.where(
                        np.array(self._faces)[:count] > 0, np.array(self._side, np.float32)[:count], np.inf
                    ),
                    "faces": lambda: -np.array(self._faces, np.int64)[:count],
                }
                if sort != "name":
                    names = names[np.argsort(keys[sort]()[names], kind="stable")]
                self._sorted[sort] = names
            return self._sorted[sort]

    def _take(self, start: int, record: Mapping[str, Any]) -> None:
        faces = record.get("faces") or ()
        scores = [float(face.get("score", 0)) for face in faces]
        sides = [_side_px(face) for face in faces]
        status = record.get("status")
        values = (
            start,
            STATUSES.index(status) if status in STATUSES else 0,
            len(faces),
            min(scores, default=0.0),
            min(sides, default=0.0),
            max((doubt(face) for face in faces), default=NO_FACE_DOUBT if status == "no_face" else 0.0),
        )
        columns: tuple[Any, ...] = (
            self._starts,
            self._status,
            self._faces,
            self._score,
            self._side,
            self._doubt,
        )
        name = record["name"]
        number = self._place.get(name)
        if number is None:
            self._place[name] = len(self._names)
            self._names.append(name)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
            self._verdict.append(0)
            self._flags.append(CLIP if "clip" in record else 0)
        else:
            for column, value in zip(columns, values, strict=True):
                column[number] = value


Columns = Mapping[str, NDArray[Any]]
FILTERS: dict[str, Callable[[Columns], NDArray[np.bool_]]] = {
    "all": lambda c: np.ones(len(c["faces"]), bool),
    "unseen": lambda c: (c["verdict"] == 0) | (c["flags"] & 2 > 0),
    "no_face": lambda c: c["status"] == STATUSES.index("no_face"),
    "one": lambda c: c["faces"] == 1,
    "several": lambda c: c["faces"] > 1,
    "failed": lambda c: np.isin(c["status"], (STATUSES.index("failed"), STATUSES.index("partial"))),
    "low_score": lambda c: (c["faces"] > 0) & (c["score"] < LOW_SCORE),
    "small": lambda c: (c["faces"] > 0) & (c["side"] < SMALL_PX),
    "accepted": lambda c: c["verdict"] == VERDICT_CODES["accept"],
    "rejected": lambda c: c["verdict"] == VERDICT_CODES["reject"],
    "corrected": lambda c: c["flags"] & 1 > 0,
    "stale": lambda c: c["flags"] & 2 > 0,
}
"""Name of a filter -> which of the columns' rows it shows."""


def doubt(face: Mapping[str, Any]) -> float:
    """How doubtful the mask of a face is, from its record: 0 sure, 1 and more not.

    The lowest of score and confidence counts, the disagreement with the mirrored crop where it was computed
    (``network.mirror``), and how far the mask's share of its crop is from that of a usual face, in doublings.
    """
    sure = min(float(face.get("score", 0)), float(face.get("confidence", 1)))
    _, _, width, height = face.get("box_xywh", (0, 0, 1, 1))
    share = float(face.get("area_px", 0)) / max(width * height, 1)
    odd = 1.0 if share <= 0 else min(abs(float(np.log2(share / USUAL_SHARE))) / 3, 1.0)
    return max(1 - sure, 0.5 * odd, float(face.get("mirror_disagreement") or 0))


def _side_px(face: Mapping[str, Any]) -> float:
    _, _, width, height = face.get("detection", {}).get("box_xywh", (0, 0, 0, 0))
    return math.sqrt(width * height)


def _records(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Whole records with the place of their line; torn and foreign lines are passed over.

    Lines are not checked one by one as `pipeline.manifest.schema.parsed` does, which takes seconds for a
    hundred thousand; only what the wall needs is looked at.

    Raises
    ------
    UsageError
        A line was written by a later version of the program.
    """
    start = 0
    for line in file:
        if line.endswith(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if _is_record(record):
                if record.get("schema", SCHEMA) != SCHEMA:
                    parsed(line)  # says whose line it is
                yield start, record
        start += len(line)


def _is_record(record: Any) -> TypeGuard[dict[str, Any]]:
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        return False
    faces = record.get("faces") or []
    return isinstance(faces, list) and all(_is_face(face) for face in faces)


def _is_face(face: Any) -> bool:
    if not isinstance(face, dict):
        return False
    numbers = [face.get("score", 0), face.get("area_px", 0), face.get("confidence", 1)]
    detection = face.get("detection", {})
    if not isinstance(detection, dict):
        return False
    boxes = [one.get("box_xywh", [0] * 4) for one in (face, detection)]
    if not all(isinstance(box, list) and len(box) == 4 for box in boxes):
        return False
    return all(isinstance(number, int | float) for number in (*numbers, *boxes[0], *boxes[1]))
