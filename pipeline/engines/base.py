"""What an engine is: a float32 NCHW batch in, scores out. Nothing else lives in an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What really runs, as it is written in the manifest.

    Attributes
    ----------
    name
        ``onnxruntime``, ``openvino``, ``caffe`` or ``constant``.
    version
        Version of the runtime.
    device
        The device or provider in use, such as ``cpu`` or ``CUDAExecutionProvider``.
    precision
        ``f32``, ``bf16`` or ``f16``: the precision in which convolutions run.
    threads
        Threads one prediction may use.
    fast_convolutions
        Whether large convolutions are done with fewer multiplications (``engine.fast_convolutions``).
    """

    name: str
    version: str
    device: str
    precision: str
    threads: int
    fast_convolutions: bool = False


class Engine(Protocol):
    """Runs one network. Made in the process that uses it; never crosses processes."""

    @property
    def info(self) -> EngineInfo:
        """What really runs; valid after `load`."""
        ...

    def load(self) -> None:
        """Load the network.

        Raises
        ------
        EngineUnavailableError
            The package, device or precision asked for is not there.
        ModelError
            The network cannot be read.
        """
        ...

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of a batch.

        Parameters
        ----------
        batch
            (n, 3, h, w) float32, BGR minus mean, no scaling.

        Returns
        -------
        scores
            (n, classes, h, w) float32, before any softmax unless the network itself ends in one.

        Raises
        ------
        EngineError
            The runtime failed.
        """
        ...

    def close(self) -> None:
        """Free everything; `predict` must not be called afterwards. Calling it twice is allowed."""
        ...
