"""An ONNX graph on its way: nodes, and constants that may be made as late as when they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.caffe_format.writer import replaced_file
from pipeline.errors import ModelFormatError
from pipeline.wire_format import length_tag, string_field, varint_field

OPSET = 17
IR_VERSION = 8

CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators; graphs that use them run on no other runtime."""

_MAX_BYTES = 2**31 - 1
"""Largest message that protobuf reads."""

_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Deferred:
    """A float32 constant that is made when it is written, so that not all of them are in memory at once.

    Attributes
    ----------
    shape
        Its shape.
    make
        Makes the array.
    """

    shape: tuple[int, ...]
    make: Callable[[], NDArray[np.float32]]

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Always float32."""
        return np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_of(constant: Array | Deferred) -> Array:
    """The array itself, contiguous; made here if it is deferred."""
    array = constant.make() if isinstance(constant, Deferred) else constant
    return np.ascontiguousarray(array).reshape(constant.shape)


class GraphBuilder:
    """Collects the nodes and constants of an ONNX graph.

    Parameters
    ----------
    name
        Name of the graph.
    path
        File to name in errors.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name or "caffe"
        self.path = path
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array | Deferred] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def add_input(self, name: str, shape: Sequence[int | str]) -> None:
        """Declare the input."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def add_output(self, name: str, shape: Sequence[int | str]) -> None:
        """Declare the output."""
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        node = helper.make_node(operator, list(inputs), [output], name=f"{output}:{operator}", **attributes)
        self.nodes.append(node)
        return output

    def constant(self, name: str, value: Array | Deferred) -> str:
        """Add a constant and return its name."""
        self.constants[name] = value
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Add a constant vector of int64 and return its name."""
        return self.constant(name, np.array(values, np.int64))

    def reshape(self, value: str, name: str, shape: Sequence[int]) -> str:
        """Give a value another shape (-1: whatever is left) and return its new name."""
        return self.add("Reshape", [value, self.integers(f"{name}.shape", shape)], name)

    def cut(self, value: str, name: str, starts: Sequence[int], ends: Sequence[int]) -> str:
        """Cut rows and columns (the last two of four axes) out of a value and return the new name."""
        numbers = {"starts": starts, "ends": ends, "axes": (2, 3)}
        inputs = [self.integers(f"{name}.{part}", values) for part, values in numbers.items()]
        return self.add("Slice", [value, *inputs], name)

    def model(self) -> onnx.ModelProto:
        """Put the model together in memory."""
        model = self.skeleton()
        model.graph.initializer.extend(
            numpy_helper.from_array(array_of(value), name) for name, value in self.constants.items()
        )
        return model

    def write(self, path: str | PathLike[str]) -> None:
        """Write the model to a file, constants straight from their arrays; see `write_model`."""
        model = self.skeleton()
        graph = model.graph.SerializeToString()
        model.ClearField("graph")
        heads = {name: _tensor_head(name, value) for name, value in self.constants.items()}
        length = len(graph)
        for name, head in heads.items():
            size = len(head) + self.constants[name].nbytes
            length += len(length_tag(_GRAPH_INITIALIZER, size)) + size
        if length > _MAX_BYTES - 1024:
            problem = f"the network has {length} bytes of weights, more than the 2 GB an ONNX file can hold"
            raise ModelFormatError(self.path, problem, "Use the Caffe engine for it.")
        with replaced_file(path) as file:
            file.write(model.SerializeToString())
            file.write(length_tag(_MODEL_GRAPH, length))
            file.write(graph)
            for name, head in heads.items():
                value = array_of(self.constants[name])
                file.write(length_tag(_GRAPH_INITIALIZER, len(head) + value.nbytes))
                file.write(head)
                file.write(value.reshape(-1).view(np.uint8).data)

    @property
    def needs_onnxruntime(self) -> bool:
        """Whether it uses ONNX Runtime's own operators."""
        return any(node.domain == CONTRIB for node in self.nodes)

    def skeleton(self) -> onnx.ModelProto:
        """The model without its constants."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs)
        opsets = [helper.make_opsetid("", OPSET)]
        if self.needs_onnxruntime:
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        return helper.make_model(graph, producer_name="uncrop", ir_version=IR_VERSION, opset_imports=opsets)


def _tensor_head(name: str, value: Array | Deferred) -> bytes:
    """Everything of a TensorProto up to its raw bytes."""
    element_type = helper.np_dtype_to_tensor_dtype(value.dtype)
    dims = b"".join(varint_field(_TENSOR_DIMS, size) for size in value.shape)
    head = dims + varint_field(_TENSOR_TYPE, element_type) + string_field(_TENSOR_NAME, name)
    return head + length_tag(_TENSOR_RAW, value.nbytes)
