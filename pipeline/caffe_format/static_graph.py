"""A graph for exactly one picture: every value has one known shape, and every value knows who reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.caffe_format.graph_builder import Array, GraphBuilder, array_of
from pipeline.errors import ModelError

_SMALL_BYTES = 1024
"""Constants up to this size may decide on shapes (pads, sizes to cut); larger ones are weights."""


class StaticGraph:
    """What a pass has to know about a graph of fixed height and width, for batches of one picture.

    Parameters
    ----------
    graph
        A graph whose inputs have fixed sizes, except perhaps the number of pictures.

    Raises
    ------
    ModelError
        The shape of some value depends on more than the size of the picture.
    """

    def __init__(self, graph: GraphBuilder) -> None:
        self.graph = graph
        self.inputs = [self._one_picture(value) for value in graph.inputs]
        self.outputs = [self._one_picture(value) for value in graph.outputs]
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.nodes:
            for name in node.input:
                self._readers[name].append(node)
        self._shapes = self._infer()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value or constant."""
        return self._shapes[name]

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The node that reads a value, if it is the only one and the value is no output."""
        readers = self._readers[name]
        is_output = any(output.name == name for output in self.outputs)
        return readers[0] if len(readers) == 1 and not is_output else None

    def constant(self, name: str) -> Array:
        """A constant's array."""
        return array_of(self.graph.constants[name])

    def empty_copy(self) -> GraphBuilder:
        """A graph for one picture with the same inputs and outputs, and nothing between them."""
        copy = GraphBuilder(self.graph.name, self.graph.path)
        copy.inputs, copy.outputs = list(self.inputs), list(self.outputs)
        return copy

    def keep(self, copy: GraphBuilder, node: onnx.NodeProto) -> None:
        """Take a node over into another graph as it is, with its constants."""
        copy.nodes.append(node)
        for name in node.input:
            if name in self.graph.constants:
                copy.constant(name, self.graph.constants[name])

    def _infer(self) -> dict[str, tuple[int, ...]]:
        constants = self.graph.constants
        shapes = {name: tuple(value.shape) for name, value in constants.items()}
        model = self.graph.skeleton()
        del model.graph.input[:], model.graph.output[:]
        model.graph.input.extend(self.inputs)
        model.graph.output.extend(self.outputs)
        for name, value in constants.items():
            if value.nbytes <= _SMALL_BYTES:
                model.graph.initializer.append(numpy_helper.from_array(array_of(value), name))
            else:
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                model.graph.input.append(helper.make_tensor_value_info(name, kind, value.shape))
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            shapes[value.name] = self._known(value, value.type.tensor_type.shape.dim)
        return shapes

    def _one_picture(self, value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        shape = self._known(value, value.type.tensor_type.shape.dim[1:])
        return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [1, *shape])

    def _known(self, value: onnx.ValueInfoProto, dims: Sequence[Any]) -> tuple[int, ...]:
        if not all(dim.HasField("dim_value") for dim in dims):
            raise ModelError(self.graph.path, f"the shape of {value.name!r} is not known beforehand")
        return tuple(dim.dim_value for dim in dims)


def attribute(node: onnx.NodeProto, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """A list of integers among a node's attributes."""
    return next((tuple(part.ints) for part in node.attribute if part.name == name), default)
