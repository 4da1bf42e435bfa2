"""Quarter turns against `numpy.rot90` and `landmarks.geometry.Box`."""

from __future__ import annotations

import numpy as np
import pytest

from landmarks.geometry import Box
from pipeline.turns import TURNS, turned_box, turned_points, turned_size

SIZE_WH = (5, 3)
PICTURE = np.arange(15).reshape(3, 5)


@pytest.mark.parametrize("turn", [*TURNS, -1, 4, 7])
def test_points_keep_their_pixel(turn: int) -> None:
    points = np.array([(x, y) for y in range(3) for x in range(5)])
    turned = np.rot90(PICTURE, turn)
    moved = turned_points(points, SIZE_WH, turn)
    assert moved.dtype == points.dtype
    assert turned_size(SIZE_WH, turn) == turned.shape[::-1]
    np.testing.assert_array_equal(turned[moved[:, 1], moved[:, 0]], PICTURE[points[:, 1], points[:, 0]])


@pytest.mark.parametrize("turn", [*TURNS, -1, 4, 7])
def test_boxes_keep_their_pixels(turn: int) -> None:
    box = Box(1, 0, 3, 2)
    moved = turned_box(box, SIZE_WH, turn)
    cut = np.rot90(PICTURE, turn)[moved.y : moved.y_max, moved.x : moved.x_max]
    np.testing.assert_array_equal(cut, np.rot90(PICTURE[0:2, 1:4], turn))
    back = turned_box(moved, turned_size(SIZE_WH, turn), -turn)
    assert back == box


def test_a_box_that_leaves_the_picture_comes_back() -> None:
    box = Box(-4, 2, 11, 7)
    for turn in TURNS:
        assert turned_box(turned_box(box, SIZE_WH, turn), turned_size(SIZE_WH, turn), -turn) == box
