"""ONNX graph of a Caffe network.

Operators and their semantics: the ONNX operator specification, opset 17. Three of Caffe's rules need care:

- Pooling rounds its output size up, as ``ceil_mode`` does, but drops a last window that would start in the
  far padding. Runtimes differ on that. With a far padding of min(pad, kernel - stride) there is no such
  window, since min(ceil((size + pad) / stride), ceil((size + 2 pad - kernel) / stride) + 1) windows are left.
- Average pooling divides by the part of the window that lies inside the picture or its padding. The padding
  is therefore made by a Pad operator, and what remains is the operator's plain rule.
- Crop takes its size from another blob; for dynamic sizes the ends are computed from that blob's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
import onnx

from pipeline.caffe_format.folding import simplify
from pipeline.caffe_format.graph_builder import GraphBuilder
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.shapes import concat_axis, convolution_window, crop_offsets, pooling_window


def build_model(network: CaffeNetwork) -> onnx.ModelProto:
    """Convert a network, weights included.

    Parameters
    ----------
    network
        The network.

    Returns
    -------
    ModelProto
        Input ``network.input_name`` (N, c, H, W) float32 with dynamic N, H, W; output
        ``network.output_name``. Blobs and layers keep their names. For sizes that Caffe would refuse (see
        `CaffeNetwork.output_shape`) its behaviour is undefined.
    """
    return graph_of_network(network).model()


def write_model(network: CaffeNetwork, path: str | PathLike[str]) -> None:
    """Convert a network and write it to a file, which appears whole or not at all.

    The weights go straight from the network's arrays into the file, so that no copy of them is made in
    memory.

    Raises
    ------
    ModelError
        The file cannot be written.
    ModelFormatError
        The weights are above the 2 GB that an ONNX file can hold.
    """
    graph_of_network(network).write(path)


def graph_of_network(network: CaffeNetwork) -> GraphBuilder:
    """Graph of a network with dynamic batch, height and width."""
    simple = simplify(network)
    graph = GraphBuilder(network.name, network.path)
    graph.add_input(simple.input_name, ("N", simple.input_shape[1], "H", "W"))
    for layer, sources in zip(simple.layers[1:], simple.sources[1:], strict=True):
        emit(graph, layer, layer.bottoms, rank_of(simple, sources[0]))
    rank = rank_of(simple, simple.output_index)
    graph.add_output(simple.output_name, ("N", simple.num_classes, "out_H", "out_W")[:rank])
    return graph


def rank_of(network: CaffeNetwork, index: int) -> int:
    """Number of dimensions of a layer's output; inner products leave two."""
    height, width = network.input_shape[2:]
    return len(network.shapes(height, width)[index])


def emit(graph: GraphBuilder, layer: Layer, bottoms: Sequence[str], rank: int = 4) -> None:
    """Add the nodes of one layer.

    Parameters
    ----------
    graph
        Where to.
    layer
        A layer of a simplified network (see `folding.simplify`); its only top names the result.
    bottoms
        Names of the values that it reads.
    rank
        Dimensions of the first of them.
    """
    top, params = layer.tops[0], layer.params
    match layer.type:
        case "Convolution" | "Deconvolution":
            emit_convolution(graph, layer, bottoms[0])
        case "Pooling":
            _emit_pooling(graph, layer, bottoms[0])
        case "InnerProduct":
            _emit_inner_product(graph, layer, bottoms[0])
        case "ReLU":
            slope = params.get("negative_slope", 0.0)
            if slope:
                graph.add("LeakyRelu", bottoms, top, alpha=slope)
            else:
                graph.add("Relu", bottoms, top)
        case "Scale":
            _emit_scale(graph, layer, bottoms[0], rank)
        case "Eltwise":
            _emit_eltwise(graph, layer, bottoms)
        case "Crop":
            _emit_crop(graph, layer, bottoms, rank)
        case "Concat":
            graph.add("Concat", bottoms, top, axis=concat_axis(params, rank))
        case "Softmax":
            graph.add("Softmax", bottoms, top, axis=params.get("axis", 1))
        case "Power":
            _emit_power(graph, layer, bottoms[0])
        case "Sigmoid":
            graph.add("Sigmoid", bottoms, top)
        case "TanH":
            graph.add("Tanh", bottoms, top)
        case _:
            graph.add("Identity", bottoms, top)


def emit_convolution(
    graph: GraphBuilder, layer: Layer, bottom: str, *, pads: Sequence[int] | None = None, top: str = ""
) -> None:
    """Add a convolution or deconvolution.

    Parameters
    ----------
    graph, layer
        As for `emit`.
    bottom
        Name of the value that it reads.
    pads
        Padding (top, left, bottom, right) in place of the layer's own.
    top
        Name of the result in place of the layer's own.
    """
    window = convolution_window(layer.params)
    names = [f"{layer.name}.weight", f"{layer.name}.bias"]
    inputs = [graph.constant(name, blob) for name, blob in zip(names, layer.blobs, strict=False)]
    graph.add(
        "Conv" if layer.type == "Convolution" else "ConvTranspose",
        [bottom, *inputs],
        top or layer.tops[0],
        kernel_shape=window.kernel_hw,
        strides=window.stride_hw,
        pads=window.pad_hw * 2 if pads is None else pads,
        dilations=window.dilation_hw,
        group=layer.params.get("group", 1),
    )


