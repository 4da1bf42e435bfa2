"""Where the program runs: the cores it may use, the user's folders, versions and machine for ``run.json``."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from pipeline.version import __version__

PACKAGES = ("numpy", "opencv-python-headless", "dlib-bin", "pillow", "onnx", "onnxruntime", "openvino", "ray")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group (v2 and v1)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for path in (CONTROL_GROUP / "cpu.max", CONTROL_GROUP / "cpu" / "cpu.cfs_quota_us"):
        try:
            quota, *period = path.read_text(encoding="ascii").split()
            period = period or [path.with_name("cpu.cfs_period_us").read_text(encoding="ascii")]
            if quota not in ("max", "-1"):
                cores = min(cores, max(1, round(int(quota) / int(period[0]))))
        except (OSError, ValueError):
            continue
    return cores


def cache_directory() -> Path:
    """Where what can be made again is kept: ``$XDG_CACHE_HOME/uncrop``, or ``~/.cache/uncrop``.

    XDG Base Directory Specification; on every system, so that one place can be named.
    """
    return _user_directory("XDG_CACHE_HOME", "~/.cache")


def data_directory() -> Path:
    """Where what the user fetched is kept: ``$XDG_DATA_HOME/uncrop``, or ``~/.local/share/uncrop``."""
    return _user_directory("XDG_DATA_HOME", "~/.local/share")


def _user_directory(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    return (Path(base) if Path(base).is_absolute() else Path(default).expanduser()) / "uncrop"


def command_line(*words: str) -> str:
    """A command of this program for a message, as it can be typed where the program was started.

    Parameters
    ----------
    words
        The subcommand and its arguments.

    Returns
    -------
    str
        With ``uncrop`` in front if that is how it was started, else with ``python -m pipeline``.
    """
    start = ["uncrop"] if Path(sys.argv[0]).stem == "uncrop" else ["python", "-m", "pipeline"]
    return shlex.join([*start, *words])


def describe_program() -> dict[str, Any]:
    """Versions of this program, Python and the packages that shape results."""
    packages: dict[str, str] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"uncrop": __version__, "python": platform.python_version(), "packages": packages}


def describe_machine() -> dict[str, Any]:
    """System, processor, cores and memory."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
