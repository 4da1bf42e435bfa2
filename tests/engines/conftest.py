from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import EngineConfig, NetworkConfig
from pipeline.models.catalogue import ModelFiles, resolve_model

CHECKOUT = Path(__file__).resolve().parents[2]
Settings = Callable[..., EngineConfig]


def narrow_fcn8s(folder: Path, classes: int) -> ModelFiles:
    """An FCN-8s with random weights and a sixteenth of the channels, as files."""
    network = random_fcn8s(classes, (72, 72), width_divisor=16, seed=20 + classes)
    write_caffe(network, folder / f"narrow_{classes}.prototxt", folder / f"narrow_{classes}.caffemodel")
    return resolve_model(NetworkConfig(model=str(folder / f"narrow_{classes}.prototxt")))


@pytest.fixture(scope="session")
def narrow_models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, ModelFiles]:
    """Number of classes -> narrow FCN-8s."""
    folder = tmp_path_factory.mktemp("narrow")
    return {classes: narrow_fcn8s(folder, classes) for classes in (2, 21)}


@pytest.fixture(scope="session")
def narrow_model(narrow_models: dict[int, ModelFiles]) -> ModelFiles:
    return narrow_models[21]


@pytest.fixture(scope="session")
def graph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One conversion cache for all tests that are not about it."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def settings(graph_folder: Path) -> Settings:
    """Make engine settings: one thread, the tests' own cache."""

    def make(name: str = "onnxruntime", **values: object) -> EngineConfig:
        defaults = {"name": name, "threads": 1, "cache_directory": str(graph_folder)}
        return EngineConfig.model_validate(defaults | values)

    return make


@pytest.fixture(scope="session")
def caffe_python() -> str:
    """An interpreter with pycaffe: $UNCROP_CAFFE_PYTHON, else the one that `make caffe` made."""
    named = os.environ.get("UNCROP_CAFFE_PYTHON")
    if named:
        return named
    made = CHECKOUT / ".venv-caffe" / "bin" / "python"
    if not made.is_file():
        pytest.skip("no interpreter with pycaffe: run `make caffe` or set UNCROP_CAFFE_PYTHON")
    return str(made)


def picture(height: int, width: int, count: int = 1, seed: int = 3) -> Float32Array:
    """A batch such as the network stage makes: smooth coloured noise, minus the mean."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-110, 140, (count, 6, 6, 3)).astype(np.float32)
    images = [cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse]
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


def difference(found: Float32Array, expected: Float32Array) -> float:
    """Largest difference as a share of the range of the expected scores."""
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    return float(np.abs(found - expected).max() / np.ptp(expected))
