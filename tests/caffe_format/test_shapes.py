"""Shapes that Caffe gives: by its own formulas, worked out by hand."""

from __future__ import annotations

import pytest

from pipeline.caffe_format.shapes import canonical_axis, convolution_window, pooled_size


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "ceil", "expected"),
    [
        (249, 2, 2, 0, True, 125),  # FCN-8s at 300: what ceil mode is for
        (249, 2, 2, 0, False, 124),
        (4, 3, 2, 0, True, 2),
        (5, 3, 2, 1, True, 3),
        (4, 2, 2, 1, True, 3),
        (2, 2, 2, 1, True, 2),
        (3, 2, 2, 1, True, 2),  # a third window would begin in the padding behind the picture
        (1, 1, 1, 0, True, 1),
    ],
)
def test_pooled_size(size: int, kernel: int, stride: int, pad: int, ceil: bool, expected: int) -> None:
    assert pooled_size(size, kernel, stride, pad, ceil=ceil) == expected


def test_a_window_is_as_large_as_its_dilation_makes_it() -> None:
    window = convolution_window({"kernel_size": [3], "dilation": [2], "pad": [1], "stride": [2]})
    assert window.extent_hw == (5, 5)
    assert convolution_window({"kernel_h": 3, "kernel_w": 5}).extent_hw == (3, 5)


def test_axes_count_from_the_end_as_well() -> None:
    assert [canonical_axis(axis, 4) for axis in (0, 3, -1, -4)] == [0, 3, 3, 0]
