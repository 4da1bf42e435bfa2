"""A line of ``review.jsonl``, and what of many lines about a photograph still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.errors import UsageError

SCHEMA = 1
"""Of the lines of ``review.jsonl``; lines of a later one are refused, not guessed at."""

Verdict = Literal["accept", "reject", "correct", "reset"]
"""``accept``: right as it stands. ``reject``: of a face, it is none and does not count; of a photograph,
leave it out. ``correct``: a corrected map was drawn. ``reset``: as if never judged (of a photograph: with all
its faces and its corrected map)."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of ``review.jsonl``.

    Attributes
    ----------
    name
        Name of the photograph, as in the manifest.
    face
        Number of the face in the record or, for a face that a person added, in the corrected map; None: the
        photograph as a whole.
    verdict
        See `Verdict`.
    judged
        What was looked at: the `fingerprint` of the record, or the SHA-256 of the corrected map.
    photo_sha256
        SHA-256 of the photograph's bytes, or None where the run does not know it.
    who
        A name, or what stands for one (``import:coco``).
    when
        ISO 8601, UTC.
    file
        The corrected map, below the output directory; None for other verdicts than ``correct``.
    file_sha256
        Its hash.
    face_files
        Number of a face that shares pixels with others to its whole mask, below the output directory.
    turn
        EXIF orientation of the stored pixel grid that the files lie on; 1: they are upright.
    schema
        See `SCHEMA`.
    """

    name: str
    face: int | None
    verdict: Verdict
    judged: str
    photo_sha256: str | None
    who: str
    when: str
    file: str | None = None
    file_sha256: str | None = None
    face_files: Mapping[str, str] = field(default_factory=dict)
    turn: int = 1
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise ValueError(
                f"verdict: one of {', '.join(get_args(Verdict))} is expected, got {self.verdict!r}"
            )
        if self.face is not None and self.face < 1:
            raise ValueError(f"face: a number from 1 on is expected, got {self.face}")


@dataclass(frozen=True, slots=True)
class PhotoReview:
    """What people have said of one photograph, as far as it holds.

    Attributes
    ----------
    name
        Name of the photograph.
    verdict
        ``accept`` or ``reject`` for the photograph as a whole; None: not judged, or stale.
    faces
        Number of a face to ``accept`` or ``reject``; without stale ones.
    correction
        The line of the corrected map that holds, or None.
    rebased
        Whether the run has found other faces since the map was drawn: its numbers are no longer the record's.
    stale
        Whether a judgement was left out because what it was about has changed.
    shown
        What a judgement made now is about; see `Judgement.judged`.
    """

    name: str
    verdict: Literal["accept", "reject"] | None
    faces: Mapping[int, Literal["accept", "reject"]]
    correction: Judgement | None
    rebased: bool
    stale: bool
    shown: str


def fingerprint(record: Mapping[str, Any]) -> str:
    """Hash of what a person looks at: the photograph's bytes and the faces that the run has found.

    The configuration is not in it: a run with other overlays, or on another engine, that finds the same faces
    with the same areas and scores leaves judgements valid.

    Returns
    -------
    str
        64 hex digits.
    """
    seen = ("number", "box_xywh", "landmarks", "score", "area_px")
    faces = [[face.get(key) for key in seen] for face in record.get("faces", ())]
    text = json.dumps([record.get("sha256"), faces], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def holding(record: Mapping[str, Any], history: Iterable[Judgement]) -> PhotoReview:
    """What holds of the judgements of a photograph, given its present record.

    Parameters
    ----------
    record
        Of the photograph, as the manifest has it.
    history
        All judgements of it, the first one first.

    Returns
    -------
    PhotoReview
    """
    present = fingerprint(record)
    correction: Judgement | None = None
    whole: Judgement | None = None
    faces: dict[int, Judgement] = {}
    stale = False
    for line in history:
        if line.verdict == "reset":
            stale = False
            if line.face is None:
                correction, whole = None, None
                faces.clear()
            else:
                faces.pop(line.face, None)
        elif line.verdict == "correct":
            known = line.photo_sha256 is None or line.photo_sha256 == record.get("sha256")
            correction = line if known and line.file is not None else None
            stale = stale or correction is None
            whole = None
            faces.clear()
        elif line.face is None:
            whole = line
        else:
            faces[line.face] = line
    shown = present if correction is None or correction.file_sha256 is None else correction.file_sha256
    given = [*([whole] if whole else []), *faces.values()]
    return PhotoReview(
        name=record["name"],
        verdict=_opinion(whole) if whole is not None and whole.judged == shown else None,
        faces={number: _opinion(line) for number, line in faces.items() if line.judged == shown},
        correction=correction,
        rebased=correction is not None and correction.judged != present,
        stale=stale or any(line.judged != shown for line in given),
        shown=shown,
    )


def parse_judgement(line: bytes, path: Path) -> Judgement | None:
    """The judgement of a line; None for one that was cut off."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    if isinstance(values.get("schema"), int) and values["schema"] > SCHEMA:
        raise UsageError(
            f"{path}: written by a later version of the program (schema {values['schema']}); use that"
        )
    known = {key: values[key] for key in Judgement.__dataclass_fields__ if key in values}
    try:
        return Judgement(**known)
    except (TypeError, ValueError):
        return None


def _opinion(line: Judgement) -> Literal["accept", "reject"]:
    return "reject" if line.verdict == "reject" else "accept"
