from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from landmarks.arrays import Float32Array
from pipeline.caffe_format.caffemodel import WeightLayer, load_blob, read_caffemodel
from pipeline.errors import ModelError, ModelFormatError, ModelMissingError
from pipeline.wire_format import length_tag, string_field, varint, varint_field

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def field(number: int, data: bytes) -> bytes:
    return length_tag(number, len(data)) + data


def shape(*dims: int) -> bytes:
    return field(7, field(1, b"".join(varint(dim) for dim in dims)))


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def layer(*blobs: bytes, name: str = "conv") -> bytes:
    content = string_field(1, name) + string_field(2, "Convolution")
    return field(100, content + b"".join(field(7, blob) for blob in blobs))


def read(path: Path, data: bytes) -> list[tuple[WeightLayer, list[Float32Array]]]:
    path.write_bytes(data)
    layers = read_caffemodel(path)
    with path.open("rb") as file:
        return [
            (one, [load_blob(path, file, one, index) for index in range(len(one.blobs))]) for one in layers
        ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.caffemodel"


PACKED = shape(2, 1) + field(5, floats(1.5, -2))
UNPACKED = shape(2) + b"".join(varint(5 << 3 | 5) + floats(value) for value in (1.5, -2))
DOUBLES = shape(2) + field(8, struct.pack("<2d", 1.5, -2))
UNPACKED_DOUBLES = shape(2) + b"".join(varint(8 << 3 | 1) + struct.pack("<d", value) for value in (1.5, -2))
IN_PIECES = shape(2) + field(5, floats(1.5)) + varint(5 << 3 | 5) + floats(-2)
LEGACY = b"".join(varint_field(number, dim) for number, dim in enumerate((1, 1, 1, 2), 1)) + field(
    5, floats(1.5, -2)
)
SHAPE_IN_SINGLE_DIMS = field(7, varint_field(1, 2) + varint_field(1, 1)) + field(5, floats(1.5, -2))
WITH_DIFF = PACKED + field(6, floats(9, 9)) + b"".join(varint(6 << 3 | 5) + floats(9) for _ in range(300))


@pytest.mark.parametrize(
    ("blob", "dims"),
    [
        (PACKED, (2, 1)),
        (UNPACKED, (2,)),
        (DOUBLES, (2,)),
        (UNPACKED_DOUBLES, (2,)),
        (IN_PIECES, (2,)),
        (LEGACY, (1, 1, 1, 2)),
        (SHAPE_IN_SINGLE_DIMS, (2, 1)),
        (WITH_DIFF, (2, 1)),
        (field(5, floats(1.5, -2)), (2,)),
    ],
)
def test_every_way_to_store_numbers(blob: bytes, dims: tuple[int, ...], path: Path) -> None:
    ((found, (values,)),) = read(path, layer(blob))
    assert (found.name, found.type, found.blobs[0].shape) == ("conv", "Convolution", dims)
    assert found.blobs[0].legacy == (dims == (1, 1, 1, 2))
    assert values.dtype == np.float32
    assert values.tolist() == [1.5, -2]


def test_long_run_of_unpacked_numbers(path: Path) -> None:
    expected = np.arange(100_000, dtype=np.float32)
    records = np.zeros(expected.size, [("tag", "u1"), ("value", "<f4")])
    records["tag"], records["value"] = 5 << 3 | 5, expected
    ((_, (values,)),) = read(path, layer(shape(expected.size) + records.tobytes()))
    assert np.array_equal(values, expected)


def test_old_form_and_unknown_fields(path: Path) -> None:
    v1 = field(2, string_field(4, "old") + varint_field(5, 4) + field(6, PACKED))
    net = string_field(1, "net") + varint_field(999, 7) + varint(3 << 3 | 1) + bytes(8) + v1 + layer(PACKED)
    assert [found.name for found, _ in read(path, net)] == ["old", "conv"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"PK\x03\x04...", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"a text file that is long enough", "is no caffemodel"),
        (bytes(100), "field number 0"),
        (string_field(1, "net"), "holds no weights"),
        (layer(), "holds no weights"),
        (layer(PACKED)[:-3], "only .* are left"),
        (layer(PACKED) + layer(PACKED, name="second")[:-3], "after layer 'conv'"),
        (layer(shape(3) + field(5, floats(1, 2))), "layer 'conv' .* shape 3 holds 2 numbers"),
        (layer(shape(2**62, 2**62) + field(5, floats(1))), "holds 1 numbers"),
        (layer(shape(2**64 - 1) + field(5, floats(1))), "shape -1 holds 1"),
        (layer(shape(*[1] * 40) + field(5, floats(1))), "more than 32 dimensions"),
        (layer(shape(1) + field(5, b"12345")), "5 bytes of weights"),
        (layer(shape(1) + field(5, floats(float("nan")))), "NaN or infinite"),
        (layer(shape(2) + field(5, floats(1, float("-inf")))), "NaN or infinite"),
        (field(2, string_field(4, "old") + field(1, string_field(1, "older"))), "layer 'old' .*V0"),
        (layer(varint(7 << 3 | 3)), "wire type 3"),
        (layer(b"\xff" * 11), "longer than ten bytes"),
    ],
)
def test_damaged_files(data: bytes, problem: str, path: Path) -> None:
    with pytest.raises(ModelFormatError, match=problem) as caught:
        read(path, data)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError):
        read_caffemodel(tmp_path / "none.caffemodel")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        read_caffemodel(tmp_path)


def test_file_cut_between_listing_and_loading(path: Path) -> None:
    path.write_bytes(layer(PACKED))
    (found,) = read_caffemodel(path)
    path.write_bytes(layer(PACKED)[:-4])
    with path.open("rb") as file, pytest.raises(ModelFormatError, match="ends inside the weights"):
        load_blob(path, file, found, 0)


GOOD = (
    string_field(1, "net")
    + layer(PACKED, UNPACKED)
    + layer(LEGACY, DOUBLES, name="second")
    + layer(WITH_DIFF)
)


@FUZZ
@given(st.binary(max_size=200))
@example(b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
def test_random_bytes_are_refused_or_read(path: Path, data: bytes) -> None:
    try:
        read(path, data)
    except ModelError as error:
        assert str(path) in str(error)


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.data()
)
def test_damaged_good_file_is_refused_or_read(
    path: Path, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(GOOD)
    for position, value in changes:
        damaged[position] = value
    end = data.draw(st.integers(0, len(damaged)))
    try:
        read(path, bytes(damaged[:end]))
    except ModelError as error:
        assert str(path) in str(error)
