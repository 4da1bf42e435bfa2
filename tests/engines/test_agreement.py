"""Engines against each other, and against OpenCV's own reader of Caffe's files, on the same networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import EngineConfig, NetworkConfig
from pipeline.engines.factory import create_engine
from pipeline.engines.sessions import SPECIALISE_AFTER
from pipeline.models.catalogue import ModelFiles, resolve_model
from tests.engines.conftest import difference, picture

TOLERANCE = 1e-4
"""Of the range of scores: what float32 sums in another order may differ."""

SHAPES_HW = ((72, 72), (57, 91))


def opencv_scores(model: ModelFiles, batch: Float32Array) -> Float32Array:
    net = cv2.dnn.readNetFromCaffe(str(model.prototxt), str(model.caffemodel))
    net.setInput(batch)
    return np.asarray(net.forward(), np.float32)


def engine_scores(settings: EngineConfig, model: ModelFiles, *batches: Float32Array) -> list[Float32Array]:
    engine = create_engine(settings, model)
    engine.load()
    try:
        return [engine.predict(batch) for batch in batches]
    finally:
        engine.close()


@pytest.mark.parametrize("classes", [2, 21])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "caffe"])
def test_engine_gives_opencvs_scores(
    name: str,
    classes: int,
    narrow_models: dict[int, ModelFiles],
    settings: Callable[..., EngineConfig],
    request: pytest.FixtureRequest,
) -> None:
    model = narrow_models[classes]
    caffe = {"command": [request.getfixturevalue("caffe_python")]} if name == "caffe" else {}
    batches = [picture(*shape_hw) for shape_hw in SHAPES_HW]
    found = engine_scores(settings(name, caffe=caffe) if caffe else settings(name), model, *batches)
    for scores, batch in zip(found, batches, strict=True):
        expected = opencv_scores(model, batch)
        assert scores.shape == (1, classes, *batch.shape[2:])
        assert difference(scores, expected) < TOLERANCE
        face = 15 if classes == 21 else 1
        assert np.array_equal(scores[:, 0] < scores[:, face], expected[:, 0] < expected[:, face])


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_embedded_network_gives_opencvs_scores(name: str, settings: Callable[..., EngineConfig]) -> None:
    model = resolve_model(NetworkConfig(model="uncrop_256"))
    batch = picture(256, 256)
    (scores,) = engine_scores(settings(name), model, batch)
    assert difference(scores, opencv_scores(model, batch)) < TOLERANCE


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "caffe"])
def test_a_batch_gives_what_its_pictures_give_alone(
    name: str,
    narrow_model: ModelFiles,
    settings: Callable[..., EngineConfig],
    request: pytest.FixtureRequest,
) -> None:
    caffe = {"command": [request.getfixturevalue("caffe_python")]} if name == "caffe" else {}
    batch = picture(72, 72, count=3)
    chosen = settings(name, caffe=caffe) if caffe else settings(name)
    together, *alone = engine_scores(chosen, narrow_model, batch, *np.split(batch, 3))
    assert np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_the_number_of_threads_changes_nothing(
    name: str, narrow_model: ModelFiles, settings: Callable[..., EngineConfig]
) -> None:
    batch = picture(72, 72)
    (one,) = engine_scores(settings(name, threads=1), narrow_model, batch)
    (two,) = engine_scores(settings(name, threads=2), narrow_model, batch)
    assert np.array_equal(one, two)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_size_that_gets_its_own_session_keeps_its_scores(
    name: str, narrow_model: ModelFiles, settings: Callable[..., EngineConfig], graph_folder: Path
) -> None:
    batch = picture(57, 91)
    found = engine_scores(settings(name), narrow_model, *[batch] * (SPECIALISE_AFTER + 1))
    expected = opencv_scores(narrow_model, batch)
    assert all(difference(scores, expected) < TOLERANCE for scores in found)
    assert list(graph_folder.glob("narrow_21-*/57x91*.onnx"))


BY_OTHER_HANDS = r"""
# a deploy file as people write them; comments with } and "quotes"
name: "hand-written \"deploy\" \x41\101 # not a comment"
force_backward: false  debug_info: true;
input: 'data'
input_shape { dim: 1, dim: 3, dim: 24 dim: 0x14 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" # nested on one line:
  param { name: "w" lr_mult: 1 decay_mult: 1 } param { lr_mult: 2. decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 1e-2 }
    bias_filler < type: "constant" value: -.5 > engine: CAFFE } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" relu_param { negative_slope: 0.1f } }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.5 }
        propagate_down: true }
layer {
  name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "pool" bottom: "data" top: "loss"
        include { phase: TRAIN } }
layer { name: 'up' type: "Deco" 'nvolution' bottom: "pool" top: "up" param { lr_mult: 0 }
        convolution_param { num_output: 2 kernel_size: 4 stride: 2 bias_term: false } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score"
        crop_param { axis: 2 offset: 1 } }
"""


def test_prototxt_by_other_hands_loads_as_in_caffe(
    caffe_python: str, settings: Callable[..., EngineConfig], tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)

    def normal(*shape: int) -> Float32Array:
        return rng.standard_normal(shape).astype(np.float32)

    write_caffe(
        CaffeNetwork.from_layers(
            [
                Layer("data", "Input", [], ["data"], {"shape": (1, 3, 24, 20)}),
                Layer(
                    "conv",
                    "Convolution",
                    ["data"],
                    ["conv"],
                    {"num_output": 4, "kernel_size": 3, "pad": 1},
                    (normal(4, 3, 3, 3), normal(4)),
                ),
                Layer(
                    "up",
                    "Deconvolution",
                    ["conv"],
                    ["up"],
                    {"num_output": 2, "kernel_size": 4, "stride": 2, "bias_term": False},
                    (normal(4, 2, 4, 4),),
                ),
            ]
        ),
        tmp_path / "written.prototxt",
        tmp_path / "hand.caffemodel",
    )
    (tmp_path / "hand.prototxt").write_text(BY_OTHER_HANDS, encoding="utf-8")
    model = resolve_model(NetworkConfig(model=str(tmp_path / "hand.prototxt")))
    batch = picture(24, 20)
    (found,) = engine_scores(settings(), model, batch)
    (expected,) = engine_scores(settings("caffe", caffe={"command": [caffe_python]}), model, batch)
    assert difference(found, expected) < TOLERANCE
