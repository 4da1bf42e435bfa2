"""Files that come with the program: networks and configurations.

In a checkout they lie in ``data/models`` and ``configs``; an installation has them in this folder (setup.py
maps one to the other). They are only ever read.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]


def _folder(name: str, in_checkout: str) -> Path:
    installed = _HERE / name
    return installed if installed.is_dir() else _CHECKOUT / in_checkout


MODELS = _folder("models", "data/models")
"""models.yaml, the embedded network, and deploy files of networks that are fetched."""

CONFIGS = _folder("configs", "configs")
"""default.yaml, which names every key, and the configurations that extend it."""