def _emit_pooling(graph: GraphBuilder, layer: Layer, bottom: str) -> None:
    top, params = layer.tops[0], layer.params
    window = pooling_window(params)
    is_max = params.get("pool", "MAX") == "MAX"
    if window is None:
        graph.add("GlobalMaxPool" if is_max else "GlobalAveragePool", [bottom], top)
        return
    ceil = params.get("round_mode", "CEIL") == "CEIL"
    attributes = {"kernel_shape": window.kernel_hw, "strides": window.stride_hw, "ceil_mode": int(ceil)}
    near = far = window.pad_hw
    if ceil:
        far_h, far_w = (
            min(pad, kernel - stride)
            for pad, kernel, stride in zip(window.pad_hw, window.kernel_hw, window.stride_hw, strict=True)
        )
        far = far_h, far_w
    if is_max:
        graph.add("MaxPool", [bottom], top, pads=[*near, *far], **attributes)
        return
    if any(near):
        pads = graph.integers(f"{layer.name}.pads", [0, 0, *near, 0, 0, *far])
        bottom = graph.add("Pad", [bottom, pads], f"{top}.padded")
    graph.add("AveragePool", [bottom], top, **attributes)


def _emit_inner_product(graph: GraphBuilder, layer: Layer, bottom: str) -> None:
    top = layer.tops[0]
    flat = graph.add("Flatten", [bottom], f"{top}.flat", axis=1)
    names = [f"{layer.name}.weight", f"{layer.name}.bias"]
    inputs = [graph.constant(name, blob) for name, blob in zip(names, layer.blobs, strict=False)]
    graph.add("Gemm", [flat, *inputs], top, transB=int(not layer.params.get("transpose", False)))


def _emit_scale(graph: GraphBuilder, layer: Layer, bottom: str, rank: int) -> None:
    top = layer.tops[0]
    shape = (-1, *(1,) * (rank - 2))
    factor = graph.constant(f"{layer.name}.scale", layer.blobs[0].reshape(shape))
    if len(layer.blobs) == 1:
        graph.add("Mul", [bottom, factor], top)
        return
    offset = graph.constant(f"{layer.name}.bias", layer.blobs[1].reshape(shape))
    graph.add("Add", [graph.add("Mul", [bottom, factor], f"{top}.scaled"), offset], top)


def _emit_eltwise(graph: GraphBuilder, layer: Layer, bottoms: Sequence[str]) -> None:
    top, operation = layer.tops[0], layer.params.get("operation", "SUM")
    terms = list(bottoms)
    for number, coefficient in enumerate(layer.params.get("coeff", ())):
        if coefficient != 1:
            factor = graph.constant(f"{layer.name}.coeff{number}", np.array(coefficient, np.float32))
            terms[number] = graph.add("Mul", [terms[number], factor], f"{top}.term{number}")
    if operation == "PROD" or (operation == "SUM" and len(terms) == 2):
        operator = "Mul" if operation == "PROD" else "Add"
        for number, term in enumerate(terms[1:-1], start=1):
            terms[0] = graph.add(operator, [terms[0], term], f"{top}.first{number}")
        graph.add(operator, [terms[0], terms[-1]], top)
    else:
        graph.add("Max" if operation == "MAX" else "Sum", terms, top)


def _emit_crop(graph: GraphBuilder, layer: Layer, bottoms: Sequence[str], rank: int) -> None:
    top = layer.tops[0]
    axis, offsets = crop_offsets(layer.params, rank)
    starts = graph.integers(f"{layer.name}.starts", offsets)
    axes = graph.integers(f"{layer.name}.axes", range(axis, rank))
    ends = graph.add("Shape", [bottoms[1]], f"{top}.size", start=axis)
    if any(offsets):
        ends = graph.add("Add", [ends, starts], f"{top}.ends")
    graph.add("Slice", [bottoms[0], starts, ends, axes], top)


def _emit_power(graph: GraphBuilder, layer: Layer, bottom: str) -> None:
    """Emit (shift + scale * x) ** power; steps that change nothing are left out."""
    top = layer.tops[0]
    steps = [
        (operator, value)
        for operator, name, neutral in (("Mul", "scale", 1.0), ("Add", "shift", 0.0), ("Pow", "power", 1.0))
        if (value := layer.params.get(name, neutral)) != neutral
    ]
    if not steps:
        graph.add("Identity", [bottom], top)
    for number, (operator, value) in enumerate(steps, start=1):
        constant = graph.constant(f"{layer.name}.{operator.lower()}", np.array(value, np.float32))
        result = top if number == len(steps) else f"{top}.step{number}"
        bottom = graph.add(operator, [bottom, constant], result)
