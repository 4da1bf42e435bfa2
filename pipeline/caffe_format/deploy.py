"""What a deploy prototxt says: the layers of a network, still without weights.

Understood are today's ``layer { type: "Convolution" }`` and the older ``layers { type: CONVOLUTION }`` (V1);
inputs as ``input:`` with ``input_dim:`` or ``input_shape { }``, and as ``layer { type: "Input" }``. Layers
for training only are left out by Caffe's rule (``Net::StateMeetsRule`` in net.cpp with phase TEST, level 0
and no stages).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from pipeline.caffe_format.layers import (
    PARAMETERS,
    V1_TYPES,
    Layer,
    LayerProblem,
    params_of_message,
    shape_of_message,
)
from pipeline.caffe_format.prototxt import read_prototxt
from pipeline.caffe_format.text_message import Message
from pipeline.errors import ModelFormatError

_DATA_TYPES = {"Data", "ImageData", "HDF5Data", "WindowData", "MemoryData", "DummyData", "Python"}
_LOSS_TYPES = {
    "SoftmaxWithLoss",
    "EuclideanLoss",
    "SigmoidCrossEntropyLoss",
    "HingeLoss",
    "InfogainLoss",
    "Accuracy",
}


@dataclass(frozen=True, slots=True)
class Deploy:
    """A network without weights.

    Attributes
    ----------
    path
        File that it came from.
    name
        Name of the network, often empty.
    layers
        In file order; inputs first as layers of type Input.
    """

    path: str
    name: str
    layers: tuple[Layer, ...]


def read_deploy(path: str | PathLike[str]) -> Deploy:
    """Read the layers of a deploy prototxt.

    Raises
    ------
    ModelMissingError
        The file is not there.
    ModelFormatError
        It breaks the syntax, or holds a layer or a form of Caffe that is not supported.
    """
    return deploy_of_message(read_prototxt(path))


def deploy_of_message(net: Message) -> Deploy:
    """As `read_deploy`, from a parsed message."""
    layers = _inputs(net)
    old, new = net.messages("layers"), net.messages("layer")
    if old and new:
        raise net.error(old[0].line, "'layers' (old form) and 'layer' (new form) cannot be mixed")
    for block in old + new:
        if not _runs_in_test(block):
            continue
        layer = _layer(block, is_v1=bool(old))
        if layer is not None:
            layers.append(layer)
    if not layers:
        raise net.error(1, "there is no layer", "Give a Caffe deploy prototxt.")
    layers.sort(key=lambda layer: layer.type != "Input")
    return Deploy(net.path, net.string("name"), tuple(layers))


def _inputs(net: Message) -> list[Layer]:
    names = net.strings("input")
    dims, blocks = net.integers("input_dim"), net.messages("input_shape")
    if dims and blocks:
        raise net.error(blocks[0].line, "give input_dim or input_shape, not both")
    if len(dims) % 4 or (dims and len(dims) != 4 * len(names)) or (blocks and len(blocks) != len(names)):
        raise net.error(1, f"{len(names)} inputs need as many input_shape blocks or four input_dim each")
    shapes = [shape_of_message(block) for block in blocks] or [
        dims[at : at + 4] for at in range(0, len(dims), 4)
    ]
    if names and not shapes:
        raise net.error(
            1, f"the shape of input {names[0]!r} is missing", "Add four input_dim: lines (n, c, h, w)."
        )
    return [
        _checked(net, 1, name, "Input", (), (name,), {"shape": (shape,)})
        for name, shape in zip(names, shapes, strict=True)
    ]


def _layer(block: Message, *, is_v1: bool) -> Layer | None:
    name = block.string("name")
    layer_type = _type(block, name, is_v1=is_v1)
    if layer_type == "Silence":
        return None
    if not name:
        raise block.error(block.line, f"a {layer_type} layer has no name")
    if layer_type not in PARAMETERS:
        hint = f"Supported are {', '.join(sorted(PARAMETERS))}."
        if layer_type in _DATA_TYPES | _LOSS_TYPES:
            hint = "This looks like a training network: give the deploy prototxt."
        raise block.error(block.line, f"layer {name!r} has type {layer_type!r}, which is not supported", hint)
    params = params_of_message(block, layer_type)
    bottoms, tops = block.strings("bottom"), block.strings("top")
    return _checked(block, block.line, name, layer_type, bottoms, tops, params)


def _checked(
    message: Message,
    line: int,
    name: str,
    layer_type: str,
    bottoms: tuple[str, ...],
    tops: tuple[str, ...],
    params: Mapping[str, object],
) -> Layer:
    try:
        return Layer(name, layer_type, bottoms, tops, params)
    except LayerProblem as problem:
        raise message.error(line, str(problem)) from problem


def _type(block: Message, name: str, *, is_v1: bool) -> str:
    if not is_v1:
        return block.string("type")
    if block.has("layer"):
        raise _too_old(block, name)
    words = block.words("type")
    if not words:
        raise block.error(block.line, f"layer {name!r} has no type")
    if words[-1] == "SILENCE":
        return "Silence"
    if words[-1] not in V1_TYPES:
        hint = f"Supported are {', '.join(sorted(V1_TYPES))}, or write the layer in today's form."
        raise block.error(
            block.line, f"layer {name!r} has the old (V1) type {words[-1]}, not supported", hint
        )
    return V1_TYPES[words[-1]]


def _too_old(block: Message, name: str) -> ModelFormatError:
    return block.error(
        block.line,
        f"layer {name!r} is in Caffe's oldest form (V0, layers {{ layer {{ }} }}), not supported",
        "Upgrade the file with Caffe's upgrade_net_proto_text.",
    )


def _runs_in_test(block: Message) -> bool:
    include, exclude = block.messages("include"), block.messages("exclude")
    if include:
        return any(_meets(rule) for rule in include)
    return not any(_meets(rule) for rule in exclude)


def _meets(rule: Message) -> bool:
    phases, lowest, highest = rule.words("phase"), rule.integers("min_level"), rule.integers("max_level")
    if phases and phases[-1] not in {"TEST", "1"}:
        return False
    if (lowest and lowest[-1] > 0) or (highest and highest[-1] < 0):
        return False
    return not rule.has("stage")
