"""The outline of a face that its landmarks alone give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def outline_points(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The corners of find_face_landmarks' ``createFullFace`` (utilities.cpp).

    Jaw 0-16, then 26 if it lies right of 16, then 26, 24, 19, 17 each moved by (27 - 30), then 17 if it lies
    left of 0.

    Parameters
    ----------
    points
        (68, 2) landmarks x, y of an upright face, pixels.

    Returns
    -------
    corners
        (n, 2) float64 x, y of a closed polygon.
    """
    lift = points[27] - points[30]
    corners = list(points[:17])
    if points[26, 0] > points[16, 0]:
        corners.append(points[26])
    corners += [points[index] + lift for index in (26, 24, 19, 17)]
    if points[17, 0] < points[0, 0]:
        corners.append(points[17])
    return np.asarray(np.stack(corners), np.float64)
