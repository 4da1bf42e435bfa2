from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from landmarks.arrays import Float32Array
from pipeline.caffe_format import regions
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.folding import simplify
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.padding import count_work, specialise, write_specialised
from pipeline.caffe_format.regions import LayerRegions, plan_regions
from pipeline.errors import ModelError, ModelFormatError
from tests.caffe_format.conftest import run_session

TOLERANCE = 1e-4
"""Of the range of the scores, as promised; the same kernels on fewer cells stay far below."""

GENERATED = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def assert_same_scores(network: CaffeNetwork, batch: Float32Array) -> None:
    plain = run_session(network.to_onnx_model().SerializeToString(), batch)
    fast = run_session(specialise(network, *batch.shape[2:], threads=1).SerializeToString(), batch)
    assert fast.shape == plain.shape
    assert np.abs(fast - plain).max() <= TOLERANCE * np.ptp(plain)


def regions_of(network: CaffeNetwork, height: int, width: int) -> dict[str, LayerRegions]:
    simple = simplify(network)
    planned = zip(simple.layers, plan_regions(simple, height, width), strict=True)
    return {layer.name: region for layer, region in planned if region is not None}


def test_regions_of_fcn8s_at_500() -> None:
    regions = regions_of(random_fcn8s(2, (500, 500), width_divisor=64, seed=0), 500, 500)
    rows = {name: (region.computed[0], region.needed[0]) for name, region in regions.items()}
    assert rows["data"] == ((0, 500), (0, 500))
    assert rows["conv1_2"] == ((96, 602), (96, 602))
    assert rows["pool1"] == ((48, 301), (44, 306))
    assert rows["pool2"] == ((23, 152), (17, 159))
    assert rows["pool3"] == ((10, 78), (3, 85))
    assert rows["pool4"] == ((3, 41), (0, 44))
    assert rows["fc6"] == ((0, 16), (0, 16))
    assert rows["score_pool4"] == ((5, 39), (5, 39))
    assert rows["upscore8"] == ((31, 531), (31, 531))


@pytest.mark.parametrize(
    ("classes", "size_hw", "number"),
    [
        (21, (500, 500), 1),
        (2, (300, 300), 2),
        (2, (211, 333), 1),
        (2, (350, 97), 1),
        (2, (1, 2), 3),
        (2, (16, 15), 1),
    ],
)
def test_fcn8s_scores_stay_the_same(classes: int, size_hw: tuple[int, int], number: int) -> None:
    network = random_fcn8s(classes, size_hw, width_divisor=32, seed=classes)
    assert_same_scores(
        network, np.random.default_rng(1).uniform(-128, 128, (number, 3, *size_hw)).astype(np.float32)
    )


def test_fcn8s_scores_stay_the_same_with_constants_after_every_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(regions, "PASTING_WORK", 0)
    network = random_fcn8s(2, (120, 75), width_divisor=32, seed=4)
    assert sum(region.is_pasted for region in regions_of(network, 120, 75).values()) == 16
    assert_same_scores(
        network, np.random.default_rng(1).uniform(-128, 128, (2, 3, 120, 75)).astype(np.float32)
    )


@pytest.mark.parametrize(("size", "least"), [(500, 1.36), (300, 1.6)])
def test_fcn8s_has_less_work(size: int, least: float) -> None:
    work = count_work(random_fcn8s(2, (size, size), width_divisor=8, seed=0), size, size)
    assert work.ratio > least
    assert work.plain == work.specialised * work.ratio


def test_work_of_a_single_convolution(build: Any) -> None:
    network = build(
        ("Convolution", {"num_output": 5, "kernel_size": 3, "pad": 10}),
        Layer("crop", "Crop", ["convolution0", "data"], ["crop"], {"offset": 9}),
    )
    work = count_work(network, 13, 17)
    assert work.plain == 5 * 3 * 9 * (13 + 18) * (17 + 18)
    assert work.specialised == 5 * 3 * 9 * 13 * 17


def test_a_crop_of_channels_is_left_to_the_plain_graph(build: Any) -> None:
    network = build(
        ("Convolution", {"num_output": 5, "kernel_size": 3, "pad": 10}),
        Layer("crop", "Crop", ["convolution0", "data"], ["crop"], {"axis": 1, "offset": (1, 9, 9)}),
    )
    with pytest.raises(ModelError, match=r"crop.*cannot be cut into regions"):
        specialise(network, 13, 17)


