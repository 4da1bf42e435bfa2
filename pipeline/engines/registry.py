"""The engines by name. An engine's module is imported when it is asked for, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pipeline.config import EngineConfig
    from pipeline.engines.base import Engine
    from pipeline.models.catalogue import ModelFiles

ENGINES: dict[str, str] = {
    "onnxruntime": "pipeline.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "openvino": "pipeline.engines.openvino_engine:OpenVinoEngine",
    "caffe": "pipeline.engines.caffe_engine:CaffeEngine",
    "constant": "pipeline.engines.constant:ConstantEngine",
}
"""Engine name in the configuration → ``module:class``, called with (settings, model)."""


def create_engine(settings: EngineConfig, model: ModelFiles) -> Engine:
    """Make the engine that a configuration asks for; nothing is loaded before `Engine.load`.

    Parameters
    ----------
    settings
        The ``engine`` section.
    model
        The network to run, see `pipeline.models.catalogue.resolve_model`.

    Returns
    -------
    Engine
    """
    module, _, name = ENGINES[settings.name].partition(":")
    return cast("Engine", getattr(import_module(module), name)(settings, model))
