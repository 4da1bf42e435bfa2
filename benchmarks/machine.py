"""What a measurement was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("numpy", "onnxruntime", "openvino", "opencv-python-headless", "dlib-bin")
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "neon", "asimd", "bf16")


def describe_machine() -> dict[str, Any]:
    """Processor, memory, system, versions, and how busy it was; all JSON values."""
    facts = _cpu_facts()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in _FEATURES if name in facts.get("flags", "").split()],
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "load_average_at_start": round(psutil.getloadavg()[0], 2),
    }


def peak_memory_bytes(pid: int) -> int:
    """Most memory that a living process held so far, bytes (VmHWM on Linux; elsewhere what it holds now)."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(psutil.Process(pid).memory_info().rss)


def _cpu_facts() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
