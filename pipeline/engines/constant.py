"""An engine without a network, for tests: every pixel is face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.base import EngineInfo
from pipeline.engines.runtime import checked_batch
from pipeline.errors import EngineUnavailableError
from pipeline.version import __version__

if TYPE_CHECKING:
    from pipeline.config import EngineConfig
    from pipeline.models.catalogue import ModelFiles

FACE_SCORE = 8.0


class ConstantEngine:
    """Two classes; scores 0 for background and `FACE_SCORE` for face everywhere. The model is not read."""

    def __init__(self, settings: EngineConfig, model: ModelFiles) -> None:
        self._settings = settings

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return EngineInfo("constant", __version__, "cpu", "f32", 1)

    def load(self) -> None:
        """Nothing to load; checks that nothing was asked for that it cannot do."""
        if self._settings.device != "cpu" or self._settings.precision != "f32":
            raise EngineUnavailableError(
                "engine.device, engine.precision: the constant engine has cpu and f32 only"
            )

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 2, h, w) scores of an (n, c, h, w) batch."""
        count, _, height, width = checked_batch(batch).shape
        scores = np.zeros((count, 2, height, width), dtype=np.float32)
        scores[:, 1] = FACE_SCORE
        return scores

    def close(self) -> None:
        """Nothing to free."""
