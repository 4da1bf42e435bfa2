from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.caffe_format import load_caffe
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.writer import prototxt_text, replaced_file, write_caffe
from pipeline.errors import ModelError


def test_text_of_a_layer() -> None:
    layer = Layer(
        'a"\\ü',
        "Scale",
        ["x"],
        ["y"],
        {"num_axes": 0, "bias_term": True, "filler": {"type": "constant", "value": 1e-5}},
    )
    assert prototxt_text((layer,), "net") == (
        'name: "net"\nlayer {\n  name: "a\\042\\134\\303\\274"\n  type: "Scale"\n  bottom: "x"\n  top: "y"\n'
        "  scale_param {\n    num_axes: 0\n    bias_term: true\n"
        '    filler { type: "constant" value: 1e-05 }\n  }\n}\n'
    )


def test_segmentation_network_made_by_hand_runs_in_opencv(build: Any, tmp_path: Path, run_onnx: Any) -> None:
    depthwise = {"num_output": 8, "kernel_size": 3, "pad": 2, "dilation": 2, "group": 8, "bias_term": False}
    up = {"num_output": 8, "kernel_size": 4, "stride": 2, "pad": 1, "group": 8, "bias_term": False}
    network = build(
        Layer(
            "conv1",
            "Convolution",
            ["data"],
            ["conv1"],
            {"num_output": 8, "kernel_size": 3, "pad": 1, "stride": 2},
        ),
        Layer("relu1", "ReLU", ["conv1"], ["conv1"]),
        Layer("depthwise", "Convolution", ["conv1"], ["depthwise"], depthwise),
        Layer("pool", "Pooling", ["depthwise"], ["pool"], {"pool": "MAX", "kernel_size": 2, "stride": 2}),
        Layer("up", "Deconvolution", ["pool"], ["up"], up),
        Layer("crop", "Crop", ["up", "conv1"], ["crop"], {"axis": 2, "offset": 0}),
        Layer("concat", "Concat", ["crop", "conv1"], ["concat"]),
        Layer("score", "Convolution", ["concat"], ["score"], {"num_output": 2, "kernel_size": 1}),
        Layer("prob", "Softmax", ["score"], ["prob"]),
        shape=(1, 3, 32, 48),
    )
    prototxt, caffemodel = tmp_path / "new" / "net.prototxt", tmp_path / "new" / "net.caffemodel"
    write_caffe(network, prototxt, caffemodel)
    batch = np.random.default_rng(0).standard_normal((1, 3, 32, 48)).astype(np.float32)
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.setInput(batch)
    assert np.abs(run_onnx(load_caffe(prototxt, caffemodel), batch) - net.forward()).max() < 1e-5


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with replaced_file(path) as file:
            file.write(b"half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    with replaced_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_cannot_be_made(build: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_caffe(
            build(("ReLU", {})), tmp_path / "file" / "net.prototxt", tmp_path / "file" / "net.caffemodel"
        )
