"""Which executors there are, and how one is made from the configuration."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pipeline.config import Config
from pipeline.executors.base import Executor

EXECUTORS = {
    "serial": "pipeline.executors.serial:SerialExecutor",
    "process": "pipeline.executors.process:ProcessExecutor",
    "ray": "pipeline.executors.ray_executor:RayExecutor",
}
"""``execution.executor`` in the configuration → ``module:class``; imported when asked for."""


def create_executor(config: Config) -> Executor:
    """Make the executor that a configuration names.

    Raises
    ------
    ConfigError
        Its package is not installed, or no cluster answers.
    """
    module, _, name = EXECUTORS[config.execution.executor].partition(":")
    return cast("type[Executor]", getattr(import_module(module), name))(config)
