"""The padding saving: a graph for one input size that computes only what the picture can influence.

The first convolution of FCN-8s pads the picture by 100 pixels on every side, and all layers after it work on
that frame as if it were picture. What the picture cannot influence is the same for every picture of that
size. It is computed once, here, with a picture of zeros, and becomes part of the graph: where it pays, the
computed cells are padded with zeros and the constants are added. The result differs from the plain graph
by float rounding only. Likewise, nothing is computed that a later crop throws away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
import onnx

from landmarks.arrays import Float32Array
from pipeline.caffe_format.folding import simplify
from pipeline.caffe_format.graph_builder import GraphBuilder
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.onnx_graph import emit, emit_convolution
from pipeline.caffe_format.regions import (
    LayerRegions,
    Reads,
    Region,
    area,
    each_axis,
    layer_reads,
    overlap,
    plan_regions,
)
from pipeline.caffe_format.shapes import Window, convolution_window, pooling_window
from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class Work:
    """Multiplications and additions of a network for one picture.

    Attributes
    ----------
    plain
        Of the plain graph.
    specialised
        Of the graph without the padding's work.
    """

    plain: int
    specialised: int

    @property
    def ratio(self) -> float:
        """How many times less work the specialised graph has."""
        return self.plain / self.specialised


def specialise(network: CaffeNetwork, height: int, width: int, *, threads: int = 0) -> onnx.ModelProto:
    """Convert a network for pictures of one size, without the work that the picture cannot influence.

    Parameters
    ----------
    network
        A fully convolutional network.
    height, width
        Size of the input in pixels.
    threads
        Threads for the one run that computes the constants; 0 takes all cores.

    Returns
    -------
    ModelProto
        Input ``network.input_name`` (N, c, `height`, `width`) float32 with dynamic N; output as that of the
        plain graph (`CaffeNetwork.to_onnx_model`).

    Raises
    ------
    ModelError
        The network is not fully convolutional, or holds average pooling: use the plain graph.
    ModelFormatError
        The network cannot take that size.
    """
    return specialised_graph(network, height, width, threads=threads).model()


def specialised_graph(network: CaffeNetwork, height: int, width: int, *, threads: int = 0) -> GraphBuilder:
    """What `specialise` makes as a graph that passes can rewrite; parameters and errors as there."""
    return _Specialiser(network, height, width).build(threads)


def write_specialised(
    network: CaffeNetwork, height: int, width: int, path: str | PathLike[str], *, threads: int = 0
) -> None:
    """Write what `specialise` makes to a file, which appears whole or not at all; errors as there."""
    specialised_graph(network, height, width, threads=threads).write(path)


def count_work(network: CaffeNetwork, height: int, width: int) -> Work:
    """Count the multiply-adds of convolutions and deconvolutions with and without the padding saving.

    Parameters and errors as for `specialise`.
    """
    simple = simplify(network)
    regions = plan_regions(simple, height, width)
    plain = specialised = 0
    for index, layer in enumerate(simple.layers):
        here = regions[index]
        if layer.type not in {"Convolution", "Deconvolution"} or here is None:
            continue
        source = simple.sources[index][0]
        before = regions[source]
        assert before is not None
        weights = layer.blobs[0].size
        if layer.type == "Convolution":
            plain += weights * area(here.frame)
            specialised += weights * area(here.computed)
        else:
            plain += weights * area(before.frame)
            specialised += weights * area(_deconvolution_input(layer, here, before))
    return Work(plain, specialised)


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor of the graph and the region of its layer that it holds."""

    name: str
    region: Region


