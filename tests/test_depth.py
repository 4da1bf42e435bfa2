"""More than 8 bits: what is white."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.depth import to_8_bits


def ramp(bits: int) -> NDArray[np.uint16]:
    """8-bit values scaled to so many bits, in the lowest ones: 0, 1, ... 255 of 255."""
    levels = np.arange(256, dtype=np.uint32)
    return (levels * ((1 << bits) - 1) // 255).astype(np.uint16)[None]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_narrowest_usual_depth_that_holds_all(bits: int, channels: int) -> None:
    values = np.repeat(ramp(bits)[:, :, None], channels, axis=2)
    scaled, note = to_8_bits(values)
    expected = np.repeat(np.arange(256)[None, :, None], channels, axis=2)
    assert np.abs(scaled.astype(int) - expected).max() <= 1
    assert (note is None) == (bits == 16)


def test_a_dark_picture_keeps_the_depth_that_was_declared() -> None:
    dark = np.array([[0, 100, 200]], np.uint16)
    assert to_8_bits(dark, 4095.0)[0].tolist() == [[0, 6, 12]]
    assert to_8_bits(dark, 65535.0)[0].tolist() == [[0, 0, 1]]
    assert to_8_bits(dark, 100.0)[0].tolist() == [[0, 100, 200]]  # not believed: 200 exceeds it


@pytest.mark.parametrize("step", [16, 257])
def test_few_bits_spread_over_all_are_full_scale(step: int) -> None:
    dark = np.arange(60, dtype=np.uint16)[None] * step
    scaled, note = to_8_bits(dark)
    assert scaled.max() == round(59 * step * 255 / 65535)
    assert note is None


def test_black_stays_black() -> None:
    assert not to_8_bits(np.zeros((3, 4), np.uint16))[0].any()
    assert not to_8_bits(np.zeros((3, 4, 3), np.float32))[0].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fractions_with_highlights_beyond_white(dtype: Any) -> None:
    values = np.linspace(0, 1, 1000, dtype=dtype)
    values[-3:] = 40
    values[:2] = -0.01
    scaled, note = to_8_bits(values[None])
    assert note is None
    assert (scaled[0, 500], scaled[0, 900], scaled[0, -1], scaled[0, 0]) == (128, 230, 255, 0)


def test_fractions_of_light_beyond_one() -> None:
    values = np.linspace(0, 5, 1000, dtype=np.float32)[None]
    scaled, note = to_8_bits(values)
    assert note == "white taken to be 4.95, which 1 % of its values exceed"
    assert scaled[0, 500] == round(2.5025 / 4.95 * 255)


def test_signed_values_are_stretched() -> None:
    scaled, note = to_8_bits(np.array([[-100, 0, 155]], np.int16))
    assert scaled.tolist() == [[0, 100, 255]]
    assert note == "its values -100 to 155 were stretched"
