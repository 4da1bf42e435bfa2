"""Reader of Caffe's weight files (``*.caffemodel``): protobuf's wire format, without protobuf.

A caffemodel is one ``NetParameter`` message. Only the few fields that weights need are understood (numbers
from BVLC Caffe's ``src/caffe/proto/caffe.proto``); all others are stepped over. Headers are read through a
memory map; floats are never touched one by one: `BlobSpan.load` copies their bytes straight into an array, so
that 538 MB cost about their own size in memory and the time to read them.

Wire format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.mapped_message import (
    BYTES,
    VARINT,
    WireError,
    fields,
    signed,
    varint,
)
from pipeline.errors import ModelFormatError, ModelMissingError

# Fields of NetParameter, LayerParameter, V1LayerParameter, BlobProto and BlobShape
_NET_LAYERS_V1, _NET_LAYER = 2, 100
_LAYER_NAME, _LAYER_TYPE, _LAYER_BLOBS = 1, 2, 7
_V1_NAME, _V1_BLOBS, _V1_V0_LAYER = 4, 6, 1
_BLOB_LEGACY, _BLOB_DATA, _BLOB_DIFF, _BLOB_SHAPE, _BLOB_DOUBLE, _BLOB_DOUBLE_DIFF = (
    (1, 2, 3, 4),
    5,
    6,
    7,
    8,
    9,
)
_BLOB_NUMBERS = frozenset({_BLOB_DATA, _BLOB_DIFF, _BLOB_DOUBLE, _BLOB_DOUBLE_DIFF})
_SHAPE_DIM = 1

_AGAIN = "The file is truncated or damaged: copy or download it again and compare its size and checksum."
_NOT_ONE = "Give the binary weights (*.caffemodel) that belong to the prototxt."
_FOREIGN = (
    (b"\x89HDF", "an HDF5 file; convert it with Caffe to the binary form"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer; run 'git lfs pull'"),
    (b"<", "an HTML or XML page; the download did not deliver the file"),
)


@dataclass(frozen=True, slots=True)
class BlobSpan:
    """Where the numbers of one blob lie in the file.

    Attributes
    ----------
    shape
        Shape as stored; up to four dimensions with leading ones in old files, see `legacy`.
    legacy
        Whether the shape comes from the old num, channels, height and width.
    runs
        ``(offset, count, item, stride)`` in bytes: ``count`` numbers of ``item`` bytes (4 or 8), ``stride``
        apart.
    """

    shape: tuple[int, ...]
    legacy: bool
    runs: tuple[tuple[int, int, int, int], ...]

    @property
    def count(self) -> int:
        """How many numbers are there."""
        return sum(count for _, count, _, _ in self.runs)

    def load(self, file: BinaryIO) -> Float32Array:
        """Read the numbers from the open file as a new one-dimensional float32 array."""
        values: Float32Array = np.empty(self.count, "<f4")
        start = 0
        for offset, count, item, stride in self.runs:
            target = values[start : start + count]
            file.seek(offset)
            if item == stride == 4:
                raw = target.view(np.uint8).data
                if file.readinto(raw) != len(raw):  # type: ignore[attr-defined]
                    raise WireError(offset, "the file ends inside the weights")
            else:
                size = (count - 1) * stride + item
                data = file.read(size)
                if len(data) != size:
                    raise WireError(offset, "the file ends inside the weights")
                target[:] = np.ndarray((count,), f"<f{item}", data, 0, (stride,))
            start += count
        return values


@dataclass(frozen=True, slots=True)
class WeightLayer:
    """One layer of a caffemodel.

    Attributes
    ----------
    name, type
        As stored; the type is empty for the old form.
    blobs
        Where its weights lie.
    offset
        Byte where the layer starts.
    """

    name: str
    type: str
    blobs: tuple[BlobSpan, ...]
    offset: int


def read_caffemodel(path: str | PathLike[str]) -> tuple[WeightLayer, ...]:
    """List the layers of a caffemodel.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    tuple of WeightLayer
        In file order, those without weights too. The numbers stay in the file until `load_blob`.

    Raises
    ------
    ModelMissingError
        The file is not there.
    ModelFormatError
        It cannot be read, is truncated or damaged, or is something else; the message names layer and byte.
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise ModelFormatError(path, "is empty", _AGAIN)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _check_magic(path, data[:64])
                return _read_net(path, data)
    except FileNotFoundError as error:
        raise ModelMissingError(
            path, "the weights are not there", "Check the path, or fetch the model."
        ) from error
    except OSError as error:
        raise ModelFormatError(
            path, f"cannot be read ({error.strerror})", "Check the path and its rights."
        ) from error


def load_blob(path: str | PathLike[str], file: BinaryIO, layer: WeightLayer, index: int) -> Float32Array:
    """Read one blob of a layer.

    Parameters
    ----------
    path
        Name of the file, for error messages.
    file
        The same file, open for reading.
    layer, index
        Layer and number of its blob.

    Returns
    -------
    ndarray, shape (count,), float32

    Raises
    ------
    ModelFormatError
        The file changed, or the numbers are not all finite.
    """
    try:
        values = layer.blobs[index].load(file)
    except (WireError, OSError) as error:
        raise ModelFormatError(
            path, f"layer {layer.name!r}: blob {index} cannot be read ({error})", _AGAIN
        ) from error
    if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise ModelFormatError(
            path, f"layer {layer.name!r}: blob {index} holds NaN or infinite weights", _AGAIN
        )
    return values


