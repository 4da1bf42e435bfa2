from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import Layer
from pipeline.errors import ModelError

TOLERANCE = 1e-4
"""Of the range of the scores: what float32 sums in another order may differ by, with a margin of ten."""

SHARED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_same(actual: Float32Array, expected: Float32Array) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= TOLERANCE * max(float(np.ptp(expected)), 1e-3)


@pytest.mark.parametrize(
    ("layer_type", "params"),
    [
        ("Convolution", {"num_output": 4, "kernel_size": 3}),
        ("Convolution", {"num_output": 4, "kernel_size": 3, "pad": 5, "bias_term": False}),
        (
            "Convolution",
            {"num_output": 4, "kernel_h": 1, "kernel_w": 5, "pad_h": 0, "pad_w": 2, "stride_h": 2}
            | {"stride_w": 3},
        ),
        (
            "Convolution",
            {"num_output": 4, "kernel_size": (3, 5), "pad": (0, 2), "stride": (1, 2), "dilation": (2, 1)},
        ),
        ("Convolution", {"num_output": 6, "kernel_size": 3, "group": 3, "pad": 1}),
        ("Convolution", {"num_output": 4, "kernel_size": 3, "dilation": 2, "pad": 2, "stride": 2}),
        ("Deconvolution", {"num_output": 4, "kernel_size": 4, "stride": 2, "pad": 1}),
        ("Deconvolution", {"num_output": 4, "kernel_size": 3, "stride": 3, "bias_term": False}),
        ("Deconvolution", {"num_output": 6, "kernel_size": 4, "stride": 2, "group": 3, "bias_term": False}),
        ("ReLU", {}),
        ("ReLU", {"negative_slope": 0.1}),
        ("Sigmoid", {}),
        ("TanH", {}),
        ("Softmax", {}),
        ("Power", {"power": 2.0, "scale": 0.5, "shift": 3.0}),
        ("Dropout", {"dropout_ratio": 0.5}),
        ("Scale", {}),
        ("Scale", {"bias_term": True}),
        ("BatchNorm", {"eps": 1e-3}),
        ("InnerProduct", {"num_output": 5}),
        ("Pooling", {"pool": "MAX", "global_pooling": True}),
        ("Pooling", {"pool": "AVE", "global_pooling": True}),
    ],
)  # fmt: skip
def test_every_layer_equals_opencv(
    layer_type: str, params: dict[str, Any], build: Any, run_onnx: Any, run_opencv: Any, batch_of: Any
) -> None:
    network = build((layer_type, params))
    batch = batch_of(network)
    assert_same(run_onnx(network, batch), run_opencv(network, batch))


