"""Run lengths against the reference of COCO, literal codes, and Label Studio's stream read bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_api

from landmarks.arrays import Mask
from pipeline.exports.rle import (
    compress,
    decode_coco,
    decode_label_studio,
    decode_rows,
    decompress,
    encode_coco,
    encode_label_studio,
    encode_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


@st.composite
def windows(draw: st.DrawFn) -> tuple[Mask, tuple[int, int], tuple[int, int]]:
    """A window, the picture's size, and its place in it."""
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    left, right = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    above, below = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random((height, width)) < share
    return mask, (left + width + right, above + height + below), (left, above)


def pasted(mask: Mask, size_wh: tuple[int, int], at_xy: tuple[int, int]) -> Mask:
    picture = np.zeros(size_wh[::-1], bool)
    picture[at_xy[1] : at_xy[1] + mask.shape[0], at_xy[0] : at_xy[0] + mask.shape[1]] = mask
    return picture


@settings(max_examples=300, deadline=None)
@given(windows())
def test_coco_is_what_pycocotools_writes_and_reads(
    window: tuple[Mask, tuple[int, int], tuple[int, int]],
) -> None:
    picture = pasted(*window)
    expected = coco_api.encode(np.asfortranarray(picture.astype(np.uint8)))
    code = encode_coco(*window)
    assert code == expected["counts"].decode()
    assert np.array_equal(coco_api.decode({"size": expected["size"], "counts": code}) > 0, picture)
    assert np.array_equal(decode_coco(code, window[1]), picture)
    assert np.array_equal(decode_coco(decompress(code).tolist(), window[1]), picture)


def test_a_large_mask_has_long_counts() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[5:2990, 7:3990] = True
    mask[100:200, 300:400] = False
    expected = coco_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_coco(mask) == expected["counts"].decode()
    assert np.array_equal(decode_coco(encode_coco(mask), (4000, 3000)), mask)


def test_literal_codes() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
    assert encode_coco(mask) == compress([2, 3, 1]) == "231"
    assert decompress("").size == 0
    assert encode_rows(mask).tolist() == [1, 2, 1, 1, 1]
    assert encode_rows(~mask).tolist() == [0, 1, 2, 1, 1, 1]
    assert encode_coco(np.ones((2, 2), bool)) == "04"
    # 24 values of 8 bits; sizes 3, 4, 8, 16; runs of 4 (0), 8 (255), 4 (0), 4 (255), 4 (0)
    bits = (
        f"{24:032b}"
        + "00111"
        + "0010001101111111"
        + "".join(
            f"100{length - 1:03b}{value:08b}"
            for length, value in [(4, 0), (8, 255), (4, 0), (4, 255), (4, 0)]
        )
    )
    bits += "0" * (-len(bits) % 8)
    assert encode_label_studio(mask) == bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


@settings(max_examples=150, deadline=None)
@given(windows())
def test_rows_and_label_studio_come_back(window: tuple[Mask, tuple[int, int], tuple[int, int]]) -> None:
    mask, size_wh, _ = window
    assert np.array_equal(decode_rows(encode_rows(mask), mask.shape[::-1]), mask)
    code = encode_label_studio(*window)
    assert np.array_equal(decode_label_studio(list(code), size_wh), pasted(*window))


def restated_label_studio(code: bytes) -> NDArray[np.uint8]:
    """The documented stream, one bit string at a time."""
    bits = "".join(f"{byte:08b}" for byte in code)
    at = 0

    def take(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        run, length = take(1), take(sizes[take(2)]) + 1
        values += [take(word)] * length if run else [take(word) for _ in range(length)]
    return np.array(values, np.uint8)


def test_label_studio_runs_longer_than_a_block() -> None:
    mask = np.zeros((200, 300), bool)
    mask[1:180] = True  # a run of 214,800 values, and 65,536 are the most of a block
    values = restated_label_studio(encode_label_studio(mask)).reshape(200, 300, 4)
    assert np.array_equal(values, np.repeat(mask[:, :, None], 4, axis=2) * 255)


def test_label_studio_blocks_that_are_no_runs_are_read() -> None:
    pixels = [(0, 0, 0, 0), (255, 0, 0, 200), (255, 255, 255, 128), (9, 9, 9, 129)]
    values = [value for pixel in pixels for value in pixel]
    bits = f"{16:032b}" + "00111" + "0010001101111111"
    bits += "101" + f"{3:04b}" + f"{0:08b}"  # a run of 4
    bits += "010" + f"{11:08b}" + "".join(f"{value:08b}" for value in values[4:])
    bits += "0" * (-len(bits) % 8)
    code = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_label_studio(code, (2, 2)).tolist() == [[False, True], [False, True]]


@pytest.mark.parametrize("code", ["P", "o", "\x10", "\x7f", "é", "o" * 14 + "0", "23"])
def test_damaged_coco_codes_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match="counts"):
        decode_coco(code, (3, 2))


def test_other_damage_is_refused() -> None:
    with pytest.raises(ValueError, match="runs of 5 pixels in all, but 6"):
        decode_rows([2, 3], (3, 2))
    with pytest.raises(ValueError, match="counts"):
        decode_rows([-1, 7], (3, 2))
    with pytest.raises(ValueError, match="ends too early"):
        decode_label_studio(encode_label_studio(np.ones((2, 3), bool))[:-1], (3, 2))
    with pytest.raises(ValueError, match="24 values, but 4 x 2"):
        decode_label_studio(encode_label_studio(np.ones((2, 3), bool)), (4, 2))
    with pytest.raises(ValueError, match="leaves a picture"):
        encode_coco(np.ones((2, 3), bool), (3, 3), (1, 0))
