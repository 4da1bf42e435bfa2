"""Which cells of every layer depend on the picture, and which of them the scores need.

A fully convolutional network with wide zero padding spends much of its work where the picture has no say.
Along each axis, the cells of a layer fall into intervals, all derived from the one relation "output i reads
inputs first[i] to last[i]": a cell is *influenced* if it reads at least one pixel of the picture, directly or
through other layers, and *needed* if some cell of the result reads it. All others are constants of the
network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.shapes import convolution_window, crop_offsets, pooling_window
from pipeline.errors import ModelError

Interval = tuple[int, int]
"""Half-open, in cells of a layer along one axis."""

Region = tuple[Interval, Interval]
"""Rows and columns."""

_SUPPORTED = {
    "Input", "Convolution", "Deconvolution", "Pooling", "Crop", "ReLU", "Sigmoid", "TanH", "Power", "Scale",
    "Eltwise", "Concat", "Softmax", "Split",
}  # fmt: skip

PASTING_WORK = 300
"""Multiply-adds that take about as long as pasting one number (padding, adding and two changes of layout)."""


@dataclass(frozen=True, slots=True)
class LayerRegions:
    """Regions of one layer's output.

    Attributes
    ----------
    frame
        All cells, ``((0, h), (0, w))``.
    needed
        Cells that later layers read.
    computed
        Cells to compute: those needed, or only those of them that are influenced, where that pays; the others
        are constants to paste in. It pays after poolings, where tensors are small and all layers before them
        gain, and after convolutions that save enough work.
    """

    frame: Region
    needed: Region
    computed: Region

    @property
    def is_pasted(self) -> bool:
        """Whether constants have to be pasted in around what is computed."""
        return self.computed != self.needed


@dataclass(frozen=True, slots=True)
class Reads:
    """What the cells of a layer read of one of its inputs along one axis.

    Attributes
    ----------
    first, last
        For each output cell the first and last input cell that it reads; may lie outside the input's frame,
        in its padding. Both never decrease.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def touching(self, interval: Interval) -> Interval:
        """Output cells that read at least one cell of an input interval."""
        return _bounds((self.last >= interval[0]) & (self.first < interval[1]))

    def span(self, interval: Interval) -> Interval:
        """Input cells that an output interval reads, padding included."""
        return int(self.first[interval[0]]), int(self.last[interval[1] - 1]) + 1


def layer_reads(layer: Layer, bottom: int, in_frame: Region, out_frame: Region) -> tuple[Reads, Reads] | None:
    """What a layer reads of one of its inputs, by rows and columns; None where it takes only the size."""
    rows, columns = (_axis_reads(layer, axis, in_frame[axis][1], out_frame[axis][1]) for axis in (0, 1))
    return None if layer.type == "Crop" and bottom == 1 else (rows, columns)


def plan_regions(network: CaffeNetwork, height: int, width: int) -> tuple[LayerRegions | None, ...]:
    """Find the regions of every layer for an input of that size.

    Parameters
    ----------
    network
        A simplified network (see `folding.simplify`).
    height, width
        Size of the picture in pixels.

    Returns
    -------
    tuple
        One entry for each layer; None for layers of which nothing is needed.

    Raises
    ------
    ModelError
        The network holds a layer that mixes all rows and columns, such as an inner product, or its result
        reads a layer in its padding only.
    ModelFormatError
        The network cannot take that size.
    """
    check_supported(network)
    frames: list[Region] = [((0, shape[2]), (0, shape[3])) for shape in network.shapes(height, width)]
    reads = [
        [layer_reads(layer, number, frames[source], frames[index]) for number, source in enumerate(sources)]
        for index, (layer, sources) in enumerate(zip(network.layers, network.sources, strict=True))
    ]
    influenced: list[Region] = []
    for index, sources in enumerate(network.sources):
        inputs = [(read, source) for read, source in zip(reads[index], sources, strict=True) if read]
        touching = [each_axis(Reads.touching, read, influenced[source]) for read, source in inputs]
        influenced.append(_hull(touching) if touching else frames[index])

    needs: list[list[Region]] = [[] for _ in frames]
    needs[network.output_index].append(frames[network.output_index])
    regions: list[LayerRegions | None] = [None] * len(frames)
    for index in reversed(range(len(frames))):
        if not needs[index]:
            continue
        needed = _hull(needs[index])
        if _is_empty(needed):
            raise ModelError(network.path, f"the picture has no say in layer {network.layers[index].name!r}")
        changing = overlap(needed, influenced[index])
        pays = not _is_empty(changing) and _work_per_cell(network, index, needed, changing) > PASTING_WORK
        computed = changing if pays else needed
        regions[index] = LayerRegions(frames[index], needed, computed)
        for read, source in zip(reads[index], network.sources[index], strict=True):
            if read:
                needs[source].append(overlap(each_axis(Reads.span, read, computed), frames[source]))
    return tuple(regions)


