"""Making the engine that a configuration names; its module is imported then, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from pipeline.engines.registry import ENGINES

if TYPE_CHECKING:
    from pipeline.config import EngineConfig
    from pipeline.engines.base import Engine
    from pipeline.models.catalogue import ModelFiles


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
