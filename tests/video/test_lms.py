"""Landmark files agree with a reader built from the field numbers by protobuf itself, and survive damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from landmarks.geometry import Box
from pipeline.errors import LandmarkFileError
from pipeline.video.lms import LmsFace, LmsFrame, read_lms, write_lms

_TYPES = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, list[tuple[str, int, str, str | None]]] = {
    "Point": [("x", 1, "INT32", None), ("y", 2, "INT32", None)],
    "BoundingBox": [
        ("left", 1, "INT32", None),
        ("top", 2, "INT32", None),
        ("width", 3, "UINT32", None),
        ("height", 4, "UINT32", None),
    ],
    "Face": [
        ("id", 1, "UINT32", None),
        ("bbox", 2, "MESSAGE", "BoundingBox"),
        ("landmarks", 3, "LIST", "Point"),
    ],
    "Frame": [
        ("id", 1, "UINT32", None),
        ("width", 2, "UINT32", None),
        ("height", 3, "UINT32", None),
        ("faces", 4, "LIST", "Face"),
    ],
    "Sequence": [("frames", 1, "LIST", "Frame"), ("input_path", 2, "STRING", None)],
}


def sequence_class() -> Any:
    """The Sequence message as protobuf's own library makes it of the published field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="sfl.proto", package="sfl.io", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, other in fields:
            added = message.field.add(name=field, number=number)
            added.label = _TYPES.LABEL_REPEATED if kind == "LIST" else _TYPES.LABEL_OPTIONAL
            added.type = _TYPES.TYPE_MESSAGE if kind == "LIST" else getattr(_TYPES, f"TYPE_{kind}")
            if other:
                added.type_name = f".sfl.io.{other}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sfl.io.Sequence"))


SEQUENCE = sequence_class()


def as_protobuf(frames: list[LmsFrame], input_path: str) -> Any:
    sequence = SEQUENCE(input_path=input_path)
    for frame in frames:
        added = sequence.frames.add(id=frame.id, width=frame.width, height=frame.height)
        for face in frame.faces:
            other = added.faces.add(id=face.id)
            other.bbox.left, other.bbox.top = face.box.x, face.box.y
            other.bbox.width, other.bbox.height = face.box.width, face.box.height
            for x, y in face.points.tolist():
                other.landmarks.add(x=x, y=y)
    return sequence


COORDINATE = st.one_of(st.integers(-300, 5000), st.integers(-(2**31), 2**31 - 1))
SIZE = st.integers(0, 2**32 - 1)
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE), max_size=70).map(
    lambda points: np.array(points, np.int32).reshape(-1, 2)
)
FACES = st.builds(LmsFace, SIZE, st.builds(Box, COORDINATE, COORDINATE, SIZE, SIZE), POINTS)
FRAMES = st.lists(st.builds(LmsFrame, SIZE, SIZE, SIZE, st.lists(FACES, max_size=3).map(tuple)), max_size=4)


@given(FRAMES, st.text(max_size=20))
def test_bytes_are_those_of_protobuf(frames: list[LmsFrame], path: str) -> None:
    path = path.encode("utf-8", "replace").decode()
    assert b"".join(write_lms(frames, path)) == as_protobuf(frames, path).SerializeToString()


@given(FRAMES.filter(bool))
def test_what_protobuf_writes_is_read_back(frames: list[LmsFrame]) -> None:
    # hypothesis runs many examples in one test: no tmp_path
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "clip.lms")
        file.write_bytes(as_protobuf(frames, "clip.mp4").SerializeToString())
        read, path = read_lms(file)
    assert path == "clip.mp4"
    assert as_protobuf(read, path) == as_protobuf(frames, path)


def test_a_frame_without_faces_is_there() -> None:
    frames = [LmsFrame(0, 640, 360), LmsFrame(1, 640, 360)]
    written = b"".join(write_lms(frames, ""))
    assert written == bytes.fromhex("0a06108005 18e802".replace(" ", "")) + bytes.fromhex(
        "0a080801108005 18e802"
    )
    assert [frame.id for frame in SEQUENCE.FromString(written).frames] == [0, 1]


def test_fields_of_later_versions_are_skipped(tmp_path: Path) -> None:
    content = b"".join(write_lms([LmsFrame(3, 8, 9)], "a"))
    extra = bytes([15 << 3 | 5]) + b"abcd" + bytes([14 << 3 | 1]) + b"abcdefgh" + bytes([13 << 3, 5])
    (tmp_path / "new.lms").write_bytes(content + extra)
    frames, path = read_lms(tmp_path / "new.lms")
    assert (frames[0].id, frames[0].width, frames[0].height, path) == (3, 8, 9, "a")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no frames"),
        (b"\x0a\x06\x10\x80", "ends in the middle of a message"),
        (b"\x0a\x02\x10\x80", "ends in the middle of a number"),
        (b"\x08\x01", "a number where a message is expected"),
        (b"hello, this is text", "is not a landmark file"),
        (b"\x0a\x0b" + b"\x10" + b"\xff" * 10, "more than ten bytes"),
        (b"\x0b\x00", "wire type 3"),
        (b"\x00\x00", "field number 0"),
    ],
)
def test_damaged_files_are_refused_with_their_name(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "bad.lms"
    file.write_bytes(content)
    with pytest.raises(LandmarkFileError, match=reason) as caught:
        read_lms(file)
    assert str(file) in str(caught.value)
    assert "landmarks.read" in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(LandmarkFileError, match="cannot be read"):
        read_lms(tmp_path / "none.lms")
