from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork, wire
from pipeline.caffe_format.writer import write_caffe

Run = Callable[[CaffeNetwork, Float32Array], Float32Array]
Build = Callable[..., CaffeNetwork]


def run_session(model: bytes | str, batch: Float32Array) -> Float32Array:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    scores: Float32Array = session.run(None, {session.get_inputs()[0].name: batch})[0]
    return scores


@pytest.fixture
def run_onnx() -> Run:
    """Scores of the converted graph."""
    return lambda network, batch: run_session(network.to_onnx_model().SerializeToString(), batch)


@pytest.fixture(scope="session")
def run_opencv(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Scores of OpenCV's own reader of the two files that our writer makes."""
    folder = tmp_path_factory.mktemp("opencv")

    def run(network: CaffeNetwork, batch: Float32Array) -> Float32Array:
        prototxt, caffemodel = str(folder / "net.prototxt"), str(folder / "net.caffemodel")
        write_caffe(network, prototxt, caffemodel)
        net = cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
        net.enableFusion(False)  # its fusion of grouped deconvolution and batch norm differs from Caffe
        net.setInput(batch)
        return np.asarray(net.forward(), np.float32)

    return run


@pytest.fixture
def build() -> Build:
    """Make a network of (type, parameters) in a row, or of given layers, with random weights."""

    def make(
        *steps: tuple[str, dict[str, Any]] | Layer, shape: tuple[int, ...] = (1, 3, 13, 17), seed: int = 0
    ) -> CaffeNetwork:
        layers = [Layer("data", "Input", [], ["data"], {"shape": shape})]
        for number, step in enumerate(steps):
            if isinstance(step, Layer):
                layers.append(step)
            else:
                name = f"{step[0].lower()}{number}"
                layers.append(Layer(name, step[0], [layers[-1].tops[0]], [name], step[1]))
        network = CaffeNetwork("test", tuple(layers), wire(layers, "<test>"), "<test>")
        rng = np.random.default_rng(seed)
        height, width = network.input_shape[2:]
        blobs = [
            [np.abs(rng.standard_normal(shape, np.float32)) + 0.25 if layer.type == "BatchNorm"
             else rng.standard_normal(shape, np.float32) for shape in shapes]
            for layer, shapes in zip(layers, network.blob_shapes(height, width), strict=True)
        ]  # fmt: skip
        return network.with_blobs(blobs)

    return make


@pytest.fixture
def write_files(tmp_path: Path) -> Callable[[CaffeNetwork], tuple[Path, Path]]:
    """Write a network to its two files."""

    def write(network: CaffeNetwork) -> tuple[Path, Path]:
        paths = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
        write_caffe(network, *paths)
        return paths

    return write


def random_batch(shape: tuple[int, ...], seed: int = 7) -> Float32Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def batch_of() -> Callable[[CaffeNetwork], Float32Array]:
    """Random input of a network's own size."""
    return lambda network: random_batch(network.input_shape)
