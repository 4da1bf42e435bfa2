"""The executors by name. A new one is a module with a class like `executors.base.Executor`, and a line."""

EXECUTORS = {
    "serial": "pipeline.executors.serial:SerialExecutor",
    "process": "pipeline.executors.process:ProcessExecutor",
    "ray": "pipeline.executors.ray_executor:RayExecutor",
}
"""``execution.executor`` in the configuration → ``module:class``, called with the configuration."""
