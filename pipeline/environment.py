"""What ran where: versions and machine, for ``run.json``."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from pipeline import __version__

PACKAGES = ("numpy", "opencv-python-headless", "dlib-bin", "pillow", "onnx", "onnxruntime", "openvino", "ray")


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
