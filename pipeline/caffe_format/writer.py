"""Writer of Caffe's two files, for networks that were not made with Caffe.

Put a network together from layers and write it; what comes out loads in Caffe itself, in OpenCV 4's importer
and here:

    from pipeline.caffe_format.layers import Layer
    from pipeline.caffe_format.network import CaffeNetwork
    from pipeline.caffe_format.writer import write_caffe

    # Weights are float32 arrays: (out, in / group, kh, kw), of a Deconvolution (in, out / group, kh, kw).
    conv = {"num_output": 8, "kernel_size": 3, "pad": 1, "stride": 2}
    depthwise = {"num_output": 8, "kernel_size": 3, "pad": 2, "dilation": 2, "group": 8, "bias_term": False}
    up = {"num_output": 8, "kernel_size": 4, "stride": 2, "pad": 1, "group": 8, "bias_term": False}
    score = {"num_output": 2, "kernel_size": 1}
    network = CaffeNetwork.from_layers(
        [
            Layer("data", "Input", [], ["data"], {"shape": (1, 3, 256, 256)}),
            Layer("conv1", "Convolution", ["data"], ["conv1"], conv, (w1, b1)),
            Layer("relu1", "ReLU", ["conv1"], ["conv1"]),  # in place
            Layer("depthwise", "Convolution", ["conv1"], ["depthwise"], depthwise, (w2,)),
            Layer("pool", "Pooling", ["depthwise"], ["pool"], {"pool": "MAX", "kernel_size": 2, "stride": 2}),
            Layer("up", "Deconvolution", ["pool"], ["up"], up, (w3,)),
            Layer("crop", "Crop", ["up", "conv1"], ["crop"], {"axis": 2, "offset": 0}),
            Layer("concat", "Concat", ["crop", "conv1"], ["concat"]),  # or "Eltwise", {"operation": "SUM"}
            Layer("score", "Convolution", ["concat"], ["score"], score, (w4, b4)),
        ],
        name="embedded",
    )
    write_caffe(network, "net.prototxt", "net.caffemodel")

Parameter names are Caffe's own (see `layers.PARAMETERS`); those left out have Caffe's defaults. `from_layers`
checks every name, shape and weight and says which layer is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import PARAMETERS, Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.errors import ModelError
from pipeline.files import whole_file
from pipeline.wire_format import length_tag, string_field, varint

_WORDS = {"pool", "round_mode", "operation"}
"""Parameters that are enum names and stand without quotes."""


def write_caffe(
    network: CaffeNetwork, prototxt: str | PathLike[str], caffemodel: str | PathLike[str]
) -> None:
    """Write both files of a network; each appears whole or not at all."""
    write_caffemodel(network, caffemodel)
    write_prototxt(network, prototxt)


def write_prototxt(network: CaffeNetwork, path: str | PathLike[str]) -> None:
    """Write the deploy description; the file appears whole or not at all."""
    with replaced_file(path) as file:
        file.write(prototxt_text(network.layers, network.name).encode())


def write_caffemodel(network: CaffeNetwork, path: str | PathLike[str]) -> None:
    """Write the weights; the file appears whole or not at all, and no copy of them is made in memory."""
    with replaced_file(path) as file:
        file.write(string_field(1, network.name))
        for layer in network.layers:
            chunks = list(_layer_chunks(layer))
            file.write(length_tag(100, sum(_length(chunk) for chunk in chunks)))
            for chunk in chunks:
                file.write(chunk if isinstance(chunk, bytes) else chunk.view(np.uint8).data)


def prototxt_text(layers: tuple[Layer, ...], name: str = "") -> str:
    """Text of a deploy description.

    Parameters
    ----------
    layers
        Layers; their weights are not needed.
    name
        Name of the network.
    """
    lines = [f"name: {_quoted(name)}"] if name else []
    for layer in layers:
        lines += ["layer {", f"  name: {_quoted(layer.name)}", f"  type: {_quoted(layer.type)}"]
        lines += [f"  bottom: {_quoted(bottom)}" for bottom in layer.bottoms]
        lines += [f"  top: {_quoted(top)}" for top in layer.tops]
        if layer.params:
            lines += [f"  {PARAMETERS[layer.type][0]} {{", *_param_lines(layer.params), "  }"]
        lines.append("}")
    return "\n".join(lines) + "\n"


@contextmanager
def replaced_file(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place if the block ends well and vanishes if not."""
    try:
        with whole_file(Path(path)) as file:
            yield file
    except OSError as error:
        raise ModelError(
            path, f"cannot be written ({error.strerror})", "Check the folder and the disk."
        ) from error


def _param_lines(params: Mapping[str, Any]) -> Iterator[str]:
    for name, value in params.items():
        if name == "shape":
            for shape in value:
                yield f"    shape {{ {' '.join(f'dim: {size}' for size in shape)} }}"
        elif isinstance(value, Mapping):
            yield f"    {name} {{ type: {_quoted(value['type'])} value: {_number(value['value'])} }}"
        elif isinstance(value, tuple):
            yield from (f"    {name}: {_number(item)}" for item in value)
        else:
            yield f"    {name}: {value if name in _WORDS else _number(value)}"


def _number(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _quoted(text: str) -> str:
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'\\"' else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{escaped}"'


def _layer_chunks(layer: Layer) -> Iterator[bytes | Float32Array]:
    head = string_field(1, layer.name) + string_field(2, layer.type)
    head += b"".join(string_field(3, bottom) for bottom in layer.bottoms)
    yield head + b"".join(string_field(4, top) for top in layer.tops)
    for blob in layer.blobs:
        dims = b"".join(varint(size) for size in blob.shape)
        shape = length_tag(1, len(dims)) + dims
        values = np.ascontiguousarray(blob, "<f4").reshape(-1)
        head = length_tag(7, len(shape)) + shape + length_tag(5, values.nbytes)
        yield length_tag(7, len(head) + values.nbytes) + head
        yield values


def _length(chunk: bytes | Float32Array) -> int:
    return len(chunk) if isinstance(chunk, bytes) else chunk.nbytes
