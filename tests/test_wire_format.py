"""What is written is read again; damaged messages are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire_format import fields, length_tag, string_field, varint, varint_field


def test_numbers_of_the_specification() -> None:
    assert varint(1) == b"\x01"
    assert varint(150) == b"\x96\x01"
    assert varint_field(1, 150) == b"\x08\x96\x01"
    assert string_field(2, "testing") == b"\x12\x07testing"


@given(
    st.lists(
        st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=300)), max_size=9
    )
)
def test_messages_are_read_as_they_were_written(given_fields: list[tuple[int, int | bytes]]) -> None:
    body = b"".join(
        varint_field(number, value) if isinstance(value, int) else length_tag(number, len(value)) + value
        for number, value in given_fields
    )
    assert list(fields(body)) == given_fields


def test_fixed_numbers_are_given_as_bytes() -> None:
    assert list(fields(b"\x09" + bytes(8) + b"\x15" + b"abcd")) == [(1, bytes(8)), (2, b"abcd")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x0a\x05abc", "ends in the middle of a message"),
        (b"\x0d\x00", "ends in the middle of a message"),
        (b"\x08", "ends in the middle of a number"),
        (b"\x08" + b"\xff" * 10, "a number of more than ten bytes"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_damaged_messages(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(fields(body))
