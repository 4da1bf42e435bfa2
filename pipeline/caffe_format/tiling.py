"""Which convolutions of a graph are worth making fast, and how their results are cut into tiles.

Costs are estimated from shapes in units of one multiply-add of the plain convolution, with factors measured
on a CPU with AVX-512 (ONNX Runtime 1.31, one and two threads). The plain convolution reaches 140
multiply-adds a nanosecond there and the batched product 110, so transforms weigh more than elsewhere, and
what is taken there is a gain on slower arithmetic, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from pipeline.caffe_format.static_graph import StaticGraph, attribute

_WINDOWS = {3: ((6, 6), (8, 8)), 5: ((6, 6), (8, 8)), 7: ((8, 8), (10, 8))}
"""Filter size -> window sizes (rows, columns) to choose from, small ones first; `POINTS` knows each."""

_GAIN = 0.9
"""Only what takes at most this share of the time is worth more weights and more rounding."""

_PRODUCT, _LANES = 1.35, 16
"""Cost of a multiply-add of the batched product; tiles are multiplied so many at a time."""
_WEIGHT, _WEIGHT_READ = 10.0, 30.0
"""Cost of a weight beside its products, and the least cost with them: that of reading it from memory."""
_WINDOW, _RESULT = 100.0, 100.0
"""Cost of a number of the transformed windows, and of a number of the products."""
_POOLED, _WRITTEN = 50.0, 120.0
"""Cost of a number that is pooled, and of one that is put into its place."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of stride 1 in a graph of fixed sizes, with what follows it.

    Attributes
    ----------
    node
        The Conv node.
    channels, outputs
        Channels that it reads and writes.
    filter_size
        Rows and columns of its filters.
    size_hw
        Rows and columns of its result.
    relu, pooling
        The nodes that alone read its result, if they are a ReLU and a 2x2 max pooling.
    """

    node: onnx.NodeProto
    channels: int
    outputs: int
    filter_size: int
    size_hw: tuple[int, int]
    relu: onnx.NodeProto | None
    pooling: onnx.NodeProto | None

    @property
    def result(self) -> str:
        """Name of the value that the last of its nodes writes."""
        return str((self.pooling or self.relu or self.node).output[0])

    @property
    def plain_cost(self) -> float:
        """Multiply-adds of the plain convolution."""
        return float(self.channels * self.outputs * self.filter_size**2 * self.size_hw[0] * self.size_hw[1])


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the result of a convolution is cut.

    Attributes
    ----------
    window_hw
        Rows and columns a of a window.
    tile_hw
        Rows and columns m of a tile.
    tiles_hw
        Tiles below and beside each other.
    """

    window_hw: tuple[int, int]
    tile_hw: tuple[int, int]
    tiles_hw: tuple[int, int]

    @classmethod
    def of(cls, convolution: Convolution, window_hw: tuple[int, int]) -> Tiling:
        """Enough tiles for a convolution, for windows of that size."""
        tile_h, tile_w = (size - convolution.filter_size + 1 for size in window_hw)
        height, width = convolution.size_hw
        return cls(window_hw, (tile_h, tile_w), (-(-height // tile_h), -(-width // tile_w)))

    @property
    def points(self) -> int:
        """Numbers of a window."""
        return self.window_hw[0] * self.window_hw[1]

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.tiles_hw[0] * self.tiles_hw[1]

    def cost(self, convolution: Convolution) -> float:
        """Estimate of the time for a convolution, in multiply-adds of the plain one."""
        channels, outputs = convolution.channels, convolution.outputs
        weights = self.points * channels * outputs
        lanes = -(-self.tiles // _LANES) * _LANES
        written = float(outputs * self.tiles * self.tile_hw[0] * self.tile_hw[1])
        last = written * _WRITTEN if convolution.pooling is None else written * (_POOLED + _WRITTEN / 4)
        transforms = self.points * self.tiles * (_WINDOW * channels + _RESULT * outputs)
        return weights * max(lanes * _PRODUCT + _WEIGHT, _WEIGHT_READ) + transforms + last


def best_tiling(convolution: Convolution) -> Tiling | None:
    """The tiling that is expected to take the least time, if that is a gain."""
    best, cost = None, convolution.plain_cost
    for window in _WINDOWS.get(convolution.filter_size, ()):
        tiling = Tiling.of(convolution, window)
        if tiling.cost(convolution) < _GAIN * cost:
            best, cost = tiling, tiling.cost(convolution)
    return best


def convolution_of(static: StaticGraph, node: onnx.NodeProto) -> Convolution | None:
    """Describe a node, if it is a convolution that could be made fast."""
    if node.op_type != "Conv" or node.input[1] not in static.graph.constants:
        return None
    outputs, channels, height, width = static.shape(node.input[1])
    plain = (1, 1) == attribute(node, "strides", (1, 1)) == attribute(node, "dilations", (1, 1))
    if height != width or not plain or static.shape(node.input[0])[1] != channels:
        return None
    result = static.shape(node.output[0])
    after = static.only_reader(node.output[0])
    relu = after if after is not None and after.op_type == "Relu" else None
    after = static.only_reader(relu.output[0]) if relu is not None else after
    pooling = after if after is not None and _is_2x2_pooling(after) else None
    return Convolution(node, channels, outputs, height, (result[2], result[3]), relu, pooling)


def _is_2x2_pooling(node: onnx.NodeProto) -> bool:
    return (
        node.op_type == "MaxPool"
        and (2, 2) == attribute(node, "kernel_shape", ()) == attribute(node, "strides", (1, 1))
        and not any(attribute(node, "pads", ()))
        and attribute(node, "dilations", (1, 1)) == (1, 1)
        and not any(part.name == "ceil_mode" and part.i for part in node.attribute)
    )
