"""Packets put together from tiles are those of the encoder, and read back to the bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.video.ffv1 import FEW_SLICES, OPTIONS, FlatCoder, flat_coder, slices_for
from pipeline.video.writer import FFV1_GREY, StreamWriter

SIZES_WH = [(640, 360), (1280, 720), (1001, 777), (1080, 1920)]


def masks(size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Nothing, a small face, a large one with a hole, soft edges, all of it, and noise."""
    width, height = size_wh
    middle = (width // 2, height // 2)
    nothing, small, large = (np.zeros((height, width), np.uint8) for _ in range(3))
    cv2.circle(small, (width - 20, 40), 19, 1, -1)
    cv2.ellipse(large, middle, (height // 3, height // 2), 20, 0, 360, 255, -1)
    cv2.circle(large, middle, height // 8, 0, -1)
    soft = np.asarray(cv2.GaussianBlur(large, (31, 31), 0), np.uint8)
    noise = np.random.default_rng(7).integers(0, 256, (height, width), dtype=np.uint8)
    return [nothing, small, large, soft, np.full((height, width), 3, np.uint8), noise]


def whole(size_wh: tuple[int, int], pictures: list[NDArray[np.uint8]]) -> list[bytes]:
    """What FFmpeg makes of them."""
    encoder = av.CodecContext.create("ffv1", "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "gray", Fraction(1, 25), 1
    encoder.options = {**OPTIONS, "slices": str(slices_for(size_wh))}
    return [
        bytes(packet)
        for picture in pictures
        for packet in encoder.encode(av.VideoFrame.from_ndarray(picture, format="gray"))
    ]


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_packets_are_those_of_the_encoder(size_wh: tuple[int, int]) -> None:
    coder = flat_coder(size_wh)
    assert coder is not None
    pictures = masks(size_wh)
    assert [coder.packet(picture) for picture in pictures] == whole(size_wh, pictures)
    assert [coder.packet(picture) for picture in reversed(pictures)] == whole(size_wh, pictures)[::-1]


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_what_is_written_is_read_back(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    pictures = masks(size_wh)
    with StreamWriter(tmp_path / "part", FFV1_GREY, size_wh, Fraction(1, 25), Fraction(25)) as writer:
        for index, picture in enumerate(pictures):
            writer.write(3 * index, picture)
    with av.open(str(tmp_path / "part")) as container:
        found = list(container.decode(video=0))
    times = [(frame.pts or 0) * (frame.time_base or 0) for frame in found]
    assert times == [Fraction(3 * index, 25) for index in range(len(pictures))]
    for frame, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(), picture)


def test_a_coder_that_makes_other_packets_is_found_out() -> None:
    coder = FlatCoder((640, 360), slices_for((640, 360)))
    assert coder.is_exact()
    coder._heads[-1] = b"\0" + coder._heads[-1]
    assert not coder.is_exact()


@pytest.mark.parametrize("size_wh", [(64, 48), (4096, 400), (400, 4096)])
def test_small_and_long_frames_are_coded_as_a_whole(size_wh: tuple[int, int]) -> None:
    assert slices_for(size_wh) == FEW_SLICES
    assert flat_coder(size_wh) is None


@pytest.mark.parametrize("size_wh", [(640, 360), (1280, 720), (1920, 1080), (3840, 2160), (7680, 4320)])
def test_tiles_are_never_larger_than_the_encoder_codes_at_once(size_wh: tuple[int, int]) -> None:
    assert FEW_SLICES < slices_for(size_wh) <= 1024
