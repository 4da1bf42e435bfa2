"""A Caffe layer as a value: name, type, blobs in and out, parameters, weights.

Parameters are a flat dict of what the layer's ``<type>_param`` block holds, with Caffe's own field names:
single values for optional fields, tuples for repeated ones, dicts for fillers. Field names, types and
defaults are those of BVLC Caffe's ``src/caffe/proto/caffe.proto``. Fields that have no say in what a layer
computes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.text_message import Message


class LayerProblem(ValueError):  # noqa: N818 - not an error by itself: readers make a ModelFormatError of it
    """What is wrong with a layer; whoever knows the file adds its name."""


_CONVOLUTION = {
    "num_output": "int", "bias_term": "bool", "pad": "ints", "kernel_size": "ints", "stride": "ints",
    "dilation": "ints", "pad_h": "int", "pad_w": "int", "kernel_h": "int", "kernel_w": "int",
    "stride_h": "int", "stride_w": "int", "group": "int", "axis": "int", "weight_filler": "filler",
    "bias_filler": "filler",
}  # fmt: skip
_POOLING = {
    "pool": "word", "pad": "int", "pad_h": "int", "pad_w": "int", "kernel_size": "int", "kernel_h": "int",
    "kernel_w": "int", "stride": "int", "stride_h": "int", "stride_w": "int", "global_pooling": "bool",
    "round_mode": "word",
}  # fmt: skip
_INNER_PRODUCT = {
    "num_output": "int", "bias_term": "bool", "axis": "int", "transpose": "bool", "weight_filler": "filler",
    "bias_filler": "filler",
}  # fmt: skip
_SCALE = {"axis": "int", "num_axes": "int", "bias_term": "bool", "filler": "filler", "bias_filler": "filler"}

PARAMETERS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Input": ("input_param", {"shape": "shapes"}),
        "Convolution": ("convolution_param", _CONVOLUTION),
        "Deconvolution": ("convolution_param", _CONVOLUTION),
        "InnerProduct": ("inner_product_param", _INNER_PRODUCT),
        "Pooling": ("pooling_param", _POOLING),
        "ReLU": ("relu_param", {"negative_slope": "float"}),
        "Sigmoid": ("sigmoid_param", {}),
        "TanH": ("tanh_param", {}),
        "Power": ("power_param", {"power": "float", "scale": "float", "shift": "float"}),
        "Dropout": ("dropout_param", {"dropout_ratio": "float"}),
        "Scale": ("scale_param", _SCALE),
        "BatchNorm": ("batch_norm_param", {"use_global_stats": "bool", "eps": "float"}),
        "Eltwise": ("eltwise_param", {"operation": "word", "coeff": "floats"}),
        "Crop": ("crop_param", {"axis": "int", "offset": "ints"}),
        "Concat": ("concat_param", {"axis": "int", "concat_dim": "int"}),
        "Softmax": ("softmax_param", {"axis": "int"}),
        "Split": ("split_param", {}),
    }
)
"""Layer types understood: the name of their parameter block and the kind of each field in it."""

V1_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "CONCAT": "Concat",
        "CONVOLUTION": "Convolution",
        "DECONVOLUTION": "Deconvolution",
        "DROPOUT": "Dropout",
        "ELTWISE": "Eltwise",
        "INNER_PRODUCT": "InnerProduct",
        "POOLING": "Pooling",
        "POWER": "Power",
        "RELU": "ReLU",
        "SIGMOID": "Sigmoid",
        "SOFTMAX": "Softmax",
        "SPLIT": "Split",
        "TANH": "TanH",
    }
)
"""Type names of the old ``layers { type: CONVOLUTION }`` form (V1LayerParameter) and today's names."""

