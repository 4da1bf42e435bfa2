from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.caffe_format.folding import simplify
from pipeline.caffe_format.layers import Layer


def types_of(network: Any) -> list[str]:
    return [layer.type for layer in network.layers]


CONVOLUTION = {"num_output": 6, "kernel_size": 3, "pad": 1, "group": 3}
DECONVOLUTION = {"num_output": 6, "kernel_size": 4, "stride": 2, "group": 3, "bias_term": False}
PLAIN = {"num_output": 2, "kernel_size": 3}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (
            [("Convolution", CONVOLUTION), ("BatchNorm", {}), ("Scale", {"bias_term": True}), ("ReLU", {})],
            ["Input", "Convolution", "ReLU"],
        ),
        ([("Deconvolution", DECONVOLUTION), ("BatchNorm", {}), ("Scale", {})], ["Input", "Deconvolution"]),
        ([("BatchNorm", {}), ("Scale", {}), ("Convolution", PLAIN)], ["Input", "Convolution"]),
        ([("Scale", {}), ("Convolution", {**PLAIN, "pad": 1})], ["Input", "Convolution"]),
        (
            [("Scale", {"bias_term": True}), ("Convolution", {**PLAIN, "pad": 1})],
            ["Input", "Scale", "Convolution"],
        ),
        ([("Scale", {}), ("Scale", {"bias_term": True}), ("ReLU", {})], ["Input", "Scale", "ReLU"]),
        ([("Scale", {}), ("Convolution", CONVOLUTION)], ["Input", "Scale", "Convolution"]),
        ([("Split", {}), ("Dropout", {}), ("ReLU", {}), ("Dropout", {})], ["Input", "ReLU", "Dropout"]),
    ],
)  # fmt: skip
def test_folded_graph_computes_the_same(
    steps: list[Any], left: list[str], build: Any, run_onnx: Any, run_opencv: Any, batch_of: Any
) -> None:
    network = build(*steps)
    batch = batch_of(network)
    expected = run_opencv(network, batch)
    assert types_of(simplify(network)) == left
    assert np.abs(run_onnx(network, batch) - expected).max() <= 1e-5 * np.ptp(expected)


def test_scale_read_twice_stays(build: Any, run_onnx: Any, run_opencv: Any, batch_of: Any) -> None:
    network = build(
        Layer("conv", "Convolution", ["data"], ["conv"], {"num_output": 3, "kernel_size": 1}),
        Layer("scale", "Scale", ["conv"], ["scale"], {}),
        Layer("sum", "Eltwise", ["conv", "scale"], ["sum"], {}),
    )
    assert types_of(simplify(network)) == ["Input", "Convolution", "Scale", "Eltwise"]
    batch = batch_of(network)
    assert np.allclose(run_onnx(network, batch), run_opencv(network, batch), atol=1e-4)


def test_scales_of_one_number(build: Any, run_onnx: Any, batch_of: Any) -> None:
    network = build(("Scale", {"num_axes": 0}), ("Scale", {"num_axes": 0, "bias_term": True}))
    assert types_of(simplify(network)) == ["Input", "Scale"]
    first, (factor, offset) = network.layers[1].blobs[0], network.layers[2].blobs
    batch = batch_of(network)
    assert np.allclose(run_onnx(network, batch), batch * first * factor + offset, atol=1e-5)


def test_batch_norm_with_factor_zero_counts_as_untrained(build: Any, run_onnx: Any, batch_of: Any) -> None:
    network = build(("BatchNorm", {"eps": 0.25}))
    mean, variance, _ = network.layers[1].blobs
    network = network.with_blobs([(), (mean, variance, np.zeros(1, np.float32))])
    batch = batch_of(network)
    assert np.allclose(run_onnx(network, batch), batch / 0.5)


def test_arguments_stay_as_they_are(build: Any) -> None:
    network = build(("Convolution", PLAIN), ("BatchNorm", {}))
    before = [blob.copy() for layer in network.layers for blob in layer.blobs]
    simplify(network)
    after = [blob for layer in network.layers for blob in layer.blobs]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_layers_in_place_on_the_input(build: Any, run_onnx: Any, batch_of: Any) -> None:
    network = build(
        Layer("relu", "ReLU", ["data"], ["data"]),
        Layer("twice", "Power", ["data"], ["twice"], {"scale": 2.0}),
    )
    assert network.to_onnx_model().graph.input[0].name == "data"
    batch = batch_of(network)
    assert np.array_equal(run_onnx(network, batch), 2 * np.maximum(batch, 0))
