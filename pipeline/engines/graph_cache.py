"""ONNX graphs of Caffe networks, built once and kept on disk.

An entry is a folder ``<name>-<shape>-<key>`` holding ``model.onnx`` and ``sha256``. Its key is made of the
checksums of both model files, the converter's own source, and the shape that the graph is made for. A
folder appears by renaming, so it is whole or not there; a lock file beside it keeps concurrent starts from
converting the same network twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline.caffe_format
from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.models import sha256_of

if TYPE_CHECKING:
    from pipeline.models import ModelFiles

_log = logging.getLogger(__name__)


def default_cache_directory() -> Path:
    """``$XDG_CACHE_HOME/uncrop``, or ``~/.cache/uncrop`` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()) / "uncrop"


class GraphCache:
    """Graphs of one network.

    Parameters
    ----------
    model
        The network's files.
    directory
        Cache folder; None: `default_cache_directory`. If it cannot be written, graphs live in a
        temporary folder until `close`, and a warning says so.
    """

    def __init__(self, model: ModelFiles, directory: str | None) -> None:
        self._model = model
        self._directory = Path(directory) if directory is not None else default_cache_directory()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def graph(self, shape_hw: tuple[int, int] | None = None) -> Path:
        """Path of the ONNX graph, built if it is not there or damaged.

        Parameters
        ----------
        shape_hw
            Input height and width in pixels that the graph is specialised for; None: any.

        Raises
        ------
        ModelError
            The network's files cannot be read or converted.
        """
        entry = self._directory / self._entry_name(shape_hw)
        if not _is_whole(entry):
            try:
                self._build(entry, shape_hw)
            except OSError as error:
                if self._temporary is not None:
                    raise
                _log.warning(
                    "%s: the graph of %s cannot be kept there (%s), so every start converts it anew; "
                    "set engine.cache_directory to a folder that can be written",
                    self._directory,
                    self._model.name,
                    error.strerror or error,
                )
                self._temporary = tempfile.TemporaryDirectory(prefix="uncrop-graphs-")
                self._directory = Path(self._temporary.name)
                return self.graph(shape_hw)
        return entry / "model.onnx"

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _entry_name(self, shape_hw: tuple[int, int] | None) -> str:
        shape = "any" if shape_hw is None else "{}x{}".format(*shape_hw)
        parts = (self._model.prototxt_sha256, self._model.caffemodel_sha256, _converter_sha256(), shape)
        return f"{self._model.name}-{shape}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:32]}"

    def _build(self, entry: Path, shape_hw: tuple[int, int] | None) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with _locked(entry.with_name(entry.name + ".lock")):
            if _is_whole(entry):
                return
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self._directory) as scratch:
                new = Path(scratch) / "entry"
                new.mkdir()
                convert(
                    load_caffe(self._model.prototxt, self._model.caffemodel), new / "model.onnx", shape_hw
                )
                (new / "sha256").write_text(sha256_of(new / "model.onnx") + "\n", encoding="ascii")
                if entry.exists():
                    shutil.rmtree(entry)
                new.rename(entry)


def convert(network: CaffeNetwork, path: Path, shape_hw: tuple[int, int] | None) -> None:
    """Write a network's ONNX graph, specialised for one input shape where a shape is given."""
    network.to_onnx(path)


def _converter_sha256() -> str:
    """Checksum of the converter's source: a changed converter never takes an old graph."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(Path(pipeline.caffe_format.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_whole(entry: Path) -> bool:
    try:
        expected = (entry / "sha256").read_text(encoding="ascii").strip()
        return sha256_of(entry / "model.onnx") == expected
    except (OSError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the system frees it when the process dies."""
    with path.open("wb") as file:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - this system only

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - these systems only

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
