from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landmarks.arrays import Float32Array
from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.caffe_format.fillers import bilinear_kernel
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.writer import prototxt_text, write_caffemodel
from pipeline.errors import ModelError, ModelFormatError
from pipeline.wire_format import length_tag, string_field, varint_field

CONVOLUTION = {"num_output": 4, "kernel_size": 3}


def same_blobs(a: CaffeNetwork, b: CaffeNetwork) -> bool:
    return all(
        len(one.blobs) == len(other.blobs) and all(map(np.array_equal, one.blobs, other.blobs))
        for one, other in zip(a.layers, b.layers, strict=True)
    )


def renamed(network: CaffeNetwork, names: dict[str, str]) -> CaffeNetwork:
    layers = [replace(layer, name=names.get(layer.name, layer.name)) for layer in network.layers]
    return CaffeNetwork.from_layers(layers)


@pytest.fixture
def network(build: Any) -> CaffeNetwork:
    made: CaffeNetwork = build(
        Layer("conv", "Convolution", ["data"], ["conv"], CONVOLUTION),
        Layer("relu", "ReLU", ["conv"], ["conv"]),
        Layer("norm", "BatchNorm", ["conv"], ["norm"], {"eps": 0.001}),
        Layer("score_fr", "Convolution", ["norm"], ["score_fr"], {"num_output": 2, "kernel_size": 1}),
    )
    return made


def test_written_files_load_the_same(network: CaffeNetwork, write_files: Any) -> None:
    loaded = load_caffe(*write_files(network))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in network.layers]
    assert [dict(layer.params) for layer in loaded.layers] == [dict(layer.params) for layer in network.layers]
    assert same_blobs(loaded, network)
    assert (loaded.name, loaded.input_name, loaded.output_name, loaded.num_classes) == (
        "test",
        "data",
        "score_fr",
        2,
    )
    assert loaded.input_shape == (1, 3, 13, 17)


def test_layers_of_the_training_network_are_ignored(network: CaffeNetwork, write_files: Any) -> None:
    prototxt, caffemodel = write_files(network)
    loss = string_field(1, "loss") + string_field(2, "SoftmaxWithLoss")
    blob = length_tag(7, 3) + length_tag(1, 1) + b"\x01" + length_tag(5, 4) + bytes(4)
    spare = string_field(1, "aux") + string_field(2, "Convolution") + length_tag(7, len(blob)) + blob
    extra = b"".join(length_tag(100, len(layer)) + layer for layer in (loss, spare))
    caffemodel.write_bytes(extra + caffemodel.read_bytes())
    assert same_blobs(load_caffe(prototxt, caffemodel), network)


