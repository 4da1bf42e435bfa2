"""Fast convolutions: a graph that does the same convolutions with fewer multiplications.

A convolution over an m x m piece of its result needs (m + r - 1)^2 multiplications of a channel by a channel
instead of m^2 r^2 (see `cook_toom`): with 3x3 filters 2.25 or 1.78 a pixel instead of 9. All of it is written
in operators of ONNX Runtime:

1. the windows of every channel and their transform: one convolution of a one-channel picture, whose filters
   are the rows of B^T x B^T, with stride m: (channels, a^2, tiles);
2. the products: one matrix product a point of the transform, (outputs, channels) by (channels, tiles). The
   weights are the left factor, the windows are read where they lie (``transBatchB``): (a^2, outputs, tiles);
3. the results: one matrix product with A^T x A^T: (m^2, outputs, tiles); then bias and ReLU;
4. the tiles put together: two transpositions, of which one moves whole rows.

Where a 2x2 pooling follows, the rows of A^T x A^T are ordered so that the four numbers of a pooling window
follow each other; their largest is taken before the bias, and the rest has a quarter of the numbers. Where
another such convolution follows without padding, what the last tiles have too much is left for it to ignore.

Tried and not kept, on FCN-8s with 500x500 pixels (AVX-512, one thread):

- the tiles between two convolutions left where they are, and transformed by a 2x2 convolution of tiles: no
  copy, but three times the arithmetic of the transform (7.5 ms against 3 + 2 for 512 channels of 76x76);
- the weights as right factor: packed anew at each run (fc6: 277 ms against 195);
- tiles put together by DepthToSpace (1.5 to 2.5 times as long) or by one transposition of five axes (5 to 8
  times);
- products of a picture in horizontal strips, to stay in the cache: the same within 2 %;
- tiles of 4x4 for 7x7 filters (100 points): 10 % less time than 4x2, twice the error, 170 MB more of weights;
- convolutions of 64 channels to 64 (conv1_2): transforms cost what the multiplications save.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.cook_toom import POINTS, Transform, both_axes, cook_toom
from pipeline.caffe_format.graph_builder import CONTRIB, Deferred, GraphBuilder
from pipeline.caffe_format.static_graph import StaticGraph, attribute
from pipeline.caffe_format.tiling import Convolution, Tiling, best_tiling, convolution_of

_ROWS_A_TIME = 32
"""Output channels whose filters are transformed at once."""


Choice = Callable[[Convolution], Tiling | None]
"""Decides on a convolution; None leaves it as it is."""


def with_fast_convolutions(graph: GraphBuilder, choose: Choice = best_tiling) -> GraphBuilder:
    """Rewrite the convolutions of a graph that gain by it.

    Parameters
    ----------
    graph
        A graph for pictures of one size; it is not changed.
    choose
        Says for each convolution of stride 1 with square filters how its result is cut.

    Returns
    -------
    GraphBuilder
        The same function of exactly one picture, up to rounding, for ONNX Runtime's CPU provider. Transformed
        weights are `Deferred`.

    Raises
    ------
    ModelError
        The shape of some value depends on more than the size of the picture.
    """
    return _Rewriter(StaticGraph(graph), choose).rewrite()


class _Rewriter:
    def __init__(self, static: StaticGraph, choose: Choice) -> None:
        self.static = static
        self.fast = static.empty_copy()
        convolutions = filter(None, (convolution_of(static, node) for node in static.graph.nodes))
        tilings = ((convolution, choose(convolution)) for convolution in convolutions)
        self.plans = {
            convolution.node.name: (convolution, tiling) for convolution, tiling in tilings if tiling
        }
        self.sizes_hw: dict[str, tuple[int, int]] = {}
        """Rows and columns of values that are larger than they should be."""

    def rewrite(self) -> GraphBuilder:
        done: set[str] = set()
        for node in self.static.graph.nodes:
            if node.name in self.plans:
                convolution, tiling = self.plans[node.name]
                self._emit(convolution, tiling)
                done.update(part.name for part in (convolution.relu, convolution.pooling) if part)
            elif node.name not in done:
                self.static.keep(self.fast, node)
        return self.fast

    def _emit(self, convolution: Convolution, tiling: Tiling) -> None:
        graph, name = self.fast, convolution.node.output[0]
        axes = [cook_toom(m, convolution.filter_size, POINTS[a])
                for m, a in zip(tiling.tile_hw, tiling.window_hw, strict=True)]  # fmt: skip
        products = self._products(convolution, tiling, axes)
        flat = graph.reshape(products, f"{name}@points", (tiling.points, -1))
        order = _result_order(tiling.tile_hw, pooled=convolution.pooling is not None)
        results = both_axes(axes[0].results, axes[1].results)[order].astype(np.float32)
        value = graph.add("MatMul", [graph.constant(f"{name}.results", results), flat], f"{name}@results")
        tile_h, tile_w = tiling.tile_hw
        if convolution.pooling is not None:
            tile_h, tile_w = tile_h // 2, tile_w // 2
            shape = (1, tile_h * tile_w, 4, convolution.outputs * tiling.tiles)
            blocks = graph.reshape(value, f"{name}@blocks", shape)
            value = graph.add("MaxPool", [blocks], f"{name}@largest", kernel_shape=[4, 1])
        value = self._bias_and_relu(convolution, tiling, value)
        down, across = tiling.tiles_hw
        columns = graph.reshape(value, f"{name}@columns", (tile_w, -1))
        rows = graph.add("Transpose", [columns], f"{name}@interleaved", perm=[1, 0])
        rows = graph.reshape(rows, f"{name}@rows", (tile_h, convolution.outputs * down, across * tile_w))
        value = graph.add("Transpose", [rows], f"{name}@placed", perm=[1, 0, 2])
        held = tile_h * down, tile_w * across
        self._finish(convolution, value, held)

    def _products(self, convolution: Convolution, tiling: Tiling, axes: list[Transform]) -> str:
        """Transform the windows and multiply them with the transformed filters: (a^2, outputs, tiles)."""
        graph, node, name = self.fast, convolution.node, convolution.node.output[0]
        size_hw = self.sizes_hw.get(node.input[0], self.static.shape(node.input[0])[2:])
        top, left = attribute(node, "pads", (0, 0, 0, 0))[:2]
        far = _far_pads(tiling, (top, left), size_hw)
        pictures = graph.reshape(node.input[0], f"{name}@pictures", (convolution.channels, 1, *size_hw))
        windows = both_axes(axes[0].windows, axes[1].windows).astype(np.float32)
        windows = windows.reshape(tiling.points, 1, *tiling.window_hw)
        value = graph.add(
            "Conv",
            [pictures, graph.constant(f"{name}.windows", windows)],
            f"{name}@windows",
            kernel_shape=tiling.window_hw,
            strides=tiling.tile_hw,
            pads=[top, left, *(max(pad, 0) for pad in far)],
        )
        flat = graph.reshape(value, f"{name}@tiles", (convolution.channels, tiling.points, tiling.tiles))
        weights = self.static.graph.constants[node.input[1]]
        shape = tiling.points, convolution.outputs, convolution.channels

        def make() -> Float32Array:
            filters = weights.make() if isinstance(weights, Deferred) else weights
            return transformed_filters(filters, axes[0], axes[1])

        transformed = graph.constant(f"{node.input[1]}@{tiling.window_hw}", Deferred(shape, make))
        return graph.add(
            "FusedMatMul", [transformed, flat], f"{name}@products", domain=CONTRIB, transBatchB=1
        )

    def _bias_and_relu(self, convolution: Convolution, tiling: Tiling, value: str) -> str:
        graph, node, name = self.fast, convolution.node, convolution.node.output[0]
        if len(node.input) > 2:
            by_channel = graph.reshape(value, f"{name}@channels", (-1, convolution.outputs, tiling.tiles))
            bias = graph.constant(f"{name}.bias", self.static.constant(node.input[2]).reshape(-1, 1))
            value = graph.add("Add", [by_channel, bias], f"{name}@biased")
        return graph.add("Relu", [value], f"{name}@positive") if convolution.relu else value

    def _finish(self, convolution: Convolution, value: str, held: tuple[int, int]) -> None:
        """Name the result, and cut off what it has too much, unless its reader does not mind."""
        graph, name = self.fast, convolution.result
        height, width = self.static.shape(name)[2:]
        whole = (1, convolution.outputs, *held)
        if held == (height, width):
            graph.reshape(value, name, whole)
        elif self._may_be_larger(name, held):
            graph.reshape(value, name, whole)
            self.sizes_hw[name] = held
        else:
            value = graph.reshape(value, f"{name}@whole", whole)
            graph.cut(value, name, (0, 0), (height, width))

    def _may_be_larger(self, name: str, held: tuple[int, int]) -> bool:
        """Whether the only reader is a fast convolution that takes no other tiles of a larger picture."""
        reader = self.static.only_reader(name)
        if reader is None or reader.name not in self.plans:
            return False
        top, left, bottom, right = attribute(reader, "pads", (0, 0, 0, 0))
        tiling = self.plans[reader.name][1]
        too_much = [-pad for pad in _far_pads(tiling, (top, left), held)]
        return bottom == right == 0 and all(
            more < tile for more, tile in zip(too_much, tiling.tile_hw, strict=True)
        )


def transformed_filters(filters: Float32Array, rows: Transform, columns: Transform) -> Float32Array:
    """Transform filters, in double precision, a few output channels at a time.

    Parameters
    ----------
    filters
        (outputs, channels, r, r) float32.
    rows, columns
        Transforms along both axes, of window sizes a and b.

    Returns
    -------
    array
        (a * b, outputs, channels) float32.
    """
    outputs, channels = filters.shape[:2]
    matrix = both_axes(rows.filters, columns.filters)
    transformed = np.empty((len(matrix), outputs, channels), np.float32)
    for first in range(0, outputs, _ROWS_A_TIME):
        some = filters[first : first + _ROWS_A_TIME]
        columns_of = some.reshape(-1, matrix.shape[1]).astype(np.float64)
        transformed[:, first : first + len(some)] = (matrix @ columns_of.T).reshape(len(matrix), -1, channels)
    return transformed


def _far_pads(tiling: Tiling, near: tuple[int, int], size_hw: tuple[int, ...]) -> list[int]:
    """Rows and columns of padding that the last windows need; negative: so many are left over."""
    return [
        (tiles - 1) * tile + window - pad - size
        for tiles, tile, window, pad, size in zip(
            tiling.tiles_hw, tiling.tile_hw, tiling.window_hw, near, size_hw, strict=True
        )
    ]


def _result_order(tile_hw: tuple[int, int], *, pooled: bool) -> list[int]:
    """Order of a tile's numbers: by column, then by row, those of a pooling window together."""
    step = 2 if pooled else 1
    rows, columns = (range(0, size, step) for size in tile_hw)
    return [
        (row + down) * tile_hw[1] + column + across
        for column, row in product(columns, rows)
        for down, across in product(range(step), range(step))
    ]
