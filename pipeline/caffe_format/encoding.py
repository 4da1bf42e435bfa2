"""Protobuf's wire format, writing side (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations


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