def each_axis(
    method: Callable[[Reads, Interval], Interval], reads: tuple[Reads, Reads], region: Region
) -> Region:
    """Apply a method of `Reads` to the rows and the columns of a region."""
    return method(reads[0], region[0]), method(reads[1], region[1])


def overlap(a: Region, b: Region) -> Region:
    """Cells in both regions."""
    (top_a, left_a), (top_b, left_b) = a, b
    return (
        (max(top_a[0], top_b[0]), min(top_a[1], top_b[1])),
        (max(left_a[0], left_b[0]), min(left_a[1], left_b[1])),
    )


def check_supported(network: CaffeNetwork) -> None:
    """Check that every layer keeps the grid of rows and columns; raises as `plan_regions`."""
    for layer in network.layers:
        pooled = layer.type == "Pooling" and (
            pooling_window(layer.params) is None or layer.params.get("pool", "MAX") != "MAX"
        )
        across = layer.type in {"Concat", "Softmax"} and layer.params.get("axis", 1) != 1
        channels_cut = layer.type == "Crop" and crop_offsets(layer.params, 4)[0] < 2
        if layer.type not in _SUPPORTED or pooled or across or channels_cut or "concat_dim" in layer.params:
            problem = f"layer {layer.name!r} ({layer.type}) cannot be cut into regions"
            raise ModelError(network.path, problem, "Use the plain graph.")


def _axis_reads(layer: Layer, axis: int, in_size: int, out_size: int) -> Reads:
    cells = np.arange(out_size)
    match layer.type:
        case "Convolution" | "Deconvolution" | "Pooling":
            find_window = pooling_window if layer.type == "Pooling" else convolution_window
            window = find_window(layer.params)
            assert window is not None
            stride, pad, extent = window.stride_hw[axis], window.pad_hw[axis], window.extent_hw[axis]
            if layer.type == "Convolution":
                return Reads(cells * stride - pad, cells * stride - pad + extent - 1)
            if layer.type == "Deconvolution":
                return Reads(-((extent - 1 - pad - cells) // stride), (cells + pad) // stride)
            first, last = cells * stride - pad, cells * stride - pad + extent - 1
            return Reads(np.maximum(first, 0), np.minimum(last, in_size - 1))
        case "Crop":
            first_axis, offsets = crop_offsets(layer.params, 4)
            offset = offsets[axis + 2 - first_axis] if axis + 2 >= first_axis else 0
            return Reads(cells + offset, cells + offset)
        case _:
            return Reads(cells, cells)


def _bounds(mask: NDArray[np.bool_]) -> Interval:
    cells = np.flatnonzero(mask)
    return (int(cells[0]), int(cells[-1]) + 1) if cells.size else (0, 0)


def _work_per_cell(network: CaffeNetwork, index: int, needed: Region, changing: Region) -> float:
    """Multiply-adds saved by computing only the changing cells, for each number to paste."""
    layer = network.layers[index]
    if layer.type == "Pooling":
        return math.inf
    before = network.layers[network.sources[index][0]] if network.sources[index] else layer
    if layer.type != "ReLU" or before.type != "Convolution":
        return 0.0
    return float(before.blobs[0][0].size) * (1 - area(changing) / area(needed))


def area(region: Region) -> int:
    """Count the cells of a region."""
    return (region[0][1] - region[0][0]) * (region[1][1] - region[1][0])


def _is_empty(region: Region) -> bool:
    return any(low >= high for low, high in region)


def _hull(regions: Sequence[Region]) -> Region:
    rows, columns = zip(*regions, strict=True)
    return (
        (min(low for low, _ in rows), max(high for _, high in rows)),
        (min(low for low, _ in columns), max(high for _, high in columns)),
    )
