"""ONNX graphs of Caffe networks, built once and kept on disk.

A network has a folder ``<name>-<key>``; its key is made of the checksums of both model files and of the
converter's own source. In it are

    any.onnx, 500x500.onnx      graphs: for inputs of any size, and specialised for one
    500x500-fast.onnx           the latter for one picture, with fast convolutions (ONNX Runtime on CPUs)
    any.json, 500x500.json      written last: checksum of the graph, and the weights that it reads
    <sha256>.weights            arrays, shared by all graphs; runtimes map them instead of copying them

Files appear by renaming, so they are whole or not there; a lock keeps concurrent starts from converting the
same network twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pipeline.caffe_format
import pipeline.wire_format
from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.environment import cache_directory
from pipeline.errors import EngineError, ModelError, ModelFormatError
from pipeline.files import locked, sha256_of, whole_file, write_whole

if TYPE_CHECKING:
    from pipeline.caffe_format.graph_builder import GraphBuilder
    from pipeline.models.catalogue import ModelFiles

EXTERNAL_BYTES = 1024
"""Arrays from this size on are kept beside the graph."""

WORTHWHILE = 1.05
"""A graph specialised for a size has to have at least so many times less work than the plain one."""

_log = logging.getLogger(__name__)


class GraphCache:
    """Graphs of one network.

    Parameters
    ----------
    model
        The network's files.
    directory
        Cache folder; None: `pipeline.environment.cache_directory`. If it cannot be written, graphs live in a
        temporary folder until `close`, and a warning says so.
    """

    def __init__(self, model: ModelFiles, directory: str | None) -> None:
        self._model = model
        self._directory = Path(directory) if directory is not None else cache_directory()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def graph(self, shape_hw: tuple[int, int] | None = None, *, fast: bool = False) -> Path:
        """Path of the ONNX graph, built if it is not there or damaged.

        Parameters
        ----------
        shape_hw
            Input height and width in pixels that the graph is specialised for; None: any.
        fast
            With fast convolutions where they gain, see `convert`.

        Raises
        ------
        ModelError
            The network's files cannot be read or converted.
        EngineError
            The graph can be written neither there nor into a temporary folder.
        """
        try:
            return self._graph(shape_hw, fast)
        except OSError as error:
            if self._temporary is not None:
                raise self._unwritable(error) from error
            _log.warning(
                "%s: the graph of %s cannot be kept there (%s), so every start converts it anew; "
                "set engine.cache_directory to a folder that can be written",
                self._directory,
                self._model.name,
                error.strerror or error,
            )
            self._temporary = tempfile.TemporaryDirectory(prefix="uncrop-graphs-")
            self._directory = Path(self._temporary.name)
        try:
            return self._graph(shape_hw, fast)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _unwritable(self, error: OSError) -> EngineError:
        """The error for a temporary folder that cannot be written either."""
        folder = self._directory
        self.close()
        return EngineError(
            f"{folder}: the converted network cannot be written ({error.strerror or error}); "
            "set engine.cache_directory to a folder with room for it"
        )

    def _graph(self, shape_hw: tuple[int, int] | None, fast: bool) -> Path:
        parts = (self._model.prototxt_sha256, self._model.caffemodel_sha256, _converter_sha256())
        key = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
        folder = self._directory / f"{self._model.name}-{key}"
        kind = "-fast" if fast else ""
        path = folder / ("any.onnx" if shape_hw is None else f"{shape_hw[0]}x{shape_hw[1]}{kind}.onnx")
        if not _is_whole(path):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / "lock"):
                if not _is_whole(path):
                    network = load_caffe(self._model.prototxt, self._model.caffemodel)
                    _write(convert(network, shape_hw, fast=fast), path)
        return path


def convert(network: CaffeNetwork, shape_hw: tuple[int, int] | None, *, fast: bool = False) -> GraphBuilder:
    """A network's ONNX graph, without the work on its padding where a size is given and that saves anything.

    Parameters
    ----------
    network
        The network.
    shape_hw
        Input height and width in pixels; None: any.
    fast
        For ONNX Runtime's CPU provider: where a size is given and large convolutions gain by it, the graph
        takes one picture a run, and does these convolutions with fewer multiplications.

    Raises
    ------
    ModelFormatError
        The network cannot take that size.
    """
    from pipeline.caffe_format.onnx_graph import graph_of_network  # noqa: PLC0415 - imports onnx, slow
    from pipeline.caffe_format.padding import count_work, specialised_graph  # noqa: PLC0415 - the same
    from pipeline.caffe_format.subpixel import with_subpixel_convolutions  # noqa: PLC0415 - the same
    from pipeline.caffe_format.winograd import with_fast_convolutions  # noqa: PLC0415 - the same

    if shape_hw is None:
        return graph_of_network(network)
    try:
        worthwhile = count_work(network, *shape_hw).ratio >= WORTHWHILE
        if not worthwhile and not fast:
            return graph_of_network(network)
        specialised = specialised_graph(network, *shape_hw)
    except ModelFormatError:
        raise
    except ModelError as error:
        _log.debug("neither padding saving nor fast convolutions: %s", error)
        return graph_of_network(network)
    if fast:
        rewritten = with_fast_convolutions(with_subpixel_convolutions(specialised))
        if rewritten.needs_onnxruntime:
            return rewritten
    return specialised if worthwhile else graph_of_network(network)


def _converter_sha256() -> str:
    """Checksum of the converter's source: a changed converter never takes an old graph."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    folder = Path(pipeline.caffe_format.__file__).parent
    for path in (*sorted(folder.glob("*.py")), Path(pipeline.wire_format.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(graph: GraphBuilder, path: Path) -> None:
    """Write a graph with its large arrays beside it, one after the other, so that one at a time is made."""
    import onnx  # noqa: PLC0415 - slow to import

    from pipeline.caffe_format.graph_builder import array_of  # noqa: PLC0415 - imports onnx

    model = graph.skeleton()
    weights = []
    for name, constant in graph.constants.items():
        array = array_of(constant)
        if array.nbytes < EXTERNAL_BYTES:
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
            continue
        data = array.reshape(-1).view(np.uint8).data
        digest = hashlib.sha256(data).hexdigest()
        beside = path.with_name(f"{digest}.weights")
        if not _has_sha256(beside, digest):
            with whole_file(beside) as file:
                file.write(data)
        weights.append(digest)
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = onnx.TensorProto(name=name, data_type=kind, dims=array.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=beside.name)
        model.graph.initializer.append(tensor)
    serialised = model.SerializeToString(deterministic=True)
    write_whole(path, [serialised])
    summary = {"graph": hashlib.sha256(serialised).hexdigest(), "weights": weights}
    write_whole(path.with_suffix(".json"), [json.dumps(summary, indent=1).encode()])


def _is_whole(path: Path) -> bool:
    try:
        summary = json.loads(path.with_suffix(".json").read_bytes())
        graph, weights = summary["graph"], summary["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (
        isinstance(weights, list)
        and _has_sha256(path, graph)
        and all(_has_sha256(path.with_name(f"{digest}.weights"), digest) for digest in weights)
    )


def _has_sha256(path: Path, digest: str) -> bool:
    try:
        return sha256_of(path) == digest
    except OSError:
        return False