_ENUMS = {
    "pool": ("MAX", "AVE", "STOCHASTIC"),
    "round_mode": ("CEIL", "FLOOR"),
    "operation": ("PROD", "SUM", "MAX"),
}
_FILLER = {"type": "string", "value": "float"}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    Attributes
    ----------
    name
        Layer name, not empty.
    type
        Caffe's type name, one of `PARAMETERS`.
    bottoms, tops
        Names of the blobs that it reads and writes. The same name in both means in place.
    params
        Parameters by Caffe's field names, see the module; only those that differ from Caffe's defaults are
        needed.
    blobs
        Weights, float32, in Caffe's order and shapes: convolution ``(out, in / group, kh, kw)`` and bias
        ``(out,)``; deconvolution ``(in, out / group, kh, kw)``; scale ``(c,)`` and bias; batch norm mean
        ``(c,)``, variance ``(c,)`` and factor ``(1,)``.

    Raises
    ------
    LayerProblem
        The type or a parameter is not understood.
    """

    name: str
    type: str
    bottoms: Sequence[str] = ()
    tops: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    blobs: Sequence[Float32Array] = ()

    def __post_init__(self) -> None:
        if self.type not in PARAMETERS:
            raise LayerProblem(
                f"layer {self.name!r} has type {self.type!r}, which is not supported (supported are "
                f"{', '.join(sorted(PARAMETERS))})"
            )
        if isinstance(self.bottoms, str) or isinstance(self.tops, str):
            raise LayerProblem(f"layer {self.name!r}: bottoms and tops must be lists of names")
        set_field = object.__setattr__
        set_field(self, "bottoms", tuple(self.bottoms))
        set_field(self, "tops", tuple(self.tops))
        set_field(self, "params", _check_params(self.name, self.type, self.params))
        set_field(self, "blobs", tuple(_check_blob(self.name, blob) for blob in self.blobs))

    @property
    def in_place(self) -> bool:
        """Whether its output takes its input's name."""
        return len(self.tops) == 1 and self.tops[0] in self.bottoms


def params_of_message(layer: Message, layer_type: str) -> dict[str, Any]:
    """Read the parameter block of a layer in a prototxt.

    Parameters
    ----------
    layer
        The ``layer { ... }`` block.
    layer_type
        One of `PARAMETERS`.

    Returns
    -------
    dict
        As `Layer.params`; only fields that the text sets.

    Raises
    ------
    ModelFormatError
        A field has a value of the wrong kind.
    """
    block_name, kinds = PARAMETERS[layer_type]
    block = layer.message(block_name)
    if block is None:
        return {}
    return {name: _read_field(block, name, kind) for name, kind in kinds.items() if block.has(name)}


def shape_of_message(shape: Message) -> tuple[int, ...]:
    """Dimensions of a ``BlobShape`` block."""
    return shape.integers("dim")


def _read_field(block: Message, name: str, kind: str) -> Any:
    match kind:
        case "int":
            return block.integers(name)[-1]
        case "ints":
            return block.integers(name)
        case "float":
            return block.floats(name)[-1]
        case "floats":
            return block.floats(name)
        case "bool":
            return block.booleans(name)[-1]
        case "word":
            word = block.words(name)[-1]
            choices = _ENUMS[name]
            return choices[int(word)] if word.isdigit() and int(word) < len(choices) else word
        case "shapes":
            return tuple(shape_of_message(shape) for shape in block.messages(name))
        case _:
            filler = block.message(name)
            assert filler is not None
            types, values = filler.strings("type"), filler.floats("value")
            return {"type": types[-1] if types else "constant", "value": values[-1] if values else 0.0}


def _check_params(layer: str, layer_type: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds = PARAMETERS[layer_type][1]
    checked: dict[str, Any] = {}
    for name, value in params.items():
        if name not in kinds:
            raise LayerProblem(
                f"layer {layer!r} ({layer_type}) has no parameter {name!r}, only {', '.join(kinds)}"
            )
        try:
            checked[name] = _check_value(name, kinds[name], value)
        except (TypeError, ValueError, OverflowError) as error:
            raise LayerProblem(
                f"layer {layer!r} ({layer_type}): parameter {name} = {value!r} ({error})"
            ) from error
    return MappingProxyType(checked)


def _check_value(name: str, kind: str, value: Any) -> Any:
    match kind:
        case "int":
            return _count(value)
        case "ints":
            return tuple(_count(item) for item in (value if isinstance(value, Sequence) else (value,)))
        case "float":
            return float(value)
        case "floats":
            return tuple(float(item) for item in (value if isinstance(value, Sequence) else (value,)))
        case "bool":
            return bool(value)
        case "word":
            if value not in _ENUMS[name]:
                raise ValueError(f"must be one of {', '.join(_ENUMS[name])}")
            return value
        case "shapes":
            shapes = value if value and isinstance(value[0], Sequence) else (value,)
            return tuple(tuple(_count(item) for item in shape) for shape in shapes)
        case _:
            if not isinstance(value, Mapping) or not set(value) <= set(_FILLER):
                raise ValueError("a filler is a dict with type and value")
            return {"type": str(value.get("type", "constant")), "value": float(value.get("value", 0.0))}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError("must be a whole number")
    if not -(2**31) <= value < 2**31:
        raise ValueError("does not fit in 32 bits")
    return int(value)


def _check_blob(layer: str, blob: Float32Array) -> Float32Array:
    array = np.asarray(blob)
    if array.dtype != np.float32:
        raise LayerProblem(f"layer {layer!r}: weights must be float32, not {array.dtype}")
    return array
