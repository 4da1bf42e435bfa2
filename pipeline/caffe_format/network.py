"""A Caffe network as a value: layers with weights, checked to fit together.

Networks come from files (`pipeline.caffe_format.load_caffe`) or are put together by hand and written to files
(`pipeline.caffe_format.writer`):

    >>> import numpy as np
    >>> from pipeline.caffe_format.layers import Layer
    >>> weights = np.zeros((2, 3, 1, 1), np.float32), np.zeros(2, np.float32)
    >>> network = CaffeNetwork.from_layers([
    ...     Layer("data", "Input", [], ["data"], {"shape": (1, 3, 256, 256)}),
    ...     Layer("score", "Convolution", ["data"], ["score"], {"num_output": 2, "kernel_size": 1}, weights),
    ... ])
    >>> network.num_classes, network.output_shape(64, 48)
    (2, (1, 2, 64, 48))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from pipeline.caffe_format.layers import Layer, LayerProblem
from pipeline.caffe_format.shapes import Shape, blob_shapes, check_arity, output_shape
from pipeline.errors import ModelFormatError

if TYPE_CHECKING:
    import onnx

_HINT = "Correct the network, or give the weights that belong to it."


@dataclass(frozen=True, eq=False)
class CaffeNetwork:
    """Layers with weights, wired up.

    Attributes
    ----------
    name
        Name of the network; empty is allowed.
    layers
        In the order in which they run. The first one is the only Input.
    sources
        For each layer the numbers of the layers that its bottoms come from (a name stands for whoever wrote
        it last, so in-place layers need no care).
    path
        File that messages name: the prototxt, or ``<network>``.
    """

    name: str
    layers: tuple[Layer, ...]
    sources: tuple[tuple[int, ...], ...]
    path: str

    @classmethod
    def from_layers(
        cls, layers: Sequence[Layer], *, name: str = "", path: str | PathLike[str] = "<network>"
    ) -> CaffeNetwork:
        """Wire up layers and check that everything fits.

        Parameters
        ----------
        layers
            With their weights.
        name
            Name of the network.
        path
            File to name in errors.

        Raises
        ------
        ModelFormatError
            Not exactly one input and one output, unknown bottoms, shapes or weights that do not fit.
        """
        network = cls(name, tuple(layers), wire(layers, path), str(path))
        check_wiring(network)
        height, width = network.input_shape[2:]
        for layer, wanted in zip(layers, network.blob_shapes(height, width), strict=True):
            shapes = tuple(blob.shape for blob in layer.blobs)
            if shapes != wanted:
                problem = (
                    f"layer {layer.name!r} ({layer.type}) needs weights of shapes {wanted}, not {shapes}"
                )
                raise ModelFormatError(path, problem, _HINT)
        return network

    @property
    def input_name(self) -> str:
        """Name of the input blob."""
        return self.layers[0].tops[0]

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input as the file says, (n, c, h, w); n, h and w are only a suggestion."""
        batch, channels, height, width = self.layers[0].params["shape"][0]
        return batch, channels, height, width

    @property
    def output_index(self) -> int:
        """Number of the layer whose output no other layer reads."""
        return _outputs(self.sources)[0]

    @property
    def output_name(self) -> str:
        """Name of the output blob."""
        return self.layers[self.output_index].tops[0]

    @property
    def num_classes(self) -> int:
        """Channels of the output."""
        height, width = self.input_shape[2:]
        return self.output_shape(height, width)[1]

    def shapes(self, height: int, width: int, batch: int = 1) -> tuple[Shape, ...]:
        """Shape of every layer's output for an input of that size.

        Raises
        ------
        ModelFormatError
            The network cannot take that size; the message names the layer.
        """
        return self._infer(height, width, batch)[0]

    def output_shape(self, height: int, width: int, batch: int = 1) -> Shape:
        """Shape of the network's output for an input of that size; raises as `shapes`."""
        return self.shapes(height, width, batch)[self.output_index]

    def blob_shapes(self, height: int, width: int) -> tuple[tuple[Shape, ...], ...]:
        """Shapes of the weights that every layer needs; raises as `shapes`."""
        return self._infer(height, width, 1)[1]

    def with_blobs(self, blobs: Sequence[Sequence[Any]]) -> CaffeNetwork:
        """Give every layer new weights, (in layer order), and check them; raises as `from_layers`."""
        layers = [replace(layer, blobs=new) for layer, new in zip(self.layers, blobs, strict=True)]
        return CaffeNetwork.from_layers(layers, name=self.name, path=self.path)

    def to_onnx_model(self) -> onnx.ModelProto:
        """ONNX graph of the network with dynamic batch, height and width, see `onnx_graph.build_model`."""
        from pipeline.caffe_format.onnx_graph import build_model  # noqa: PLC0415 - onnx is slow to import

        return build_model(self)

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the ONNX graph to a file, see `onnx_graph.write_model`."""
        from pipeline.caffe_format.onnx_graph import write_model  # noqa: PLC0415 - onnx is slow to import

        write_model(self, path)

    def _infer(
        self, height: int, width: int, batch: int
    ) -> tuple[tuple[Shape, ...], tuple[tuple[Shape, ...], ...]]:
        shapes: list[Shape] = []
        blobs: list[tuple[Shape, ...]] = []
        for layer, sources in zip(self.layers, self.sources, strict=True):
            bottoms = [shapes[source] for source in sources]
            try:
                shape = output_shape(layer, bottoms)
                blobs.append(blob_shapes(layer, bottoms))
            except LayerProblem as problem:
                message = f"layer {layer.name!r} ({layer.type}), for an input of {height}x{width}: {problem}"
                raise ModelFormatError(self.path, message, _HINT) from problem
            shapes.append((batch, shape[1], height, width) if layer.type == "Input" else shape)
        return tuple(shapes), tuple(blobs)


def wire(layers: Sequence[Layer], path: str | PathLike[str]) -> tuple[tuple[int, ...], ...]:
    """Find the layer that each bottom comes from.

    Raises
    ------
    ModelFormatError
        Nobody wrote that blob before, or a layer has too few or too many bottoms or tops.
    """
    writers: dict[str, int] = {}
    sources = []
    for index, layer in enumerate(layers):
        for bottom in layer.bottoms:
            if bottom not in writers:
                problem = f"layer {layer.name!r} reads blob {bottom!r}, which no earlier layer writes"
                raise ModelFormatError(path, problem, _HINT)
        try:
            check_arity(layer)
        except LayerProblem as error:
            raise ModelFormatError(path, f"layer {layer.name!r} ({layer.type}): {error}", _HINT) from error
        sources.append(tuple(writers[bottom] for bottom in layer.bottoms))
        writers.update(dict.fromkeys(layer.tops, index))
    return tuple(sources)


def check_wiring(network: CaffeNetwork) -> None:
    """Check names, inputs and outputs; raises as `CaffeNetwork.from_layers`."""
    inputs = [layer.name for layer in network.layers if layer.type == "Input"]
    if len(inputs) != 1 or network.layers[0].type != "Input":
        problem = (
            f"a network needs exactly one input, as its first layer, not {len(inputs)} ({', '.join(inputs)})"
        )
        raise ModelFormatError(network.path, problem, _HINT)
    try:
        output_shape(network.layers[0], [])
    except LayerProblem as error:
        raise ModelFormatError(network.path, f"input layer {inputs[0]!r}: {error}", _HINT) from error
    outputs = [network.layers[index].name for index in _outputs(network.sources)]
    if len(outputs) != 1:
        problem = f"a network needs exactly one output, not {len(outputs)} ({', '.join(outputs)})"
        raise ModelFormatError(network.path, problem, "Remove the layers that are not needed for the scores.")
    seen: set[str] = set()
    for layer in network.layers:
        if layer.name in seen:
            raise ModelFormatError(
                network.path, f"two layers are named {layer.name!r}", "Give each its own name."
            )
        seen.add(layer.name)


def _outputs(sources: Sequence[Sequence[int]]) -> list[int]:
    read = {source for bottoms in sources for source in bottoms}
    return [index for index in range(len(sources)) if index not in read]
