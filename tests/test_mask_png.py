"""Masks as PNG: every reader gives back what went in, and empty rows cost next to nothing."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.deep.png import png_chunks
from pipeline.mask_png import LONGEST_SIDE_PX, encode_map


def check(numbers: NDArray[Any]) -> bytes:
    """Read a map back with two libraries, and with zlib alone, which holds the sum at the stream's end."""
    encoded = encode_map(numbers)
    assert encoded is not None
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert decoded.dtype == numbers.dtype
    assert np.array_equal(decoded, numbers)
    with Image.open(io.BytesIO(encoded)) as image:
        assert np.array_equal(np.asarray(image), numbers)
    chunks = list(png_chunks(encoded))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    for kind, chunk in chunks:
        assert zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:]), kind
    rows = zlib.decompress(chunks[1][1][8:-4])
    assert len(rows) == numbers.shape[0] * (1 + numbers.shape[1] * numbers.itemsize)
    return encoded


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 1500),
    first=st.integers(0, 399),
    rows=st.integers(0, 400),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_map_comes_back(
    height: int, width: int, first: int, rows: int, kind: type[np.uint8] | type[np.uint16], seed: int
) -> None:
    numbers = np.zeros((height, width), kind)
    part = numbers[first : first + rows]
    part[:] = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, part.shape, kind, endpoint=True)
    check(numbers)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_face_in_a_large_photograph(kind: type[np.uint8] | type[np.uint16]) -> None:
    mask = np.zeros((2000, 3000), kind)
    cv2.ellipse(mask, (1700, 900), (210, 300), 12, 0, 360, (int(np.iinfo(kind).max),), cv2.FILLED)
    packed = check(mask)
    options = (
        cv2.IMWRITE_PNG_STRATEGY,
        cv2.IMWRITE_PNG_STRATEGY_RLE,
        cv2.IMWRITE_PNG_FILTER,
        cv2.IMWRITE_PNG_FILTER_UP,
    )
    _, usual = cv2.imencode(".png", mask, options)
    assert len(packed) < 1.3 * len(usual)


def test_an_empty_mask_is_small() -> None:
    assert len(check(np.zeros((4000, 6000), np.uint8))) < 24_000_000 / 700


def test_maps_that_do_not_lie_in_one_piece() -> None:
    numbers = np.arange(48, dtype=np.uint8).reshape(6, 8)
    check(np.rot90(numbers))
    check(numbers[::-1, 1:5])


def test_sides_up_to_what_readers_take() -> None:
    longest = np.zeros((1, LONGEST_SIDE_PX), np.uint8)
    longest[0, -1] = 255
    check(longest)
    assert encode_map(np.zeros((LONGEST_SIDE_PX + 1, 1), np.uint8)) is None


@pytest.mark.parametrize(
    "numbers", [np.zeros((3, 4), np.int32), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_what_is_no_map_is_refused(numbers: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"numbers: expected \(H, W\) uint8 or uint16"):
        encode_map(numbers)
