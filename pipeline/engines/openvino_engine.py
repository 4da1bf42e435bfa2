"""OpenVINO: f32 and bf16 on the CPU, and Intel's GPUs and NPUs (extra ``openvino``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.base import EngineInfo
from pipeline.engines.runtime import checked_batch, import_runtime, thread_count
from pipeline.engines.sessions import Sessions
from pipeline.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from pipeline.config import EngineConfig
    from pipeline.models.catalogue import ModelFiles

_CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
"""``engine.precision`` → name among a device's OPTIMIZATION_CAPABILITIES."""

_ADVICE = "Install the extra: pip install 'uncrop[openvino]', or set engine.name: onnxruntime."


class OpenVinoEngine:
    """Runs the network's ONNX graph, one picture after the other, see `pipeline.engines.base.Engine`."""

    def __init__(self, settings: EngineConfig, model: ModelFiles) -> None:
        self._settings = settings
        self._threads = thread_count(settings.threads)
        self._device = settings.device.upper().replace(":", ".")
        self._sessions = Sessions(model, settings.cache_directory, self._compile)
        self._openvino: Any = None
        self._core: Any = None

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        if self._openvino is None:
            raise EngineError("the engine is not loaded")
        version = self._openvino.__version__
        return EngineInfo("openvino", version, self._device, self._settings.precision, self._threads)

    def load(self) -> None:
        """Check device and precision, convert the network if that was never done, compile it.

        Raises as `Engine.load`.
        """
        self._openvino = import_runtime("openvino", _ADVICE)
        self._core = self._openvino.Core()
        devices = self._core.available_devices
        if self._device not in devices and f"{self._device}.0" not in devices:
            raise EngineUnavailableError(
                f"engine.device: OpenVINO finds {', '.join(devices).lower() or 'no device'} here, not "
                f"{self._settings.device!r}; set one of these, or install that device's driver"
            )
        capabilities = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES")
        if _CAPABILITIES[self._settings.precision] not in capabilities:
            known = [name for name, capability in _CAPABILITIES.items() if capability in capabilities]
            device = self._core.get_property(self._device, "FULL_DEVICE_NAME")
            raise EngineUnavailableError(
                f"engine.precision: {device} cannot compute in {self._settings.precision}; "
                f"set engine.precision: {' or '.join(known)}"
            )
        self._sessions.open()

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n, classes, h, w) of a batch (n, 3, h, w), both float32; raises as `Engine.predict`."""
        batch = checked_batch(batch)
        compiled = self._sessions.session((batch.shape[2], batch.shape[3]))
        try:
            scores = [np.array(compiled(picture[None])[0], np.float32) for picture in batch]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on a batch of shape {batch.shape}: {error}") from error
        return np.concatenate(scores)

    def close(self) -> None:
        """Free the compiled networks."""
        self._sessions.close()

    def _compile(self, graph: Path, shape_hw: tuple[int, int] | None) -> Any:
        precision = getattr(self._openvino.Type, self._settings.precision)
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        if self._device == "CPU":
            # Pinned threads of several worker processes would share one core.
            options |= {"INFERENCE_NUM_THREADS": self._threads, "ENABLE_CPU_PINNING": False}
        try:
            network = self._core.read_model(graph)
            shape = network.input(0).partial_shape
            shape[0] = 1
            shape[2], shape[3] = shape_hw or (-1, -1)
            network.reshape(shape)
            compiled = self._core.compile_model(network, self._device, options)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot compile {graph} for an input of {shape_hw}: {error}"
            ) from error
        taken = compiled.get_property("INFERENCE_PRECISION_HINT")
        if taken != precision:
            raise EngineUnavailableError(
                f"engine.precision: OpenVINO took {taken} on {self._device} instead of "
                f"{self._settings.precision}; set another precision or device"
            )
        return compiled