def test_other_names_are_matched_by_stem_and_shape_and_logged(
    network: CaffeNetwork, write_files: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prototxt, caffemodel = write_files(network)
    write_caffemodel(renamed(network, {"score_fr": "score_fr_r"}), caffemodel)
    with caplog.at_level(logging.WARNING):
        loaded = load_caffe(prototxt, caffemodel)
    assert same_blobs(loaded, network)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "'score_fr'" in message
    assert "'score_fr_r'" in message


@pytest.mark.parametrize("other", ["score_fr2", "other", "score_f"])
def test_other_stems_are_not_matched(network: CaffeNetwork, write_files: Any, other: str) -> None:
    prototxt, caffemodel = write_files(network)
    write_caffemodel(renamed(network, {"score_fr": other}), caffemodel)
    with pytest.raises(ModelFormatError, match=rf"no weights for layer 'score_fr'.*left over: {other}"):
        load_caffe(prototxt, caffemodel)


def test_two_candidates_are_refused(build: Any, write_files: Any) -> None:
    score = {"num_output": 3, "kernel_size": 1}
    stored = build(
        Layer("score_r", "Convolution", ["data"], ["a"], score),
        Layer("score_x", "Convolution", ["a"], ["b"], score),
    )
    prototxt, caffemodel = write_files(stored)
    deploy = build(Layer("score", "Convolution", ["data"], ["a"], score))
    prototxt.write_text(prototxt_text(deploy.layers))
    with pytest.raises(ModelFormatError, match="several may be meant: score_r, score_x"):
        load_caffe(prototxt, caffemodel)


def test_old_shapes_with_leading_ones_fit(build: Any, write_files: Any) -> None:
    network = build(("Convolution", {"num_output": 2, "kernel_size": 1}), shape=(1, 3, 4, 4))
    prototxt, caffemodel = write_files(network)

    def blob(values: Float32Array, dims: tuple[int, ...]) -> bytes:
        data = b"".join(varint_field(number, dim) for number, dim in enumerate(dims, 1))
        data += length_tag(5, values.nbytes) + values.tobytes()
        return length_tag(6, len(data)) + data

    weights, bias = network.layers[1].blobs
    layer = string_field(4, "convolution0") + blob(weights, (2, 3, 1, 1)) + blob(bias, (1, 1, 1, 2))
    caffemodel.write_bytes(length_tag(2, len(layer)) + layer)
    assert same_blobs(load_caffe(prototxt, caffemodel), network)


def test_layers_that_fill_themselves(build: Any, write_files: Any) -> None:
    up = {
        "num_output": 3,
        "kernel_size": 4,
        "stride": 2,
        "bias_term": False,
        "weight_filler": {"type": "bilinear"},
    }
    scale = {"bias_term": True, "filler": {"value": 0.25}}
    network = build(
        ("Convolution", {"num_output": 3, "kernel_size": 1}), ("Scale", scale), ("Deconvolution", up)
    )
    prototxt, caffemodel = write_files(network)
    kept = build(("Convolution", {"num_output": 3, "kernel_size": 1}))
    write_caffemodel(kept, caffemodel)
    loaded = load_caffe(prototxt, caffemodel)
    assert loaded.layers[2].blobs[0].tolist() == [0.25] * 3
    assert loaded.layers[2].blobs[1].tolist() == [0.0] * 3
    assert np.array_equal(loaded.layers[3].blobs[0], bilinear_kernel((3, 3, 4, 4)))


def test_bilinear_kernel_of_four() -> None:
    row = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    assert np.array_equal(bilinear_kernel((1, 2, 4, 4)), np.broadcast_to(np.outer(row, row), (1, 2, 4, 4)))


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"num_output": 5, "kernel_size": 3},
            r"needs weights of shapes \(\(5, 3, 3, 3\), \(5,\)\), but the file",
        ),
        ({"num_output": 4, "kernel_size": 3, "bias_term": False}, "needs weights"),
        (
            {"num_output": 4, "kernel_size": 30},
            r"layer 'conv' \(Convolution\), for an input of 13x17: .*too small",
        ),
        ({"num_output": 4, "kernel_size": 3, "group": 2}, "cannot be cut into 2 groups"),
        ({"num_output": 0, "kernel_size": 3}, "num_output must be 1 or more"),
        ({"num_output": 4}, "kernel_size is missing"),
        ({"num_output": 4, "kernel_size": 3, "kernel_h": 3}, "not both"),
        ({"num_output": 4, "kernel_size": 3, "stride": 0}, "must be 1 or more"),
        ({"num_output": 4, "kernel_size": 3, "axis": 2}, "axis 2"),
        ({"num_output": 2**30, "kernel_size": 3}, "too large"),
    ],
)
def test_files_that_do_not_belong_together(
    params: dict[str, Any], problem: str, network: CaffeNetwork, write_files: Any
) -> None:
    prototxt, caffemodel = write_files(network)
    layers = [replace(layer, params=params) if layer.name == "conv" else layer for layer in network.layers]
    prototxt.write_text(prototxt_text(tuple(layers)))
    with pytest.raises(ModelFormatError, match=problem) as caught:
        load_caffe(prototxt, caffemodel)
    assert "'conv'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no layer"),
        ("DATA DATA2", "exactly one input"),
        ("DATA layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'a' }", "'a' reads blob 'x'"),
        ("DATA layer { name: 'a' type: 'ReLU' top: 'a' }", "layer 'a'.*needs 1 inputs"),
        ("DATA layer { name: 'a' type: 'ReLU' bottom: 'data' }", "needs one output"),
        ("DATA RELU layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' }", "not 2 .a, a"),
        ("DATA RELU layer { name: 'a' type: 'ReLU' bottom: 'a' top: 'b' }", "two layers are named 'a'"),
        ("input: 'data' input_dim: 1 input_dim: 3 input_dim: 0 input_dim: 8 RELU", "too small"),
        ("input: 'data' input_shape { dim: 3 } RELU", "one shape of four dimensions"),
        ("DATA ONE:BatchNorm batch_norm_param { use_global_stats: false } }",
         "use_global_stats"),
        ("DATA ONE:Scale scale_param { axis: 2 } }", "axis 1"),
        ("DATA ONE:Pooling pooling_param { kernel_size: 1 stride: 2 } }",
         "stride exceeds"),
        ("DATA ONE:Pooling pooling_param { kernel_size: 2 pad: 2 } }",
         "smaller than the window"),
        ("DATA ONE:Pooling pooling_param { pool: STOCHASTIC } }",
         "stochastic"),
        ("DATA ONE:Pooling pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 } }",
         "pad exceeds"),
        ("DATA RELU TWO:Crop crop_param { offset: 1 } }",
         "cannot cut 8 from offset 1 out of 8"),
        ("DATA RELU TWO:Crop crop_param { offset: [1, 1, 1] } }",
         "2 offsets"),
        ("DATA RELU TWO:Eltwise eltwise_param { coeff: 1 } }",
         "one for each input"),
        ("DATA RELU TWO:Concat concat_param { axis: 4 } }", "axis 4"),
    ],
)  # fmt: skip
def test_hostile_descriptions(text: str, problem: str, network: CaffeNetwork, write_files: Any) -> None:
    prototxt, caffemodel = write_files(network)
    text = re.sub(r"ONE:(\w+)", r"layer { name: 'a' type: '\1' bottom: 'data' top: 'a'", text)
    text = re.sub(r"TWO:(\w+)", r"layer { name: 'c' type: '\1' bottom: 'a' bottom: 'data' top: 'c'", text)
    text = text.replace("DATA2", "input: 'more' input_shape { dim: [1, 3, 8, 8] }")
    text = text.replace("RELU", "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'a' }")
    prototxt.write_text(text.replace("DATA", "input: 'data' input_shape { dim: [1, 3, 8, 8] }"))
    with pytest.raises(ModelError, match=problem) as caught:
        load_caffe(prototxt, caffemodel)
    assert str(prototxt) in str(caught.value)


def test_truncated_weights_name_the_layer(network: CaffeNetwork, write_files: Any) -> None:
    prototxt, caffemodel = write_files(network)
    data = caffemodel.read_bytes()
    caffemodel.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFormatError, match=f"{caffemodel}: byte .* are left.*download it again"):
        load_caffe(prototxt, caffemodel)


def test_missing_weights(network: CaffeNetwork, write_files: Any, tmp_path: Path) -> None:
    prototxt, _ = write_files(network)
    with pytest.raises(ModelError, match=r"none\.caffemodel: the weights are not there"):
        load_caffe(prototxt, tmp_path / "none.caffemodel")
