"""The types of the manifest's lines, their number, and how a line is read.

What is written here is a promise to whoever reads ``manifest.jsonl``; docs/manifest.schema.json says the same
as a JSON Schema. A key that is added keeps the number; one that goes or changes its meaning raises it.
"""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from pipeline.errors import UsageError

SCHEMA = 2
"""Number of the present form. Lines of version 0.1.0 have none, which is form 1."""

SizeWh = Annotated[list[int], Field(min_length=2, max_length=2)]
BoxXywh = Annotated[list[int], Field(min_length=4, max_length=4)]
PointXy = Annotated[list[float], Field(min_length=2, max_length=2)]

_OPEN = ConfigDict(extra="allow", strict=True)
"""Keys that a later version of the same form adds are let through."""


@with_config(_OPEN)
class ErrorEntry(TypedDict):
    """An error: where, which class, and what was wrong."""

    stage: str
    type: str
    message: str


@with_config(_OPEN)
class DetectionEntry(TypedDict):
    """What a detector said: a box on the upright photograph in pixels, a score, the detector's name."""

    box_xywh: BoxXywh
    score: float
    detector: str


@with_config(_OPEN)
class FaceEntry(TypedDict):
    """A face. Boxes and points are in pixels of the upright photograph.

    ``turn_degrees``: 0, 90, 180 or 270, by which the crop was turned counter-clockwise for the head to stand
    upright. ``numpy.rot90(crop_mask, -turn_degrees // 90)`` lies in the photograph at ``box_xywh``.
    ``score``: mean probability of face over the mask. ``confidence``: of faces with 0.9 nine in ten are right
    (the mask has an intersection over union of 0.7 with a real face's). ``landmark_quality``: how likely the
    landmarks lie within a twentieth of the face's width, on average.
    ``track_id``: which person of a clip it is. ``mirror_disagreement``: with ``network.mirror``, the share of
    the face's pixels that the network decides otherwise in the mirrored crop.
    """

    number: int
    box_xywh: BoxXywh
    turn_degrees: Annotated[int, Field(ge=0, le=270, multiple_of=90)]
    detection: DetectionEntry
    landmarks: Annotated[list[PointXy], Field(min_length=68, max_length=68)]
    score: float
    confidence: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    landmark_quality: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    area_px: int
    files: dict[str, str]
    track_id: NotRequired[int | None]
    mirror_disagreement: NotRequired[float]


@with_config(_OPEN)
class TrackEntry(TypedDict):
    """One face through a clip: number, first and last frame, frames in which it was seen or filled in.

    ``confidence``: mean over the frames in which it was seen, likewise.
    """

    track: int
    first_frame: int
    last_frame: int
    seen: int
    filled: int
    confidence: NotRequired[Annotated[float, Field(ge=0, le=1)]]


@with_config(_OPEN)
class ClipEntry(TypedDict):
    """What is counted of a clip; its faces are in ``tracks/NAME.jsonl``.

    ``frames``: in the file; ``decoded``: those that could be; ``with_faces``: those with a mask. ``seconds``:
    its length. ``time_base``: numerator and denominator of the seconds of a unit of ``pts``. ``cuts``: frames
    with which shots begin. ``seen``, ``filled``: faces found, and faces put between others of their track;
    ``missed``: faces that were to be put there but that the network did not see. ``undecoded``: first and
    last of every row of frames that could not be decoded and have no mask.
    """

    frames: int
    decoded: int
    with_faces: int
    seconds: float
    time_base: Annotated[list[int], Field(min_length=2, max_length=2)]
    cuts: list[int]
    seen: int
    filled: int
    missed: int
    tracks: list[TrackEntry]
    undecoded: NotRequired[list[Annotated[list[int], Field(min_length=2, max_length=2)]]]


@with_config(_OPEN)
class Record(TypedDict):
    """One photograph or clip: a line of the manifest.

    ``photo`` and ``root`` are readable texts; where these are not the paths themselves, ``photo_bytes`` and
    ``root_bytes`` are their bytes in hexadecimal digits. ``kept_files``: where the photograph failed, files
    of an earlier result of the very same photograph, or, where it could not be read in time, of the content
    that ``sha256`` then tells. ``faces_at_limit``: how many faces of a photograph are
    so small that others like them were probably not found. ``clip``: of clips that did not fail; their
    ``faces`` are empty.
    """

    schema: Literal[2]
    program: str
    name: str
    photo: str
    photo_bytes: NotRequired[str]
    root: str
    root_bytes: NotRequired[str]
    status: Literal["ok", "no_face", "partial", "failed"]
    sha256: str | None
    format: str | None
    size_wh: SizeWh | None
    stored_size_wh: SizeWh | None
    orientation: Literal["upright", "stored"]
    stored_orientation: int | None
    frames_not_read: int
    notes: list[str]
    faces: list[FaceEntry]
    faces_at_limit: NotRequired[int]
    clip: NotRequired[ClipEntry]
    files: dict[str, str]
    kept_files: list[str]
    errors: list[ErrorEntry]
    engine: dict[str, Any]
    digest: str
    seconds: dict[str, float]


@functools.cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a line as it is written."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A line of manifest.jsonl"}
    return {**_adapter().json_schema(), **about}


def parsed(line: bytes) -> Record | None:
    """Read a line, in the present form or in that of version 0.1.0.

    Returns
    -------
    Record or None
        In the present form; None where the line is no record of a photograph.

    Raises
    ------
    UsageError
        The line was written in a later form.
    """
    try:
        loaded = json.loads(line)
        if not isinstance(loaded, dict):
            return None
        form = loaded.get("schema", 1)
        if isinstance(form, int) and form > SCHEMA:
            program = loaded.get("program", "a later program")
            raise UsageError(
                f"the manifest was written by {program} (form {form}), and this program reads up to form "
                f"{SCHEMA}; use that one, or another output directory"
            )
        record: Any = loaded if "schema" in loaded else _from_first_form(loaded)
        _adapter().validate_python(record)
    except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
        return None
    checked: Record = record
    return checked


def _from_first_form(old: dict[str, Any]) -> dict[str, Any]:
    """A line of version 0.1.0 in the present form."""
    faces = old.get("faces")
    turned = [{"turn_degrees": 0, **face} if isinstance(face, dict) else face for face in faces or ()]
    added: dict[str, Any] = {"frames_not_read": 0, "notes": [], "kept_files": []}
    return {"schema": SCHEMA, "program": "uncrop 0.1.0", **added, **old, "faces": turned}