class _Specialiser:
    def __init__(self, network: CaffeNetwork, height: int, width: int) -> None:
        self.network = simplify(network)
        self.size_hw = height, width
        self.regions = plan_regions(self.network, height, width)
        self.graph = GraphBuilder(network.name, network.path)
        self.values: dict[int, _Value] = {}

    def build(self, threads: int) -> GraphBuilder:
        network, graph = self.network, self.graph
        pasted = [index for index, region in enumerate(self.regions) if region and region.is_pasted]
        constants = _constants(network, self.size_hw, pasted, threads)
        graph.add_input(network.input_name, ("N", network.input_shape[1], *self.size_hw))
        self.values[0] = _Value(network.input_name, ((0, self.size_hw[0]), (0, self.size_hw[1])))
        for index, layer in enumerate(network.layers):
            region = self.regions[index]
            if index == 0 or region is None:
                continue
            value = self._emit(index, layer, region)
            if index in constants:
                value = self._paste(value, layer, region, constants[index])
            self.values[index] = value
        output = self.values[network.output_index].name
        if output != network.output_name:
            graph.add("Identity", [output], network.output_name)
        graph.add_output(network.output_name, ("N", *network.output_shape(*self.size_hw)[1:]))
        return graph

    def _emit(self, index: int, layer: Layer, region: LayerRegions) -> _Value:
        """Compute a layer where it has to be computed."""
        top = f"{layer.tops[0]}@computed" if region.is_pasted else layer.tops[0]
        source = self.network.sources[index][0]
        match layer.type:
            case "Convolution":
                wanted = self._span(index, region)
                name, pads = self._cut_or_pad(source, wanted, layer.name)
                emit_convolution(self.graph, layer, name, pads=pads, top=top)
            case "Deconvolution":
                before = self.regions[source]
                assert before is not None
                wanted = _deconvolution_input(layer, region, before)
                pads = _deconvolution_pads(layer, wanted, region.computed)
                emit_convolution(self.graph, layer, self._cut(source, wanted, layer.name), pads=pads, top=top)
            case "Pooling":
                window = pooling_window(layer.params)
                assert window is not None
                wanted = _pooling_input(window, region.computed)
                name, pads = self._cut_or_pad(source, wanted, layer.name)
                sizes = {"kernel_shape": window.kernel_hw, "strides": window.stride_hw}
                self.graph.add("MaxPool", [name], top, pads=pads, **sizes)
            case "Crop":
                return _Value(self._cut(source, self._span(index, region), layer.name), region.computed)
            case _:
                bottoms = [
                    self._cut(bottom, region.computed, f"{layer.name}.{number}")
                    for number, bottom in enumerate(self.network.sources[index])
                ]
                emit(self.graph, replace(layer, tops=[top]), bottoms)
        return _Value(top, region.computed)

    def _paste(self, value: _Value, layer: Layer, region: LayerRegions, constants: Float32Array) -> _Value:
        """Put constants around what was computed: add them where padding left zeros."""
        (top, bottom), (left, right) = (
            (computed[0] - needed[0], needed[1] - computed[1])
            for computed, needed in zip(region.computed, region.needed, strict=True)
        )
        rows, columns = region.needed
        around = constants[:, :, rows[0] : rows[1], columns[0] : columns[1]].copy()
        around[:, :, top : around.shape[2] - bottom, left : around.shape[3] - right] = 0
        pads = self.graph.integers(f"{layer.name}.pads", [0, 0, top, left, 0, 0, bottom, right])
        padded = self.graph.add("Pad", [value.name, pads], f"{layer.tops[0]}@padded")
        constant = self.graph.constant(f"{layer.name}.around", around)
        name = self.graph.add("Add", [padded, constant], layer.tops[0])
        return _Value(name, region.needed)

    def _span(self, index: int, region: LayerRegions) -> Region:
        """Cells of its first input that a layer reads, padding included."""
        source = self.network.sources[index][0]
        before = self.regions[source]
        assert before is not None
        reads = layer_reads(self.network.layers[index], 0, before.frame, region.frame)
        assert reads is not None
        return each_axis(Reads.span, reads, region.computed)

    def _cut(self, source: int, wanted: Region, name: str) -> str:
        """Name of a tensor that holds exactly the wanted cells of a layer."""
        value = self.values[source]
        if value.region == wanted:
            return value.name
        offsets = [low for low, _ in value.region]
        starts = [low - offset for (low, _), offset in zip(wanted, offsets, strict=True)]
        ends = [high - offset for (_, high), offset in zip(wanted, offsets, strict=True)]
        return self.graph.cut(value.name, f"{name}@cut", starts, ends)

    def _cut_or_pad(self, source: int, wanted: Region, name: str) -> tuple[str, list[int]]:
        """As `_cut`, for cells of which some may lie outside the frame: those that exist, and the padding."""
        inside = overlap(wanted, self.values[source].region)
        near = [low - outer for (low, _), (outer, _) in zip(inside, wanted, strict=True)]
        far = [outer - high for (_, high), (_, outer) in zip(inside, wanted, strict=True)]
        return self._cut(source, inside, name), near + far


def _constants(
    network: CaffeNetwork, size_hw: tuple[int, int], layers: list[int], threads: int
) -> dict[int, Float32Array]:
    """Run the beginning of a network on zeros and keep the outputs (1, c, h, w) of some of its layers."""
    if not layers:
        return {}
    import onnxruntime as ort  # noqa: PLC0415 - only needed here, and slow to import

    graph = GraphBuilder("constants", network.path)
    graph.add_input(network.input_name, (1, network.input_shape[1], *size_hw))
    for layer in network.layers[1 : max(layers) + 1]:
        emit(graph, layer, layer.bottoms)
    shapes = network.shapes(*size_hw)
    for index in layers:
        graph.add_output(network.layers[index].tops[0], shapes[index])
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    picture = np.zeros((1, network.input_shape[1], *size_hw), np.float32)
    try:
        model = graph.model().SerializeToString()
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {network.input_name: picture})
    except Exception as error:  # its exceptions have no common base
        raise ModelError(network.path, f"its constants for {size_hw} cannot be computed ({error})") from error
    return dict(zip(layers, outputs, strict=True))


def _deconvolution_input(layer: Layer, region: LayerRegions, before: LayerRegions) -> Region:
    """Cells of its input that a deconvolution has to read; those outside the frame do not exist."""
    reads = layer_reads(layer, 0, before.frame, region.frame)
    assert reads is not None
    return overlap(each_axis(Reads.span, reads, region.computed), before.frame)


def _deconvolution_pads(layer: Layer, source: Region, wanted: Region) -> list[int]:
    """How much to cut off the full output of a deconvolution of some input: top, left, bottom, right."""
    window = convolution_window(layer.params)
    strides, extents = window.stride_hw, window.extent_hw
    near = [wanted[axis][0] + window.pad_hw[axis] - source[axis][0] * strides[axis] for axis in (0, 1)]
    far = [
        (source[axis][1] - 1) * strides[axis] + extents[axis] - window.pad_hw[axis] - wanted[axis][1]
        for axis in (0, 1)
    ]
    return near + far


def _pooling_input(window: Window, computed: Region) -> Region:
    """Cells that a pooling reads, padding and windows beyond the frame included."""
    rows, columns = (
        (low * stride - pad, (high - 1) * stride - pad + kernel)
        for (low, high), stride, pad, kernel in zip(
            computed, window.stride_hw, window.pad_hw, window.kernel_hw, strict=True
        )
    )
    return rows, columns
