"""Real pycaffe, the reference: a worker process (`caffe_worker`) in an interpreter that has it."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.caffe_format.caffemodel import read_caffemodel
from pipeline.caffe_format.deploy import read_deploy
from pipeline.caffe_format.layers import Layer
from pipeline.engines import caffe_worker
from pipeline.engines.base import EngineInfo
from pipeline.engines.caffe_process import CaffeProcess
from pipeline.engines.runtime import checked_batch, thread_count
from pipeline.errors import EngineError, EngineRefusedError, EngineUnavailableError, ModelFormatError

if TYPE_CHECKING:
    from pipeline.config import EngineConfig
    from pipeline.models.catalogue import ModelFiles

_ADVICE = (
    "The command must start an interpreter that has pycaffe: `make caffe` makes one in .venv-caffe where a "
    "CPython 3.7-3.9 is found, Debian 11 has the package python3-caffe."
)

_WEIGHTED = {"Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "Scale"}
"""Types of layers that are nothing without their own weights, unless the prototxt fills them."""


class CaffeEngine:
    """Runs the network in pycaffe, see `pipeline.engines.base.Engine`.

    ``engine.caffe.command`` starts a Python interpreter, here or in a container: ``[python3.9]``,
    ``[conda, run, --no-capture-output, -n, caffe, python]``, ``[docker, run, -i, --rm, IMAGE, python]``.
    The worker's source is given to it as ``-u -c SOURCE``; an image whose entry point is the worker itself
    ignores that.

    A worker that died is started anew by the next `predict`.
    """

    def __init__(self, settings: EngineConfig, model: ModelFiles) -> None:
        if settings.precision != "f32":
            raise EngineUnavailableError(
                f"engine.precision: Caffe computes in f32 only, not {settings.precision}"
            )
        name, colon, index = settings.device.partition(":")
        if name not in ("cpu", "gpu") or (colon and not (name == "gpu" and index.isdecimal())):
            raise EngineUnavailableError(
                f"engine.device: Caffe knows cpu, gpu and gpu:N, not {settings.device!r}"
            )
        self._settings = settings
        self._model = model
        self._threads = thread_count(settings.threads)
        self._worker: CaffeProcess | None = None
        self._version = ""

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        if not self._version:
            raise EngineError("the engine is not loaded")
        return EngineInfo("caffe", self._version, self._settings.device, "f32", self._threads)

    def load(self) -> None:
        """Start the worker and hand it the network; raises as `Engine.load`."""
        self.close()
        _check_names(self._model)
        self._worker = self._start()

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n, classes, h, w) of a batch (n, 3, h, w), both float32; raises as `Engine.predict`."""
        batch = checked_batch(batch)
        if self._worker is None:
            self._worker = self._start()
        try:
            self._worker.send(b"PRED", caffe_worker.pack_array(batch))
            answer = self._worker.receive(b"SCOR")
        except EngineRefusedError:
            raise
        except BaseException:
            self.close()  # it died, or what it sends next would answer this batch
            raise
        try:
            return np.array(caffe_worker.unpack_array(answer), dtype=np.float32)
        except (ValueError, struct.error) as error:
            self.close()
            raise EngineError(f"the Caffe worker sent no array of scores ({error})") from error

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _start(self) -> CaffeProcess:
        settings = {
            "protocol": caffe_worker.PROTOCOL,
            "device": self._settings.device,
            "threads": self._threads,
        }
        try:
            worker = CaffeProcess(self._settings.caffe.command)
        except EngineError as error:
            raise EngineUnavailableError(f"{error}. {_ADVICE}") from error
        try:
            with worker.time_limit(self._settings.caffe.start_timeout_seconds):
                worker.greet()
                worker.send(b"INIT", json.dumps(settings).encode())
                hello = json.loads(worker.receive(b"HELO"))
                worker.send(b"PROT", self._model.prototxt)
                worker.send(b"WGTS", self._model.caffemodel)
                worker.receive(b"REDY")
        except EngineError as error:
            worker.stop()
            raise EngineUnavailableError(f"{error}\n{_ADVICE}") from error
        except BaseException:
            worker.stop()
            raise
        self._version = f"{hello.get('caffe')} on Python {hello.get('python')}"
        return worker


def _check_names(model: ModelFiles) -> None:
    """Refuse weights under other names: Caffe would say nothing and leave such layers at random values."""
    named = {layer.name for layer in read_caffemodel(model.caffemodel)}
    layers = read_deploy(model.prototxt).layers
    without = [
        layer.name
        for layer in layers
        if layer.type in _WEIGHTED and layer.name not in named and not _is_filled(layer)
    ]
    if without:
        raise ModelFormatError(
            model.caffemodel,
            f"holds no weights for {', '.join(without)} of {model.prototxt}, and Caffe goes by the names",
            "Use the deploy prototxt that was released with the weights, or another engine.",
        )


def _is_filled(layer: Layer) -> bool:
    """Whether the prototxt says the weights: a bilinear enlargement, or a Scale with a filler."""
    if layer.type == "Scale":
        return "filler" in layer.params
    filler = layer.params.get("weight_filler", {})
    return layer.type == "Deconvolution" and filler.get("type") == "bilinear"
