"""The preview of a clip shows what the overlay of a photograph shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.output_pictures import overlay
from pipeline.video.preview import preview_planes
from tests.video.clips import sample, view


def a_mask(size_wh: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    mask = np.zeros(size_wh[::-1], np.uint8)
    cv2.ellipse(mask, (size_wh[0] // 2, size_wh[1] // 2), (40, 60), 20, 0, 360, 255, -1)
    cv2.circle(mask, (size_wh[0] - 5, 10), 30, 255, -1)  # cut by the edge
    cv2.circle(mask, (size_wh[0] // 2, size_wh[1] // 2), 9, 0, -1)  # a hole
    return mask


@pytest.mark.parametrize("size_wh", [(320, 240), (322, 238)])
def test_the_preview_is_the_overlay_but_for_its_coarser_colours(size_wh: tuple[int, int]) -> None:
    picture, mask = view(sample("obama"), (390, 216), 600, size_wh), a_mask(size_wh)
    expected = cv2.cvtColor(overlay(picture, mask), cv2.COLOR_RGB2YUV_I420)
    shown = preview_planes(picture, mask)
    assert shown.shape == expected.shape
    difference = np.abs(shown.astype(int) - expected)
    height = size_wh[1]
    assert difference[:height].max() <= 2  # brightness, outline and all
    around = cv2.morphologyEx(np.pad(mask, 4), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    edge = around[4:-4:2, 4:-4:2] > 0
    for plane in difference[height:].reshape(2, size_wh[1] // 2, size_wh[0] // 2):
        assert plane[~edge].max() <= 2
        assert plane[edge].mean() < 40


def test_nothing_is_painted_where_there_is_no_face() -> None:
    picture = view(sample("obama"), (390, 216), 600, (320, 240))
    plain = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    np.testing.assert_array_equal(preview_planes(picture), plain)
    np.testing.assert_array_equal(preview_planes(picture, np.zeros((240, 320), np.uint8)), plain)
