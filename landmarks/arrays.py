"""Types of arrays by what they hold, for landmarks and all that stands on it; shapes are said beside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Pixels of 0-255: RGB as (H, W, 3), or one channel as (H, W)."""

Mask = NDArray[np.bool_]
"""(H, W), true inside."""

Float32Array = NDArray[np.float32]
"""What networks take and give."""

Float64Array = NDArray[np.float64]
"""Coordinates, and what is computed of them."""
