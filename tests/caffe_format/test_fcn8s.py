from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.caffe_format.fcn8s import fcn8s_layers, fcn8s_prototxt, random_fcn8s
from pipeline.caffe_format.network import wire
from pipeline.caffe_format.writer import write_caffemodel, write_prototxt

TOLERANCE = 1e-4
"""Of the range of the scores, as promised for every engine; float32 rounding stays ten times below."""

VGG = [
    ("conv1_1", 64, 100), ("conv1_2", 64, 1), ("pool1", 0, 0),
    ("conv2_1", 128, 1), ("conv2_2", 128, 1), ("pool2", 0, 0),
    ("conv3_1", 256, 1), ("conv3_2", 256, 1), ("conv3_3", 256, 1), ("pool3", 0, 0),
    ("conv4_1", 512, 1), ("conv4_2", 512, 1), ("conv4_3", 512, 1), ("pool4", 0, 0),
    ("conv5_1", 512, 1), ("conv5_2", 512, 1), ("conv5_3", 512, 1), ("pool5", 0, 0),
]  # fmt: skip
"""Name, channels and pad of the first layers, as the paper's deploy file has them."""


@pytest.mark.parametrize(("classes", "size"), [(21, 500), (2, 300)])
def test_layers_are_those_of_the_paper(classes: int, size: int) -> None:
    layers = iter(fcn8s_layers(classes, (size, size)))

    def check(name: str, layer_type: str, bottoms: list[str], top: str, **params: Any) -> None:
        layer = next(layers)
        assert (layer.name, layer.type, list(layer.bottoms), list(layer.tops)) == (
            name,
            layer_type,
            bottoms,
            [top],
        )
        found = {key: value[0] if isinstance(value, tuple) else value for key, value in layer.params.items()}
        assert found == params

    check("data", "Input", [], "data", shape=(1, 3, size, size))
    blob = "data"
    for name, channels, pad in VGG:
        if channels:
            check(name, "Convolution", [blob], name, num_output=channels, kernel_size=3, pad=pad)
            check(name.replace("conv", "relu"), "ReLU", [name], name)
        else:
            check(name, "Pooling", [blob], name, pool="MAX", kernel_size=2, stride=2)
        blob = name
    for number, kernel in (("6", 7), ("7", 1)):
        check(f"fc{number}", "Convolution", [blob], f"fc{number}", num_output=4096, kernel_size=kernel, pad=0)
        blob = f"fc{number}"
        check(f"relu{number}", "ReLU", [blob], blob)
        check(f"drop{number}", "Dropout", [blob], blob, dropout_ratio=0.5)
    one = {"num_output": classes, "kernel_size": 1, "pad": 0}
    two = {"num_output": classes, "kernel_size": 4, "stride": 2, "bias_term": False}
    check("score_fr", "Convolution", ["fc7"], "score_fr", **one)
    check("upscore2", "Deconvolution", ["score_fr"], "upscore2", **two)
    check("scale_pool4", "Scale", ["pool4"], "scale_pool4", filler={"type": "constant", "value": 0.01})
    check("score_pool4", "Convolution", ["scale_pool4"], "score_pool4", **one)
    check("score_pool4c", "Crop", ["score_pool4", "upscore2"], "score_pool4c", axis=2, offset=5)
    check("fuse_pool4", "Eltwise", ["upscore2", "score_pool4c"], "fuse_pool4", operation="SUM")
    check("upscore_pool4", "Deconvolution", ["fuse_pool4"], "upscore_pool4", **two)
    check("scale_pool3", "Scale", ["pool3"], "scale_pool3", filler={"type": "constant", "value": 0.0001})
    check("score_pool3", "Convolution", ["scale_pool3"], "score_pool3", **one)
    check("score_pool3c", "Crop", ["score_pool3", "upscore_pool4"], "score_pool3c", axis=2, offset=9)
    check("fuse_pool3", "Eltwise", ["upscore_pool4", "score_pool3c"], "fuse_pool3", operation="SUM")
    check("upscore8", "Deconvolution", ["fuse_pool3"], "upscore8", **(two | {"kernel_size": 16, "stride": 8}))
    check("score", "Crop", ["upscore8", "data"], "score", axis=2, offset=31)
    assert next(layers, None) is None


