"""What the engines share: importing a runtime, counting threads, checking a batch."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.environment import usable_cores
from pipeline.errors import EngineError, EngineUnavailableError


def import_runtime(module: str, advice: str) -> Any:
    """Import a runtime's package.

    Raises
    ------
    EngineUnavailableError
        It is not installed or does not start; ends with ``advice``.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"engine.name: the package {module!r} cannot be used ({error}). {advice}"
        ) from error


def thread_count(threads: int | Literal["auto"]) -> int:
    """Threads for one prediction; ``auto`` is as many as the process may run on."""
    return usable_cores() if threads == "auto" else threads


def checked_batch(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The batch itself, contiguous, if it is float32 (n, channels, height, width); else `EngineError`."""
    if batch.dtype != np.float32 or batch.ndim != 4 or 0 in batch.shape:
        raise EngineError(
            f"batch: expected float32 (n, channels, height, width), got {batch.dtype} {batch.shape}"
        )
    return np.ascontiguousarray(batch)
