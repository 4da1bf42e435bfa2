from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from benchmarks.agreement import heavy_tailed
from landmarks.arrays import Float32Array
from pipeline.caffe_format import subpixel
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.graph_builder import CONTRIB, Deferred, GraphBuilder
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.onnx_graph import graph_of_network
from pipeline.caffe_format.padding import specialised_graph
from pipeline.caffe_format.subpixel import with_subpixel_convolutions
from pipeline.caffe_format.tiling import Convolution, Tiling, best_tiling
from pipeline.caffe_format.winograd import Choice, with_fast_convolutions
from pipeline.errors import ModelError
from tests.caffe_format.conftest import random_batch, run_session

TOLERANCE = 1e-4
"""Of the range of the scores, as promised."""

GENERATED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def always(*window_hw: int) -> Choice:
    """Windows of that size for 3x3 filters, of 10x8 for larger ones."""

    def choose(convolution: Convolution) -> Tiling | None:
        if convolution.filter_size == 3:
            return Tiling.of(convolution, (window_hw[0], window_hw[-1]))
        return Tiling.of(convolution, (10, 8)) if convolution.filter_size in {5, 7} else None

    return choose


def scores_of(graph: GraphBuilder, batch: Float32Array) -> Float32Array:
    model = graph.model()
    onnx.checker.check_model(model)
    return run_session(model.SerializeToString(), batch)


def assert_same_scores(network: CaffeNetwork, choose: Choice, share: float = TOLERANCE) -> GraphBuilder:
    batch = random_batch(network.input_shape)
    plain = specialised_graph(network, *batch.shape[2:], threads=1)
    fast = with_fast_convolutions(plain, choose)
    expected, found = scores_of(plain, batch), scores_of(fast, batch)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= share * np.ptp(expected)
    return fast


def operators(graph: GraphBuilder) -> Counter[str]:
    return Counter(node.op_type for node in graph.nodes)


@pytest.mark.parametrize(("window", "share"), [(6, 4e-6), (8, 1e-5)])
@pytest.mark.parametrize(("classes", "size"), [(21, 131), (2, 75)])
def test_fcn8s_with_every_convolution_fast(classes: int, size: int, window: int, share: float) -> None:
    network = random_fcn8s(classes, (size, size), width_divisor=16, seed=classes)
    fast = assert_same_scores(network, always(window), share)
    assert operators(fast)["FusedMatMul"] == 14
    assert operators(fast)["MaxPool"] == 5


@pytest.mark.parametrize("seed", range(3))
def test_heavy_tailed_weights_lose_no_more(seed: int) -> None:
    assert_same_scores(
        heavy_tailed(random_fcn8s(2, (97, 75), width_divisor=16, seed=seed), seed), always(8), 2e-5
    )


@GENERATED
@given(
    kernel=st.sampled_from([3, 5, 7]),
    pad=st.integers(0, 3),
    size_hw=st.tuples(st.integers(8, 30), st.integers(8, 30)),
    window=st.tuples(st.sampled_from([6, 8]), st.sampled_from([6, 8])),
    after=st.sampled_from(["", "ReLU", "Pooling", "ReLU Pooling", "ReLU Convolution", "Convolution Pooling"]),
    bias=st.booleans(),
    seed=st.integers(0, 3),
)
def test_any_convolution_keeps_its_result(
    kernel: int,
    pad: int,
    size_hw: tuple[int, int],
    window: tuple[int, int],
    after: str,
    bias: bool,
    seed: int,
    build: Any,
) -> None:
    parameters = {"num_output": 5, "kernel_size": kernel, "pad": pad, "bias_term": bias}
    follow = {
        "ReLU": {},
        "Pooling": {"pool": "MAX", "kernel_size": 2, "stride": 2},
        "Convolution": {"num_output": 4, "kernel_size": 3, "pad": pad // 2},
    }
    steps = [("Convolution", parameters), *((kind, follow[kind]) for kind in after.split())]
    network = build(*steps, shape=(1, 3, *size_hw), seed=seed)
    assert operators(assert_same_scores(network, always(*window)))["FusedMatMul"] >= 1


def test_what_a_tile_has_too_much_is_left_to_a_convolution_that_ignores_it(build: Any) -> None:
    convolution = ("Convolution", {"num_output": 4, "kernel_size": 3})
    network = build(convolution, convolution, shape=(1, 3, 19, 19))
    assert operators(assert_same_scores(network, always(8)))["Slice"] == 1
    padded = ("Convolution", {"num_output": 4, "kernel_size": 3, "pad": 1})
    network = build(padded, padded, shape=(1, 3, 19, 19))
    assert operators(assert_same_scores(network, always(8)))["Slice"] == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": 3, "dilation": 2},
        {"kernel_h": 3, "kernel_w": 5},
        {"kernel_size": 3, "group": 3},
    ],
)
def test_other_convolutions_stay(parameters: dict[str, Any], build: Any) -> None:
    network = build(("Convolution", {"num_output": 6, **parameters}))
    plain = specialised_graph(network, 13, 17, threads=1)
    assert operators(with_fast_convolutions(plain, always(6))) == operators(plain)


