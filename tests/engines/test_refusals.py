"""What cannot be had as asked is refused with what to change; nothing runs on something else in silence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import onnxruntime
import pytest

from pipeline.config import EngineConfig
from pipeline.engines.factory import create_engine
from pipeline.engines.registry import ENGINES
from pipeline.errors import EngineError, EngineUnavailableError
from pipeline.models.catalogue import ModelFiles
from tests.engines.conftest import picture

Settings = Callable[..., EngineConfig]


def refusal(settings: EngineConfig, model: ModelFiles) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        create_engine(settings, model).load()
    return str(caught.value)


@pytest.mark.parametrize(
    ("device", "provider", "advice"),
    [
        ("cuda", "CUDAExecutionProvider", "extra 'gpu'"),
        ("cuda:1", "CUDAExecutionProvider", "engine.device: cpu"),
        ("coreml", "CoreMLExecutionProvider", "macOS"),
        ("directml", "DmlExecutionProvider", "onnxruntime-directml"),
    ],
)
def test_onnxruntime_without_the_provider(
    device: str, provider: str, advice: str, settings: Settings, narrow_model: ModelFiles
) -> None:
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has {provider}")
    message = refusal(settings(device=device), narrow_model)
    assert message.startswith("engine.device:")
    assert provider in message
    assert advice in message


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:x", "CPU"])
def test_onnxruntime_device_unknown(device: str, settings: Settings, narrow_model: ModelFiles) -> None:
    message = refusal(settings(device=device), narrow_model)
    assert message.startswith("engine.device:")
    assert repr(device) in message


@pytest.mark.parametrize("precision", ["bf16", "f16"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_onnxruntime_precision(
    device: str, precision: str, settings: Settings, narrow_model: ModelFiles
) -> None:
    message = refusal(settings(device=device, precision=precision), narrow_model)
    assert message.startswith("engine.precision:")
    assert "f32" in message


def test_tensorrt_f32_needs_tf32_forbidden(
    settings: Settings, narrow_model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert "NVIDIA_TF32_OVERRIDE=0" in refusal(settings(device="tensorrt"), narrow_model)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert "TensorrtExecutionProvider" in refusal(settings(device="tensorrt"), narrow_model)


class FallenBackSession:
    """A session that ended up on another provider than the one asked for."""

    def __init__(self, *arguments: object, **keywords: object) -> None:
        self.keywords = keywords

    def disable_fallback(self) -> None:
        return

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_onnxruntime_that_falls_back_is_refused(
    settings: Settings, narrow_model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallenBackSession)
    message = refusal(settings(device="cuda"), narrow_model)
    assert "would run on CPUExecutionProvider instead" in message


def test_openvino_without_the_package(
    settings: Settings, narrow_model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    message = refusal(settings("openvino"), narrow_model)
    assert "pip install 'uncrop[openvino]'" in message


@pytest.mark.parametrize("device", ["gpu.7", "auto", "hetero:gpu,cpu", "tpu"])
def test_openvino_device(device: str, settings: Settings, narrow_model: ModelFiles) -> None:
    message = refusal(settings("openvino", device=device), narrow_model)
    assert message.startswith("engine.device:")
    assert "cpu" in message


class PoorCore:
    """An OpenVINO whose CPU computes in f32 only."""

    available_devices = ("CPU",)

    def get_property(self, device: str, name: str) -> object:
        return {"OPTIMIZATION_CAPABILITIES": ["FP32"], "FULL_DEVICE_NAME": "Old Processor"}[name]


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_openvino_precision(
    precision: str, settings: Settings, narrow_model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("openvino")
    module.Core = PoorCore  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", module)
    message = refusal(settings("openvino", precision=precision), narrow_model)
    assert message == (
        f"engine.precision: Old Processor cannot compute in {precision}; set engine.precision: f32"
    )


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"precision": "bf16"}, "engine.precision"),
        ({"device": "cuda"}, "engine.device"),
        ({"device": "gpu:x"}, "engine.device"),
        ({"device": "cpu:1"}, "engine.device"),
    ],
)
def test_caffe(values: dict[str, str], key: str, settings: Settings, narrow_model: ModelFiles) -> None:
    assert refusal(settings("caffe", **values), narrow_model).startswith(key)


def test_constant(settings: Settings, narrow_model: ModelFiles) -> None:
    assert "constant" in refusal(settings("constant", device="cuda"), narrow_model)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "constant"])
@pytest.mark.parametrize(
    "batch",
    [
        picture(40, 40)[0],
        picture(40, 40).astype(np.float64),
        picture(40, 40)[:0],
    ],
    ids=["three axes", "float64", "empty"],
)
def test_what_is_not_a_batch(
    name: str, batch: np.ndarray, settings: Settings, narrow_model: ModelFiles
) -> None:
    engine = create_engine(settings(name), narrow_model)
    engine.load()
    with pytest.raises(EngineError, match="expected float32"):
        engine.predict(batch)
    engine.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_batch_that_the_network_cannot_take(
    name: str, settings: Settings, narrow_model: ModelFiles
) -> None:
    engine = create_engine(settings(name), narrow_model)
    engine.load()
    with pytest.raises(EngineError, match=r"\(1, 2, 40, 40\)"):
        engine.predict(picture(40, 40)[:, :2])
    engine.close()


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_closing_twice_and_unloaded(name: str, settings: Settings, narrow_model: ModelFiles) -> None:
    engine = create_engine(settings(name), narrow_model)
    engine.close()
    engine.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "constant"])
def test_info_says_what_runs(name: str, settings: Settings, narrow_model: ModelFiles) -> None:
    engine = create_engine(settings(name), narrow_model)
    engine.load()
    assert engine.info.name == name
    assert engine.info.precision == "f32"
    assert engine.info.threads == 1
    assert "cpu" in engine.info.device.lower()
    engine.close()
    engine.close()
