"""Protobuf's wire format in a memory map: where the values of a message lie, without reading them.

protobuf.dev/programming-guides/encoding. `pipeline.wire_format` is for messages that fit into memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Set

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""


class WireError(Exception):
    """What is wrong with a file at an offset; whoever knows the file makes an error of the program of it."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset


def fields(
    data: mmap.mmap, position: int, end: int, runs: Set[int] = frozenset()
) -> Iterator[tuple[int, int, int, int]]:
    """Yield field number, wire type and the bytes ``[low, high)`` of each value in a message.

    Parameters
    ----------
    data
        The file.
    position, end
        The first byte of the message, and the first one after it.
    runs
        Fields of fixed size whose unpacked numbers (one tag for each) come as one value, from the first
        number to the last.

    Raises
    ------
    WireError
        The message is damaged.
    """
    while position < end:
        tag_at = position
        tag, position = varint(data, position, end)
        field, wire = tag >> 3, tag & 7
        if not 1 <= field < 2**29:
            raise WireError(tag_at, f"field number {field} cannot be")
        low = position
        match wire:
            case 0:
                _, position = varint(data, position, end)
            case 1 | 5:
                position += 8 if wire == FIXED64 else 4
                if field in runs:
                    position = _end_of_run(data, tag_at, position, end)
            case 2:
                length, low = varint(data, position, end)
                position = low + length
            case _:
                raise WireError(tag_at, f"wire type {wire} cannot be")
        if position > end:
            raise WireError(
                tag_at, f"a value of {position - low} bytes, but only {max(end - low, 0)} are left"
            )
        yield field, wire, low, position


def _end_of_run(data: mmap.mmap, tag_at: int, position: int, end: int) -> int:
    """Step over all further numbers that carry the same one-byte tag."""
    record = position - tag_at
    if record not in {5, 9}:
        return position
    tag, block = data[tag_at], 64
    while True:
        available = min((end - position) // record, block)
        if available < 1:
            return position
        tags = np.frombuffer(data[position : position + available * record], np.uint8)[::record]
        others = np.flatnonzero(tags != tag)
        if others.size:
            return position + int(others[0]) * record
        position += available * record
        block = min(block * 4, 2**20)


def varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A number of 64 bits without sign, and the place behind it; `WireError` if it is cut off."""
    value = shift = 0
    start = position
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position
        shift += 7
        if shift > 63:
            raise WireError(start, "a number longer than ten bytes")
    raise WireError(start, "the data end inside a number")


def signed(value: int) -> int:
    """A number of 64 bits read as one with a sign."""
    return value - 2**64 if value >= 2**63 else value
