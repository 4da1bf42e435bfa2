from __future__ import annotations

import pytest

from pipeline.caffe_format.deploy import Deploy, deploy_of_message
from pipeline.caffe_format.layers import Layer, LayerProblem
from pipeline.caffe_format.prototxt import parse_prototxt
from pipeline.errors import ModelFormatError


def read(text: str) -> Deploy:
    return deploy_of_message(parse_prototxt(text, path="net.prototxt"))


RELU = 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'


@pytest.mark.parametrize(
    "text",
    [
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9',
        'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }',
        'input: "data" input_shape { dim: [1, 3, 8, 9] }',
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 9] } } }',
    ],
)
@pytest.mark.parametrize("input_last", [False, True])
def test_every_way_to_declare_the_input(text: str, input_last: bool) -> None:
    first, second = read(f"{RELU} {text}" if input_last else f"{text} {RELU}").layers
    assert (first.name, first.type, first.tops, first.params["shape"]) == (
        "data",
        "Input",
        ("data",),
        ((1, 3, 8, 9),),
    )
    assert (second.name, second.bottoms, second.tops) == ("r", ("data",), ("r",))


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", True),
        ("include { phase: TRAIN }", False),
        ("include { phase: 0 }", False),
        ("include { phase: TEST }", True),
        ("include { phase: TRAIN } include { phase: TEST }", True),
        ("exclude { phase: TRAIN }", True),
        ("exclude { phase: TEST }", False),
        ("include { stage: 'val' }", False),
        ("include { not_stage: 'val' }", True),
        ("include { min_level: 1 }", False),
        ("include { max_level: -1 }", False),
        ("exclude { stage: 'val' }", True),
    ],
)
def test_layers_for_training_are_left_out(rules: str, kept: bool) -> None:
    net = read(f"""input: "data" input_shape {{ dim: [1, 3, 8, 8] }}
        layer {{ name: "x" type: "Sigmoid" bottom: "data" top: "x" {rules} }}""")
    assert [layer.name for layer in net.layers] == (["data", "x"] if kept else ["data"])


def test_old_form_is_understood() -> None:
    net = read("""input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
        layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 param: "w"
                 convolution_param { num_output: 4 kernel_size: 3 } }
        layers { name: "quiet" type: SILENCE bottom: "conv" }
        layers { name: "pool" type: POOLING bottom: "conv" top: "pool"
                 pooling_param { pool: 1 kernel_size: 2 } }""")
    assert [layer.type for layer in net.layers] == ["Input", "Convolution", "Pooling"]
    assert dict(net.layers[1].params) == {"num_output": 4, "kernel_size": (3,)}
    assert net.layers[2].params["pool"] == "AVE"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: 'empty'", "no layer"),
        ('layer { name: "x" type: "LSTM" }', "line 1: layer 'x' has type 'LSTM', which is not supported"),
        ('layer { name: "x" type: "Data" }', "looks like a training network"),
        ('layer { name: "x" type: "SoftmaxWithLoss" }', "looks like a training network"),
        ('layer { type: "ReLU" }', "has no name"),
        ("layers { name: 'x' type: LRN }", r"old \(V1\) type LRN"),
        ("layers { name: 'x' }", "has no type"),
        ("layers { layer { name: 'x' type: 'conv' } }", "oldest form"),
        (f"layers {{ name: 'x' type: RELU }} {RELU}", "cannot be mixed"),
        ('input: "a" input: "b" input_dim: 1', "2 inputs need"),
        ('input: "a"', "shape of input 'a' is missing"),
        ('input: "a" input_dim: 1 input_shape { dim: 1 }', "not both"),
        ('layer { name: "x" type: "Pooling" pooling_param { pool: BEST } }', "must be one of MAX, AVE"),
        ('layer { name: "x" type: "Convolution" convolution_param { num_output: 99999999999 } }', "32 bits"),
        ('layer { name: "x" type: "ReLU" relu_param: 3 }', "must be a block"),
    ],
)
def test_what_is_not_supported_names_file_and_layer(text: str, problem: str) -> None:
    with pytest.raises(ModelFormatError, match=problem) as caught:
        read(text)
    assert "net.prototxt: line 1" in str(caught.value)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"nun_output": 1}, "has no parameter 'nun_output'"),
        ({"num_output": 1.5}, "whole number"),
        ({"num_output": True}, "whole number"),
        ({"bias_filler": {"kind": "constant"}}, "filler"),
    ],
)
def test_layers_made_by_hand_are_checked(params: dict[str, object], problem: str) -> None:
    with pytest.raises(LayerProblem, match=problem):
        Layer("x", "Convolution", ["a"], ["b"], params)