def test_a_graph_of_any_size_is_refused(build: Any) -> None:
    graph = graph_of_network(build(("Convolution", {"num_output": 6, "kernel_size": 3})))
    with pytest.raises(ModelError, match="the shape of 'data' is not known beforehand"):
        with_fast_convolutions(graph, always(6))


@pytest.mark.parametrize(("classes", "size", "fast"), [(21, 500, 11), (2, 300, 11)])
def test_what_is_chosen_for_fcn8s(classes: int, size: int, fast: int) -> None:
    """At full width, without its weights: shapes decide."""
    narrow = specialised_graph(random_fcn8s(classes, (size, size), width_divisor=32, seed=0), size, size)
    chosen: dict[str, Tiling | None] = {}

    def choose(convolution: Convolution) -> None:
        wide = Convolution(
            convolution.node,
            max(convolution.channels * 32, 3),
            convolution.outputs * 32,
            convolution.filter_size,
            convolution.size_hw,
            convolution.relu,
            convolution.pooling,
        )
        chosen[convolution.node.output[0].partition("@")[0]] = best_tiling(wide)

    with_fast_convolutions(narrow, choose)
    assert {name for name, tiling in chosen.items() if tiling} == {
        "conv2_2", *(f"conv{block}_{number}" for block in (3, 4, 5) for number in (1, 2, 3)), "fc6",
    }  # fmt: skip
    assert sum(tiling is not None for tiling in chosen.values()) == fast
    fc6 = chosen["fc6"]
    assert fc6 is not None
    assert fc6.tile_hw == (4, 2)


def test_weights_are_made_when_they_are_written(build: Any) -> None:
    network = build(("Convolution", {"num_output": 5, "kernel_size": 3}))
    fast = with_fast_convolutions(specialised_graph(network, 13, 17, threads=1), always(6))
    deferred = {name: value for name, value in fast.constants.items() if isinstance(value, Deferred)}
    assert [value.shape for value in deferred.values()] == [(36, 5, 3)]
    assert next(iter(deferred.values())).make().shape == (36, 5, 3)
    assert fast.needs_onnxruntime
    assert CONTRIB in {opset.domain for opset in fast.model().opset_import}


@GENERATED
@given(
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    taps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    bias=st.booleans(),
    size_hw=st.tuples(st.integers(5, 9), st.integers(5, 9)),
)
def test_deconvolutions_keep_their_results(
    stride: tuple[int, int],
    taps: tuple[int, int],
    pad: tuple[int, int],
    bias: bool,
    size_hw: tuple[int, int],
    build: Any,
) -> None:
    kernel = [tap * step for tap, step in zip(taps, stride, strict=True)]
    parameters = {
        "num_output": 4, "bias_term": bias, "stride_h": stride[0], "stride_w": stride[1],
        "kernel_h": kernel[0], "kernel_w": kernel[1], "pad_h": pad[0], "pad_w": pad[1],
    }  # fmt: skip
    try:
        network = build(("Deconvolution", parameters), shape=(1, 3, *size_hw))
    except ModelError:  # nothing is left between its pads
        reject()
    plain = specialised_graph(network, *size_hw, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subpixel, "WORTHWHILE_NUMBERS", 1)
        rewritten = with_subpixel_convolutions(plain)
    batch = random_batch((1, 3, *size_hw))
    expected, found = scores_of(plain, batch), scores_of(rewritten, batch)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected) + 1e-6
    assert operators(rewritten)["ConvTranspose"] == (stride == (1, 1))


def test_small_and_grouped_deconvolutions_stay(build: Any) -> None:
    small = build(("Deconvolution", {"num_output": 4, "kernel_size": 4, "stride": 2}))
    grouped = build(
        ("Deconvolution", {"num_output": 3, "kernel_size": 8, "stride": 8, "group": 3}), shape=(1, 3, 30, 30)
    )
    for network in (small, grouped):
        plain = specialised_graph(network, *network.input_shape[2:], threads=1)
        assert operators(with_subpixel_convolutions(plain)) == operators(plain)
