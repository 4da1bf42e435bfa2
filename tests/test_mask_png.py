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
from pipeline.mask_png import LONGEST_SIDE_PX, encode_map, inflate_rows


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


def test_maps_with_a_palette() -> None:
    numbers = np.zeros((30, 40), np.uint8)
    numbers[3:20, 5:30] = 7
    palette = np.arange(768, dtype=np.uint16).astype(np.uint8).tobytes()
    encoded = encode_map(numbers, palette=palette)
    assert encoded is not None
    with Image.open(io.BytesIO(encoded)) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), numbers)
        assert bytes(image.getpalette() or ()) == palette
    for wrong, short in ((numbers.astype(np.uint16), palette), (numbers, palette[:9])):
        with pytest.raises(ValueError, match="palette: 256 colours are expected"):
            encode_map(wrong, palette=short)


def stream_of(numbers: NDArray[Any]) -> bytes:
    encoded = encode_map(numbers)
    assert encoded is not None
    return dict(png_chunks(encoded))[b"IDAT"][8:-4]


def check_beginnings(stream: bytes, counts: list[int]) -> list[int]:
    """Compare with what zlib inflates; returns how many zeros were only counted."""
    counted = []
    for count in counts:
        zeros, content = inflate_rows(stream, count)
        assert bytes(zeros) + content == zlib.decompressobj().decompress(stream)[:count]
        counted.append(zeros)
    return counted


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 1500),
    first=st.integers(0, 399),
    rows=st.integers(1, 400),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_beginnings_are_what_zlib_inflates(
    width: int, first: int, rows: int, share: float, seed: int
) -> None:
    numbers = np.zeros((400, width), np.uint8)
    part = numbers[first : first + rows]
    part[:] = np.random.default_rng(seed).integers(0, 2, part.shape, np.uint8)
    check_beginnings(stream_of(numbers), [int(share * 400 * (width + 1))])


def test_empty_rows_at_the_top_are_counted_not_inflated() -> None:
    numbers = np.zeros((480, 640), np.uint8)
    numbers[240:300, 300:360] = 1
    whole = 480 * 641
    assert check_beginnings(stream_of(numbers), [0, 1, 100 * 641, 300 * 641, whole]) == [
        0,
        1,
        100 * 641,
        240 * 641,
        240 * 641,
    ]
    assert check_beginnings(stream_of(numbers[:0:-1] * 0), [479 * 641]) == [479 * 641]
    assert check_beginnings(stream_of(numbers[240:]), [240 * 641]) == [0]


PACKER = zlib.compressobj(6, zlib.DEFLATED, -15, 6, zlib.Z_RLE)
BLOCK = PACKER.compress(bytes(1 << 16)) + PACKER.flush(zlib.Z_FULL_FLUSH)
"""What 65,536 zeros of empty rows are packed to."""


def stored(content: bytes, last: bool = False) -> bytes:
    size = len(content)
    return bytes([last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + content


@pytest.mark.parametrize(
    "start",
    [
        stored(b""),
        stored(bytes(5)),
        stored(b"\x02\x01"),
        stored(bytes(7)) + stored(b"\x01"),
        b"\x00\xa5\x00\x5a\xff",
    ],
    ids=["at once", "zeros", "others", "zeros and others", "within a block"],
)
def test_streams_of_others_with_the_same_block(start: bytes) -> None:
    """Only where a block of zeros is one, and nothing but zeros comes before, is it counted."""
    end = stored(b"\x03" * 300, last=True)
    packer = zlib.decompressobj(-15)
    content = packer.decompress(start + BLOCK + end)
    within = start == b"\x00\xa5\x00\x5a\xff"
    if within:  # a stored block of 165 bytes, in which ours lies as pixels do
        content = BLOCK + bytes(165 - len(BLOCK)) + b"\x03" * 300
        stream = b"\x78\x01" + start + BLOCK + bytes(165 - len(BLOCK)) + end
    else:
        assert len(content) > 1 << 16
        stream = b"\x78\x01" + start + BLOCK + end
    stream += zlib.adler32(content).to_bytes(4)
    assert zlib.decompress(stream) == content
    counted = check_beginnings(stream, [len(content), 3, len(content) - 9])
    assert any(counted) == (not within and not any(content[:20]))


def test_a_stream_that_refers_back_into_the_zeros() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, bytes(32768))
    content = bytes(1 << 16) + b"\x01" * 40 + bytes(3000) + b"\x01" * 40
    rest = packer.compress(content[1 << 16 :]) + packer.flush()
    stream = b"\x78\x01" + BLOCK + rest + zlib.adler32(content).to_bytes(4)
    assert zlib.decompress(stream) == content
    assert any(check_beginnings(stream, [len(content), 70_000]))


def test_damaged_streams_are_refused() -> None:
    numbers = np.zeros((480, 640), np.uint8)
    numbers[240:400] = np.random.default_rng(0).integers(0, 2, (160, 640), np.uint8)
    stream = stream_of(numbers)
    after = stream.rindex(BLOCK) + len(BLOCK)
    for at in (0, 2, after):  # a kind of block that there is not, and a head of nothing
        with pytest.raises(zlib.error):
            inflate_rows(stream[:at] + b"\x07" + stream[at + 1 :], 400 * 641)