def test_number_of_parameters_is_that_of_the_release() -> None:
    layers = fcn8s_layers(21, (500, 500))
    shapes = CaffeNetwork("", layers, wire(layers, "net"), "net").blob_shapes(500, 500)
    assert sum(int(np.prod(shape)) for layer in shapes for shape in layer) == 134_490_527


@pytest.mark.parametrize(
    ("size", "pools", "fc6"), [(500, [349, 175, 88, 44, 22], 16), (300, [249, 125, 63, 32, 16], 10)]
)
def test_sizes_round_up(size: int, pools: list[int], fc6: int) -> None:
    network = random_fcn8s(2, (size, size), width_divisor=64, seed=0)
    sizes = {
        layer.name: shape[2] for layer, shape in zip(network.layers, network.shapes(size, size), strict=True)
    }
    assert [sizes[f"pool{number}"] for number in range(1, 6)] == pools
    assert (sizes["fc6"], sizes["score"]) == (fc6, size)


@pytest.mark.parametrize(
    ("classes", "size_hw"), [(21, (500, 500)), (2, (300, 300)), (2, (211, 333)), (21, (97, 64)), (2, (1, 1))]
)
def test_converted_graph_equals_opencv(
    classes: int, size_hw: tuple[int, int], run_onnx: Any, run_opencv: Any
) -> None:
    network = random_fcn8s(classes, size_hw, width_divisor=32, seed=classes)
    batch = np.random.default_rng(1).uniform(-128, 128, (1, 3, *size_hw)).astype(np.float32)
    expected = run_opencv(network, batch)
    scores = run_onnx(network, batch)
    assert scores.shape == expected.shape == (1, classes, *size_hw)
    assert np.abs(scores - expected).max() <= TOLERANCE * np.ptp(expected)
    assert np.mean(scores.argmax(1) != expected.argmax(1)) < 1e-4


def test_one_graph_serves_every_size_and_batch(run_onnx: Any, run_opencv: Any) -> None:
    network = random_fcn8s(2, (300, 300), width_divisor=32, seed=3)
    batch = np.random.default_rng(1).uniform(-128, 128, (2, 3, 131, 90)).astype(np.float32)
    expected = run_opencv(network, batch)
    assert np.abs(run_onnx(network, batch) - expected).max() <= TOLERANCE * np.ptp(expected)


def test_every_branch_matters_in_random_weights(run_onnx: Any) -> None:
    network = random_fcn8s(2, (64, 64), width_divisor=32, seed=3)
    batch = np.random.default_rng(1).uniform(-128, 128, (1, 3, 64, 64)).astype(np.float32)
    scores = run_onnx(network, batch)
    for branch in ("score_fr", "score_pool4", "score_pool3"):
        blobs = [[blob * (layer.name != branch) for blob in layer.blobs] for layer in network.layers]
        assert np.abs(run_onnx(network.with_blobs(blobs), batch) - scores).max() > 0.05 * np.ptp(scores)


def test_released_weights_with_suffix_fit_the_generated_description(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    network = random_fcn8s(2, (300, 300), width_divisor=64, seed=0)
    suffixed = [
        replace(layer, name=re.sub("^((up)?score_?.*)", r"\1_r", layer.name)) for layer in network.layers
    ]
    write_caffemodel(CaffeNetwork.from_layers(suffixed), tmp_path / "weights")
    (tmp_path / "deploy").write_text(fcn8s_prototxt(2, (300, 300), width_divisor=64))
    with caplog.at_level(logging.WARNING):
        loaded = load_caffe(tmp_path / "deploy", tmp_path / "weights")
    assert len(caplog.records) == 6
    for layer, expected in zip(loaded.layers, network.layers, strict=True):
        assert all(map(np.array_equal, layer.blobs, expected.blobs))


def test_generated_text_is_that_of_the_layers(tmp_path: Any) -> None:
    network = random_fcn8s(2, (300, 300), width_divisor=64, seed=0)
    write_prototxt(replace(network, name="face_seg_fcn8s"), tmp_path / "net")
    assert (tmp_path / "net").read_text() == fcn8s_prototxt(2, (300, 300), width_divisor=64)
