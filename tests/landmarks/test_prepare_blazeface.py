"""Widening with zeros leaves what a network says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from landmarks.models.prepare_blazeface import main
from landmarks.sessions import open_network


def _write_network(path: Path, widths: tuple[int, int, int]) -> None:
    """Blocks as BlazeFace has them: depthwise, 1 x 1, the sum with what came before in more channels."""
    rng = np.random.default_rng(2)
    weights, nodes = [], []

    def weight(name: str, *shape: int) -> str:
        weights.append(numpy_helper.from_array(rng.normal(0, 0.4, shape).astype(np.float32), name))
        return name

    def conv(before: str, after: str, inputs: int, outputs: int, side: int, group: int = 1) -> None:
        names = [
            before,
            weight(f"{after}/K", outputs, inputs // group, side, side),
            weight(f"{after}/B", outputs),
        ]
        nodes.append(helper.make_node("Conv", names, [after], group=group, pads=[side // 2] * 4))

    conv("input", "stem", 3, widths[0], 3)
    last = "stem"
    for block, (inputs, outputs) in enumerate(pairwise(widths)):
        conv(last, f"deep{block}", inputs, inputs, 3, group=inputs)
        conv(f"deep{block}", f"flat{block}", inputs, outputs, 1)
        pads = np.array([0, 0, 0, 0, 0, outputs - inputs, 0, 0], np.int64)
        weights.append(numpy_helper.from_array(pads, f"pads{block}"))
        nodes.append(helper.make_node("Pad", [last, f"pads{block}"], [f"padded{block}"]))
        nodes.append(helper.make_node("Add", [f"padded{block}", f"flat{block}"], [f"sum{block}"]))
        nodes.append(helper.make_node("Relu", [f"sum{block}"], [f"block{block}"]))
        last = f"block{block}"
    conv(last, "head", widths[-1], 6, 1)
    nodes.append(helper.make_node("Transpose", ["head"], ["output"], perm=[0, 2, 3, 1]))
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 9, 7])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 9, 7, 6])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path)


def _output(path: Path) -> np.ndarray:
    session: onnxruntime.InferenceSession = open_network(path, keep_memory=False)
    picture = np.random.default_rng(7).normal(0, 1, (1, 3, 9, 7)).astype(np.float32)
    return np.asarray(session.run(None, {"input": picture})[0])


@pytest.mark.parametrize("widths", [(24, 28, 36), (28, 42, 48), (16, 32, 88), (7, 9, 40)])
def test_says_the_same(tmp_path: Path, widths: tuple[int, int, int]) -> None:
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    _write_network(source, widths)
    main(str(source), str(target))
    expected = _output(source)
    np.testing.assert_allclose(_output(target), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    shapes = [weight.dims for weight in onnx.load(target).graph.initializer]
    assert all(shape[0] % 16 == 0 or shape[0] == 6 for shape in shapes)
