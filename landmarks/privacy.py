"""What libraries would report to their makers is switched off here, before any of them is loaded.

`landmarks` and `pipeline` (and with it the commands, the workers, training and benchmarks) import this first.
Photographs are private: nothing that is known of them, of the machine or of its user leaves it, and no
identifier is written. Downloads happen only where the user asks for one (``uncrop models fetch``).

Read in the sources of the releases that the lock files name:

* ONNX Runtime 1.31 writes a device number and a store of events below ``~/.cache/Microsoft`` and sends them,
  on Linux too, unless ``ORT_DISABLE_TELEMETRY`` is set when it is loaded.
* OpenVINO 2026.4 tells Google Analytics when it is imported and writes a client number to ``~/intel``, unless
  the package openvino_telemetry cannot be imported. It listens to no variable.
* Ray 2.60 reports how a cluster is used; ``RAY_USAGE_STATS_ENABLED=0``. What else it does where it starts a
  cluster of this machine, `pipeline.executors.ray_executor` answers for.
* huggingface_hub 2.4, by which tests read exports back: ``HF_HUB_DISABLE_TELEMETRY``.

NumPy, OpenCV, dlib, Pillow and its plugins, scikit-image, onnx, pydantic, tqdm, psutil, PyAV, FastAPI,
uvicorn, prometheus_client and PyTorch report nothing.
"""

import os
import sys

ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Variables that are set whatever they were; what a process starts inherits them."""

BLOCKED = ("openvino_telemetry",)
"""Packages that only report. Who asks for one is told that it is not installed, and does without."""


def report_nothing() -> None:
    """Switch off what reports; a package that was loaded before cannot be helped.

    Changes ``os.environ`` and ``sys.modules`` of this process, as often as it is called to the same effect.
    """
    os.environ.update(ENVIRONMENT)
    for name in BLOCKED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # so Python is told