def _check_magic(path: str | PathLike[str], head: bytes) -> None:
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise ModelFormatError(path, f"is no caffemodel but {what}", _NOT_ONE)


def _read_net(path: str | PathLike[str], data: mmap.mmap) -> tuple[WeightLayer, ...]:
    layers: list[WeightLayer] = []
    start = 0
    try:
        for field, wire, start, end in fields(data, 0, len(data)):
            if wire == BYTES and field == _NET_LAYER:
                layers.append(_read_layer(data, start, end, _LAYER_NAME, _LAYER_TYPE, _LAYER_BLOBS))
            elif wire == BYTES and field == _NET_LAYERS_V1:
                layers.append(_read_layer(data, start, end, _V1_NAME, 0, _V1_BLOBS))
    except _LayerError as error:
        problem = f"layer {error.name!r} (number {len(layers)}, byte {error.offset}): {error}"
        raise ModelFormatError(path, problem, _AGAIN) from error
    except WireError as error:
        if not layers:
            raise ModelFormatError(
                path, f"is no caffemodel (byte {error.offset}: {error})", _NOT_ONE
            ) from error
        problem = f"byte {error.offset}, after layer {layers[-1].name!r}: {error}"
        raise ModelFormatError(path, problem, _AGAIN) from error
    if not any(layer.blobs for layer in layers):
        raise ModelFormatError(path, f"holds no weights ({len(layers)} layers, {len(data)} bytes)", _NOT_ONE)
    return tuple(layers)


class _LayerError(WireError):
    def __init__(self, name: str, cause: WireError) -> None:
        super().__init__(cause.offset, str(cause))
        self.name = name


def _read_layer(
    data: mmap.mmap, start: int, end: int, name_field: int, type_field: int, blobs_field: int
) -> WeightLayer:
    name, layer_type, blobs = "", "", []
    v0_at: int | None = None
    try:
        for field, wire, low, high in fields(data, start, end):
            if wire != BYTES:
                continue
            if field == name_field:
                name = data[low:high].decode("utf-8", errors="replace")
            elif field == type_field:
                layer_type = data[low:high].decode("utf-8", errors="replace")
            elif field == blobs_field:
                blobs.append(_read_blob(data, low, high))
            elif not type_field and field == _V1_V0_LAYER:
                v0_at = low
    except WireError as error:
        raise _LayerError(name, error) from error
    if v0_at is not None:
        problem = "it is in Caffe's oldest form (V0), which is not supported; use upgrade_net_proto_binary"
        raise _LayerError(name, WireError(v0_at, problem))
    return WeightLayer(name, layer_type, tuple(blobs), start)


def _read_blob(data: mmap.mmap, start: int, end: int) -> BlobSpan:
    legacy: dict[int, int] = {}
    shape: tuple[int, ...] | None = None
    runs: list[tuple[int, int, int, int]] = []
    for field, wire, low, high in fields(data, start, end, _BLOB_NUMBERS):
        if field in _BLOB_LEGACY and wire == VARINT:
            legacy[field] = signed(varint(data, low, high)[0])
        elif field == _BLOB_SHAPE and wire == BYTES:
            shape = (shape or ()) + _read_dims(data, low, high)
        elif field in {_BLOB_DATA, _BLOB_DOUBLE}:
            item = 4 if field == _BLOB_DATA else 8
            if wire == BYTES:
                if (high - low) % item:
                    raise WireError(
                        low, f"{high - low} bytes of weights are not whole numbers of {item} bytes"
                    )
                runs.append((low, (high - low) // item, item, item))
            else:
                tag_and_item = item + 1
                runs.append((low, (high - low + 1) // tag_and_item, item, tag_and_item))
    count = sum(run[1] for run in runs)
    is_legacy = shape is None and bool(legacy)
    if shape is None:
        shape = tuple(legacy.get(field, 0) for field in _BLOB_LEGACY) if legacy else (count,)
    expected = 1
    for size in shape:
        expected *= size
    if min(shape, default=0) < 0 or len(shape) > 32 or expected != count:
        raise WireError(start, f"a blob of shape {'x'.join(map(str, shape)) or '()'} holds {count} numbers")
    return BlobSpan(shape, is_legacy, tuple(run for run in runs if run[1]))


def _read_dims(data: mmap.mmap, start: int, end: int) -> tuple[int, ...]:
    dims: list[int] = []
    for field, wire, low, high in fields(data, start, end):
        if field != _SHAPE_DIM or wire not in {VARINT, BYTES}:
            continue
        position = low
        while position < high:
            value, position = varint(data, position, high)
            dims.append(signed(value))
            if len(dims) > 32:
                raise WireError(low, "a shape with more than 32 dimensions")
    return tuple(dims)
