"""ONNX Runtime: the default engine, on the CPU or on one provider asked for by name; never on another one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class _Device:
    """A value of ``engine.device``: ONNX Runtime's provider for it, how it is set up, what it can do."""

    provider: str
    advice: str
    options: dict[str, str] = field(default_factory=dict)
    precision_options: dict[str, dict[str, str]] = field(default_factory=lambda: {"f32": {}})
    indexed: bool = False


_DEVICES = {
    "cpu": _Device("CPUExecutionProvider", "Reinstall the package onnxruntime."),
    "cuda": _Device(
        "CUDAExecutionProvider",
        "Install the extra 'gpu' (onnxruntime-gpu in place of onnxruntime) with CUDA and cuDNN of its "
        "version, or set engine.device: cpu.",
        # TF32 would round the inputs of convolutions to 10 bits of mantissa; the exhaustive search for
        # convolution algorithms takes seconds for every new shape.
        {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"},
        indexed=True,
    ),
    "tensorrt": _Device(
        "TensorrtExecutionProvider",
        "Install the extra 'gpu' and TensorRT, or set engine.device: cuda or cpu.",
        precision_options={
            "f32": {},
            "f16": {"trt_fp16_enable": "1"},
            "bf16": {"trt_bf16_enable": "1"},
        },
        indexed=True,
    ),
    "coreml": _Device(
        "CoreMLExecutionProvider",
        "CoreML comes with the package onnxruntime on macOS only; set engine.device: cpu elsewhere.",
        {
            "ModelFormat": "MLProgram",
            "MLComputeUnits": "CPUAndGPU",
            "AllowLowPrecisionAccumulationOnGPU": "0",
        },
    ),
    "directml": _Device(
        "DmlExecutionProvider",
        "DirectML comes with the package onnxruntime-directml, on Windows; set engine.device: cpu elsewhere.",
        indexed=True,
    ),
}


class OnnxRuntimeEngine:
    """Runs the network's ONNX graph, see `pipeline.engines.base.Engine`."""

    def __init__(self, settings: EngineConfig, model: ModelFiles) -> None:
        self._settings = settings
        self._threads = thread_count(settings.threads)
        self._device = _device_of(settings)
        wanted = settings.fast_convolutions and settings.device == "cpu" and settings.precision == "f32"
        self._sessions = Sessions(model, settings.cache_directory, self._start, fast=wanted)
        self._runtime: Any = None
        self._fast = False

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        if self._runtime is None:
            raise EngineError("the engine is not loaded")
        name, precision = self._device.provider, self._settings.precision
        return EngineInfo(
            "onnxruntime", self._runtime.__version__, name, precision, self._threads, self._fast
        )

    def load(self) -> None:
        """Convert the network if that was never done, and start a session; raises as `Engine.load`."""
        self._runtime = import_runtime("onnxruntime", "Install the package onnxruntime.")
        if self._device.provider not in self._runtime.get_available_providers():
            raise EngineUnavailableError(
                f"engine.device: onnxruntime {self._runtime.__version__} lacks {self._device.provider}. "
                f"{self._device.advice}"
            )
        self._fast = _takes_one_picture(self._sessions.open())

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n, classes, h, w) of a batch (n, 3, h, w), both float32; raises as `Engine.predict`."""
        batch = checked_batch(batch)
        session = self._sessions.session((batch.shape[2], batch.shape[3]))
        name = session.get_inputs()[0].name
        parts = np.split(batch, len(batch)) if _takes_one_picture(session) else [batch]
        try:
            scores = [session.run(None, {name: part})[0] for part in parts]
        except Exception as error:  # its exceptions have no base of their own
            raise EngineError(f"onnxruntime failed on a batch of shape {batch.shape}: {error}") from error
        return np.concatenate(scores) if len(scores) > 1 else np.asarray(scores[0], np.float32)

    def close(self) -> None:
        """Free the sessions."""
        self._sessions.close()

    def _start(self, graph: Path, shape_hw: tuple[int, int] | None) -> Any:
        device = self._device
        provider = (device.provider, _provider_options(self._settings, device))
        options = self._session_options()
        if shape_hw is not None:
            options.add_free_dimension_override_by_name("H", shape_hw[0])
            options.add_free_dimension_override_by_name("W", shape_hw[1])
        try:
            session = self._runtime.InferenceSession(graph, options, providers=[provider], enable_fallback=0)
        except Exception as error:  # its exceptions have no base of their own
            raise EngineUnavailableError(
                f"engine.device: {self._settings.device} cannot be used: {error}. {device.advice}"
            ) from error
        session.disable_fallback()
        if session.get_providers()[0] != device.provider:
            raise EngineUnavailableError(
                f"engine.device: onnxruntime could not start {device.provider} and would run on "
                f"{session.get_providers()[0]} instead. {device.advice}"
            )
        return session

    def _session_options(self) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = self._settings.device != "directml"
        # Threads that spin while they wait would take the cores from other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


def _takes_one_picture(session: Any) -> bool:
    """Whether the session's graph is one with fast convolutions."""
    return bool(session.get_inputs()[0].shape[0] == 1)


def _device_of(settings: EngineConfig) -> _Device:
    name, colon, index = settings.device.partition(":")
    if name not in _DEVICES:
        raise EngineUnavailableError(
            f"engine.device: onnxruntime knows {', '.join(_DEVICES)}, not {settings.device!r}"
        )
    device = _DEVICES[name]
    if colon and not (device.indexed and index.isdecimal()):
        raise EngineUnavailableError(f"engine.device: expected {name!r}, got {settings.device!r}")
    if settings.precision not in device.precision_options:
        raise EngineUnavailableError(
            f"engine.precision: onnxruntime on {name} computes in {' or '.join(device.precision_options)}, "
            f"not {settings.precision}; change it, or set engine.name: openvino for bf16"
        )
    if name == "tensorrt" and settings.precision == "f32" and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0":
        raise EngineUnavailableError(
            "engine.precision: TensorRT rounds f32 to TF32 in convolutions unless that is forbidden; "
            "start with NVIDIA_TF32_OVERRIDE=0, or set engine.precision: f16"
        )
    return device


def _provider_options(settings: EngineConfig, device: _Device) -> dict[str, str]:
    options = {**device.options, **device.precision_options[settings.precision]}
    index = settings.device.partition(":")[2]
    if index:
        options["device_id"] = index
    return options
