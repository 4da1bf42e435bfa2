"""Loading a Caffe network: the layers of a deploy prototxt with the weights of a caffemodel."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from landmarks.arrays import Float32Array
from pipeline.caffe_format.caffemodel import BlobSpan, WeightLayer, load_blob, read_caffemodel
from pipeline.caffe_format.deploy import read_deploy
from pipeline.caffe_format.fillers import filled_blobs
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork, check_wiring, wire
from pipeline.caffe_format.shapes import Shape
from pipeline.errors import ModelFormatError, ModelMissingError

_logger = logging.getLogger(__name__)

_SUFFIX = re.compile(r"[_-][A-Za-z]+")
"""What may follow a layer's name in weights for it, such as the ``_r`` of the released 300 model."""


def read_network(prototxt: str | PathLike[str]) -> CaffeNetwork:
    """Read a deploy prototxt as a network without weights; errors as of `load_caffe`."""
    deploy = read_deploy(prototxt)
    bare = CaffeNetwork(deploy.name, deploy.layers, wire(deploy.layers, prototxt), str(prototxt))
    check_wiring(bare)
    return bare


def load_caffe(prototxt: str | PathLike[str], caffemodel: str | PathLike[str]) -> CaffeNetwork:
    """Load a network from Caffe's two files.

    Layers find their weights by name, as in Caffe; layers of the caffemodel that the prototxt lacks (data,
    split, loss) are ignored. Unlike Caffe, which would leave such layers with random weights, a layer whose
    name is missing takes the weights of the only unused layer with the same stem (``score_fr`` and
    ``score_fr_r``) and the same shapes, and every such renaming is logged as a warning.

    Parameters
    ----------
    prototxt
        Deploy description of the network.
    caffemodel
        Its weights.

    Returns
    -------
    CaffeNetwork
        Float32 weights in memory; the files are closed.

    Raises
    ------
    ModelMissingError
        One of the files is not there.
    ModelFormatError
        One of them is damaged, or a layer, shape or version is not supported, or they do not belong together.
    """
    bare = read_network(prototxt)
    height, width = bare.input_shape[2:]
    shapes = bare.blob_shapes(height, width)
    stored = read_caffemodel(caffemodel)
    matches = _match(bare.layers, shapes, stored, caffemodel)
    try:
        with Path(caffemodel).open("rb") as file:
            blobs = [
                _load_blobs(layer, wanted, match, caffemodel, file)
                for layer, wanted, match in zip(bare.layers, shapes, matches, strict=True)
            ]
    except FileNotFoundError as error:
        raise ModelMissingError(caffemodel, "the weights are not there", "Check the path.") from error
    except OSError as error:
        raise ModelFormatError(caffemodel, f"cannot be read ({error.strerror})", "Check the file.") from error
    return bare.with_blobs(blobs)


def _match(
    layers: Sequence[Layer],
    shapes: Sequence[tuple[Shape, ...]],
    stored: Sequence[WeightLayer],
    path: str | PathLike[str],
) -> list[WeightLayer | None]:
    """Find the stored layer for each layer that needs weights; None for those that need none."""
    by_name = {layer.name: layer for layer in stored if layer.blobs}
    names = {layer.name for layer, wanted in zip(layers, shapes, strict=True) if wanted}
    spare = [layer for name, layer in by_name.items() if name not in names]
    matches: list[WeightLayer | None] = []
    for layer, wanted in zip(layers, shapes, strict=True):
        match = by_name.get(layer.name) if wanted else None
        if wanted and match is None:
            match = _match_by_stem(layer, wanted, spare, path)
        matches.append(match)
    return matches


def _match_by_stem(
    layer: Layer, wanted: tuple[Shape, ...], spare: list[WeightLayer], path: str | PathLike[str]
) -> WeightLayer | None:
    found = [other for other in spare if _same_stem(layer.name, other.name) and _fits(other.blobs, wanted)]
    if len(found) == 1:
        spare.remove(found[0])
        _logger.warning("%s: layer %r takes the weights of %r, by shape", path, layer.name, found[0].name)
        return found[0]
    if not found and filled_blobs(layer, wanted) is not None:
        _logger.info("%s: layer %r has no weights there and takes those of its fillers", path, layer.name)
        return None
    needs = f"holds no weights for layer {layer.name!r} ({layer.type}) of shapes {wanted}"
    if found:
        needs += f", and several may be meant: {', '.join(other.name for other in found)}"
    unused = ", ".join(other.name for other in spare[:8]) or "none"
    raise ModelFormatError(
        path, f"{needs} (layers left over: {unused})", "Give the weights of this very network."
    )


def _same_stem(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return bool(short) and long.startswith(short) and _SUFFIX.fullmatch(long[len(short) :]) is not None


def _fits(blobs: Sequence[BlobSpan], wanted: tuple[Shape, ...]) -> bool:
    return len(blobs) == len(wanted) and all(_fits_one(*pair) for pair in zip(blobs, wanted, strict=True))


def _fits_one(blob: BlobSpan, wanted: Shape) -> bool:
    """Whether shapes agree; old files pad theirs with leading ones to four dimensions (Blob::ShapeEquals)."""
    if blob.legacy:
        return len(wanted) <= 4 and blob.shape == (1,) * (4 - len(wanted)) + wanted
    return blob.shape == wanted


def _load_blobs(
    layer: Layer,
    wanted: tuple[Shape, ...],
    match: WeightLayer | None,
    path: str | PathLike[str],
    file: BinaryIO,
) -> tuple[Float32Array, ...]:
    if not wanted:
        return ()
    if match is None:
        blobs = filled_blobs(layer, wanted)
        assert blobs is not None
        return blobs
    if not _fits(match.blobs, wanted):
        raise ModelFormatError(
            path,
            f"layer {layer.name!r} ({layer.type}) needs weights of shapes {wanted}, but the file "
            f"(byte {match.offset}) holds {tuple(blob.shape for blob in match.blobs)}",
            "The weights belong to another network: give the prototxt that came with them.",
        )
    return tuple(load_blob(path, file, match, index).reshape(shape) for index, shape in enumerate(wanted))
