"""Making the executor that a configuration names; its module is imported then, not before."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pipeline.config import Config
from pipeline.executors.base import Executor
from pipeline.executors.registry import EXECUTORS


def create_executor(config: Config) -> Executor:
    """Make the executor that a configuration names.

    Raises
    ------
    ConfigError
        Its package is not installed, or no cluster answers.
    """
    module, _, name = EXECUTORS[config.execution.executor].partition(":")
    return cast("type[Executor]", getattr(import_module(module), name))(config)
