"""The outline that find_face_landmarks draws without a network."""

from __future__ import annotations

import numpy as np

from pipeline.outline import outline_points


def face() -> np.ndarray:
    points = np.zeros((68, 2), np.int64)
    points[:17] = [(10 * index, 50 + 10 * (8 - abs(index - 8))) for index in range(17)]
    points[17], points[19], points[24], points[26] = (10, 40), (40, 30), (120, 30), (150, 40)
    points[27], points[30] = (80, 45), (80, 75)
    return points


def test_the_brows_are_lifted_by_the_length_of_the_nose() -> None:
    corners = outline_points(face())
    assert corners.dtype == np.float64
    np.testing.assert_array_equal(corners[:17], face()[:17])
    np.testing.assert_array_equal(corners[17:], [(150, 10), (120, 0), (40, 0), (10, 10)])


def test_brows_that_stand_out_beyond_the_jaw_are_corners_themselves() -> None:
    points = face()
    points[26, 0], points[17, 0] = 161, -1
    corners = outline_points(points)
    np.testing.assert_array_equal(corners[17], (161, 40))
    np.testing.assert_array_equal(corners[-1], (-1, 40))
    assert len(corners) == 23
