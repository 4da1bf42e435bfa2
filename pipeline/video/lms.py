"""Landmark files (``.lms``) exactly as find_face_landmarks writes and reads them.

One plain proto3 message ``sfl.io.Sequence``, without magic, length or compression (``protobuf/*.proto`` of
YuvalNirkin/find_face_landmarks)::

    Sequence    { repeated Frame frames = 1; string input_path = 2; }
    Frame       { uint32 id = 1; uint32 width = 2; uint32 height = 3; repeated Face faces = 4; }
    Face        { uint32 id = 1; BoundingBox bbox = 2; repeated Point landmarks = 3; }
    BoundingBox { int32 left = 1; int32 top = 2; uint32 width = 3; uint32 height = 4; }
    Point       { int32 x = 1; int32 y = 2; }

Every frame of the clip is there, with no faces where none were found. ``bbox`` is the detection, not the
crop.

protobuf's own library, which the tests compare with, would need descriptions of these messages made when the
program runs, and says of a damaged file neither what is wrong nor where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.errors import LandmarkFileError
from pipeline.wire_format import fields, length_tag, varint_field

_NEXT_STEP = "Write it anew with find_face_landmarks' sfl_cache, or set landmarks.read to null"


@dataclass(frozen=True, slots=True, eq=False)
class LmsFace:
    """One face of a frame.

    Attributes
    ----------
    id
        Track of the face; without tracking its index in the frame. Not below 0.
    box
        The detection, half-open pixels.
    points
        (n, 2) int32 x, y in pixels; n is 68 in every known file.
    """

    id: int
    box: Box
    points: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class LmsFrame:
    """One frame: its counter from 0, its size in pixels, and its faces."""

    id: int
    width: int
    height: int
    faces: tuple[LmsFace, ...] = ()


def write_lms(frames: Iterable[LmsFrame], input_path: str) -> Iterator[bytes]:
    """Serialise a sequence in pieces, a frame at a time.

    Parameters
    ----------
    frames
        Every frame of the clip in the order shown.
    input_path
        What the landmarks belong to, as find_face_landmarks stores it. Bytes that are no UTF-8 become ``?``.

    Yields
    ------
    bytes
        Together the file.
    """
    for frame in frames:
        body = _number(1, frame.id) + _number(2, frame.width) + _number(3, frame.height)
        yield _message(1, body + b"".join(_message(4, _face(face)) for face in frame.faces))
    path = input_path.encode("utf-8", "replace")
    if path:
        yield _message(2, path)


def read_lms(path: str | PathLike[str]) -> tuple[list[LmsFrame], str]:
    """Read a landmark file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    frames
        In the order of the file.
    input_path
        What it says that they belong to; may be empty.

    Raises
    ------
    LandmarkFileError
        The file cannot be read, or is not one serialised Sequence.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise LandmarkFileError(path, f"cannot be read: {error.strerror}", _NEXT_STEP) from error
    frames: list[LmsFrame] = []
    input_path = ""
    try:
        for number, value in fields(content):
            if number == 1:
                frames.append(_read_frame(_expect_bytes(value)))
            elif number == 2:
                input_path = _expect_bytes(value).decode("utf-8", "replace")
    except ValueError as error:
        message = f"is not a landmark file of find_face_landmarks: {error}"
        raise LandmarkFileError(path, message, _NEXT_STEP) from error
    if not frames:
        raise LandmarkFileError(path, "holds no frames", _NEXT_STEP)
    return frames, input_path


def _face(face: LmsFace) -> bytes:
    box = face.box
    corners = _number(1, box.x) + _number(2, box.y) + _number(3, box.width) + _number(4, box.height)
    points = b"".join(_message(3, _number(1, x) + _number(2, y)) for x, y in face.points.tolist())
    return _number(1, face.id) + _message(2, corners) + points


@lru_cache(maxsize=1 << 16)  # coordinates come again and again
def _number(field: int, value: int) -> bytes:
    """A number with its key; proto3 leaves zeros out, and negative ones take ten bytes."""
    return b"" if value == 0 else varint_field(field, value % 2**64)


def _message(field: int, body: bytes) -> bytes:
    return _head(field, len(body)) + body


_head = lru_cache(maxsize=1 << 10)(length_tag)


def _read_frame(body: bytes) -> LmsFrame:
    numbers = {1: 0, 2: 0, 3: 0}
    faces: list[LmsFace] = []
    for number, value in fields(body):
        if number in numbers:
            numbers[number] = _expect_uint32(value)
        elif number == 4:
            faces.append(_read_face(_expect_bytes(value)))
    return LmsFrame(numbers[1], numbers[2], numbers[3], tuple(faces))


def _read_face(body: bytes) -> LmsFace:
    face_id = 0
    box = [0, 0, 0, 0]
    points: list[tuple[int, int]] = []
    for number, value in fields(body):
        if number == 1:
            face_id = _expect_uint32(value)
        elif number == 2:
            for side, length in fields(_expect_bytes(value)):
                if 1 <= side <= 4:
                    box[side - 1] = _int32(length) if side <= 2 else _expect_uint32(length)
        elif number == 3:
            point = [0, 0]
            for axis, length in fields(_expect_bytes(value)):
                if 1 <= axis <= 2:
                    point[axis - 1] = _int32(length)
            points.append((point[0], point[1]))
    return LmsFace(face_id, Box(*box), np.array(points, np.int32).reshape(-1, 2))


def _expect_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")  # noqa: TRY004 - it is the content
    return value


def _expect_uint32(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a message where a number is expected")  # noqa: TRY004 - it is the content
    return value % 2**32


def _int32(value: int | bytes) -> int:
    number = _expect_uint32(value)
    return number - 2**32 if number >= 2**31 else number
