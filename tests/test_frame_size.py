"""What is no photograph is refused with the way to make it one."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.frame_size import checked_size_wh


def test_width_comes_before_height() -> None:
    assert checked_size_wh(np.zeros((3, 7, 3), np.uint8)) == (7, 3)


@pytest.mark.parametrize(
    ("image", "advice"),
    [
        (np.zeros((4, 5, 3)), r"numpy\.rint\(image \* 255\)"),
        (np.zeros((4, 5), np.uint8), "numpy.dstack"),
        (np.zeros((4, 5, 4), np.uint8), "alpha hides pixels"),
        (np.zeros((3, 4, 5), np.uint8), "channels come last"),
        (np.zeros((4, 5, 3), np.uint16), r"image // 257"),
        (np.zeros((0, 5, 3), np.uint8), "it has no pixels"),
    ],
)
def test_arrays_of_other_kinds_are_told_how_to_become_one(image: np.ndarray, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"image: expected \(H, W, 3\) uint8, got .*{advice}"):
        checked_size_wh(image)


@pytest.mark.parametrize(
    ("image", "advice"),
    [(None, "cv2.imread gives None"), ("photo.jpg", "pipeline.read_photo"), (object(), "numpy.asarray")],
)
def test_what_is_no_array_is_told_how_to_become_one(image: object, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"image: expected \(H, W, 3\) uint8, got .*{advice}"):
        checked_size_wh(image)  # type: ignore[arg-type]
