"""Protobuf's wire format (protobuf.dev/programming-guides/encoding), of messages held in memory whole."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Encode a number of 0 or more in groups of seven bits, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_tag(field: int, length: int) -> bytes:
    """Encode the head of a field that holds `length` bytes: a string, a message or packed numbers."""
    return varint(field << 3 | 2) + varint(length)


def varint_field(field: int, value: int) -> bytes:
    """Encode a whole number field."""
    return varint(field << 3) + varint(value)


def string_field(field: int, text: str) -> bytes:
    """Encode a string field."""
    data = text.encode()
    return length_tag(field, len(data)) + data


def fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message; fields of unknown numbers come along, as proto3 asks.

    Raises
    ------
    ValueError
        It is damaged; says where.
    """
    place = 0
    while place < len(body):
        key, place = _read_varint(body, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"field number 0 before byte {place} of a message")
        if kind == _VARINT:
            value, place = _read_varint(body, place)
            yield number, value
            continue
        if kind == _BYTES:
            length, place = _read_varint(body, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} before byte {place} of a message")
        if place + length > len(body):
            raise ValueError("it ends in the middle of a message")
        yield number, body[place : place + length]
        place += length


def _read_varint(body: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(body):
            raise ValueError("it ends in the middle of a number")
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % 2**64, place
    raise ValueError("a number of more than ten bytes")