def caffe_pooling(batch: Float32Array, pool: str, kernel: int, stride: int, pad: int) -> Float32Array:
    """pooling_layer.cpp, window by window."""
    height, width = batch.shape[2:]
    sizes = []
    for size in (height, width):
        pooled = int(np.ceil((size + 2 * pad - kernel) / stride)) + 1
        if pad and (pooled - 1) * stride >= size + pad:
            pooled -= 1
        sizes.append(pooled)
    result = np.zeros((*batch.shape[:2], *sizes), np.float32)
    for row in range(sizes[0]):
        for column in range(sizes[1]):
            top, left = row * stride - pad, column * stride - pad
            bottom, right = min(top + kernel, height + pad), min(left + kernel, width + pad)
            divisor = (bottom - top) * (right - left)
            window = batch[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            result[:, :, row, column] = (
                window.max(axis=(2, 3)) if pool == "MAX" else window.sum(axis=(2, 3)) / divisor
            )
    return result


@SHARED
@given(
    pool=st.sampled_from(["MAX", "AVE"]),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    pad=st.integers(0, 3),
    height=st.integers(5, 14),
    width=st.integers(5, 14),
)
def test_pooling_equals_caffe_rule(
    pool: str, kernel: int, stride: int, pad: int, height: int, width: int, build: Any, run_onnx: Any
) -> None:
    stride = min(stride, kernel)
    pad = min(pad, kernel - 1 if pool == "MAX" else kernel - stride)
    params = {"pool": pool, "kernel_size": kernel, "stride": stride, "pad": pad}
    network = build(("Pooling", params), shape=(1, 2, height, width))
    batch = np.random.default_rng(5).standard_normal((2, 2, height, width)).astype(np.float32)
    expected = caffe_pooling(batch, pool, kernel, stride, pad)
    assert network.output_shape(height, width, batch=2) == expected.shape
    assert_same(run_onnx(network, batch), expected)


@pytest.mark.parametrize(
    "params",
    [{}, {"operation": "SUM", "coeff": (0.5, -2.0, 1.0)}, {"operation": "PROD"}, {"operation": "MAX"}],
)
def test_eltwise_of_three_equals_opencv(
    params: dict[str, Any], build: Any, run_onnx: Any, run_opencv: Any, batch_of: Any
) -> None:
    convolution = {"num_output": 3, "kernel_size": 1}
    network = build(
        Layer("a", "Convolution", ["data"], ["a"], convolution),
        Layer("b", "Convolution", ["data"], ["b"], convolution),
        Layer("sum", "Eltwise", ["a", "data", "b"], ["sum"], params),
    )
    batch = batch_of(network)
    assert_same(run_onnx(network, batch), run_opencv(network, batch))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat_equals_numpy(axis: int, build: Any, run_onnx: Any, batch_of: Any) -> None:
    network = build(
        Layer("half", "Power", ["data"], ["half"], {"scale": 0.5}),
        Layer("both", "Concat", ["data", "half", "data"], ["both"], {"axis": axis}),
    )
    batch = batch_of(network)
    assert np.array_equal(run_onnx(network, batch), np.concatenate([batch, batch / 2, batch], axis))


@SHARED
@given(
    offsets=st.lists(st.integers(0, 3), min_size=0, max_size=2),
    axis=st.sampled_from([2, 3, -1, -2]),
    height=st.integers(9, 20),
    width=st.integers(9, 20),
)
def test_crop_equals_numpy_at_any_size(
    offsets: list[int], axis: int, height: int, width: int, build: Any, run_onnx: Any
) -> None:
    axes = 2 if axis in {2, -2} else 1
    offsets = offsets[:axes]
    network = build(
        ("Convolution", {"num_output": 2, "kernel_size": 7, "pad": 1}),
        Layer("crop", "Crop", ["data", "convolution0"], ["crop"], {"axis": axis, "offset": offsets}),
        Layer("pair", "Concat", ["crop", "crop"], ["pair"]),
    )
    batch = np.random.default_rng(3).standard_normal((2, 3, height, width)).astype(np.float32)
    if axes == 1:
        batch = np.ascontiguousarray(batch.transpose(0, 1, 3, 2)) if height > width else batch
    rows, columns = ([*offsets] * 2 if len(offsets) == 1 else [*offsets, 0, 0])[:2]
    size_hw = batch.shape[2] - 4, batch.shape[3] - 4
    expected = batch[:, :, rows : rows + size_hw[0], columns : columns + size_hw[1]]
    if axes == 1:
        expected = batch[:, :, :, rows : rows + size_hw[1]]
    crop = run_onnx(network, batch)[:, :3]
    assert np.array_equal(crop, expected)


def test_graph_takes_any_batch_and_size(build: Any, run_onnx: Any) -> None:
    network = build(
        ("Convolution", {"num_output": 4, "kernel_size": 3, "pad": 1}),
        ("Pooling", {"pool": "MAX", "kernel_size": 2, "stride": 2}),
        ("Deconvolution", {"num_output": 2, "kernel_size": 4, "stride": 2}),
        Layer("score", "Crop", ["deconvolution2", "data"], ["score"], {"offset": 1}),
    )
    batch = np.random.default_rng(3).standard_normal((3, 3, 31, 22)).astype(np.float32)
    together = run_onnx(network, batch)
    assert together.shape == network.output_shape(31, 22, batch=3) == (3, 2, 31, 22)
    for number in range(3):
        assert_same(run_onnx(network, batch[number : number + 1]), together[number : number + 1])


def test_file_holds_the_same_model(build: Any, tmp_path: Path) -> None:
    network = build(
        ("Convolution", {"num_output": 4, "kernel_size": 3}), ("Scale", {"num_axes": 0}), ("Softmax", {})
    )
    network.to_onnx(tmp_path / "net.onnx")
    written = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(written, full_check=True)
    assert written == network.to_onnx_model()
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_blobs_keep_their_names(build: Any) -> None:
    network = build(
        Layer("conv", "Convolution", ["data"], ["conv"], {"num_output": 4, "kernel_size": 3}),
        Layer("relu", "ReLU", ["conv"], ["conv"]),
        Layer("drop", "Dropout", ["conv"], ["conv"]),
        Layer("prob", "Softmax", ["conv"], ["prob"]),
    )
    graph = network.to_onnx_model().graph
    assert [value.name for value in graph.input] == ["data"]
    assert [value.name for value in graph.output] == ["prob"]
    assert [node.output[0] for node in graph.node] == ["conv@conv", "conv", "prob"]
    assert [tensor.name for tensor in graph.initializer] == ["conv.weight", "conv.bias"]


def test_folder_that_cannot_be_written(build: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        build(("ReLU", {})).to_onnx(tmp_path / "file" / "net.onnx")