@st.composite
def padded_networks(draw: st.DrawFn) -> list[Any]:
    """A convolution with wide padding, then convolutions and poolings of any kind."""
    convolution = st.builds(
        lambda kernel, pad, stride, dilation: (
            "Convolution",
            {"num_output": 2, "kernel_size": kernel, "pad": pad, "stride": stride, "dilation": dilation},
        ),
        st.integers(1, 4), st.integers(0, 3), st.integers(1, 2), st.integers(1, 2),
    )  # fmt: skip
    pooling = st.builds(
        lambda kernel, pad, overlap: (
            "Pooling",
            {"pool": "MAX", "kernel_size": kernel, "pad": min(pad, kernel - 1), "stride": kernel - overlap},
        ),
        st.integers(2, 3), st.integers(0, 1), st.integers(0, 1),
    )  # fmt: skip
    step = st.one_of(convolution, pooling, st.just(("ReLU", {})), st.just(("Scale", {"bias_term": True})))
    first = ("Convolution", {"num_output": 2, "kernel_size": 3, "pad": draw(st.integers(8, 25))})
    return [first, *draw(st.lists(step, min_size=1, max_size=6))]


@GENERATED
@given(
    steps=padded_networks(),
    size_hw=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    up=st.integers(1, 3),
    seed=st.integers(0, 3),
)
def test_any_network_keeps_its_scores(
    steps: list[Any], size_hw: tuple[int, int], up: int, seed: int, build: Any
) -> None:
    shape = (1, 3, *size_hw)
    deconvolution = ("Deconvolution", {"num_output": 2, "kernel_size": up + 1, "stride": up, "pad": up // 2})
    try:
        network = build(*steps, deconvolution, shape=shape, seed=seed)
        sizes = [shape[2:] for shape in network.shapes(*size_hw)]
        layers = [*network.layers[1:]]
        spare = [first - last for first, last in zip(sizes[1], sizes[-1], strict=True)]
        if min(spare) >= 0:
            offsets = [number // 2 for number in spare]
            layers.append(
                Layer("skip", "Crop", [layers[0].tops[0], layers[-1].tops[0]], ["skip"], {"offset": offsets})
            )
            layers.append(Layer("fuse", "Eltwise", [layers[-2].tops[0], "skip"], ["fuse"], {}))
        spare = [last - picture for picture, last in zip(size_hw, sizes[-1], strict=True)]
        if min(spare) >= 0:
            offsets = [number // 2 for number in spare]
            layers.append(
                Layer("score", "Crop", [layers[-1].tops[0], "data"], ["score"], {"offset": offsets})
            )
        network = build(*layers, shape=shape, seed=seed)
        regions = regions_of(network, *size_hw)
    except ModelError:  # too small for its layers, or a result that reads a layer in its padding only
        reject()
    event(f"pasted: {any(region.is_pasted for region in regions.values())}")
    assert_same_scores(
        network, np.random.default_rng(seed).standard_normal((2, *shape[1:])).astype(np.float32)
    )


def test_file_holds_the_same_model(tmp_path: Path) -> None:
    network = random_fcn8s(2, (40, 40), width_divisor=64, seed=0)
    write_specialised(network, 40, 40, tmp_path / "net.onnx", threads=1)
    written = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(written, full_check=True)
    assert written == specialise(network, 40, 40, threads=1)


@pytest.mark.parametrize(
    ("step", "layer"),
    [
        (("InnerProduct", {"num_output": 2}), "innerproduct0"),
        (("Pooling", {"pool": "AVE", "kernel_size": 2}), "pooling0"),
        (("Pooling", {"global_pooling": True}), "pooling0"),
        (("Softmax", {"axis": 2}), "softmax0"),
        (("BatchNorm", {}), ""),
    ],
)
def test_networks_that_cannot_be_cut(step: Any, layer: str, build: Any, batch_of: Any) -> None:
    network = build(step)
    if layer:
        with pytest.raises(
            ModelError, match=f"layer '{layer}' .*cannot be cut into regions. Use the plain graph"
        ):
            specialise(network, 13, 17)
    else:
        assert_same_scores(network, batch_of(network))


def test_sizes_that_the_network_cannot_take(build: Any) -> None:
    network = build(("Convolution", {"num_output": 2, "kernel_size": 5}))
    with pytest.raises(ModelFormatError, match="input of 4x9: its input 1x3x4x9 is too small"):
        specialise(network, 4, 9)
