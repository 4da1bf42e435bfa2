"""Every detector and landmark model by its name. Literal, so that one can read and search it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the names are asked for before anything heavy is loaded
    from landmarks.base import Detector, LandmarkModel, SearchSettings

DETECTORS: Final[dict[str, str]] = {
    "joint": "landmarks.joint:JointDetector",
    "blazeface": "landmarks.blazeface:BlazeFaceDetector",
    "centerface": "landmarks.centerface:CenterFaceDetector",
    "hog": "landmarks.hog:HogDetector",
    "cnn": "landmarks.cnn:CnnDetector",
}

LANDMARK_MODELS: Final[dict[str, str]] = {"dlib": "landmarks.predictor:LandmarkPredictor"}


def create_detector(name: str, settings: SearchSettings) -> Detector:
    """Make a detector; its models are loaded and checked.

    Raises
    ------
    ValueError
        Nothing of that name is known.
    FileNotFoundError, RuntimeError
        A model is missing or damaged.
    """
    detector: Detector = _class_of("detector", name, DETECTORS)(settings)
    return detector


def create_landmark_model(name: str, path: Path) -> LandmarkModel:
    """Make a landmark model from its file.

    Raises
    ------
    ValueError
        Nothing of that name is known.
    FileNotFoundError, RuntimeError
        The file is missing or damaged.
    """
    model: LandmarkModel = _class_of("landmark model", name, LANDMARK_MODELS)(path)
    return model


def detector_files(name: str) -> list[Path]:
    """Paths of the model files that a detector reads, checked to be there; nothing is loaded.

    Raises
    ------
    ValueError
        Nothing of that name is known.
    FileNotFoundError
        A file is missing.
    """
    files: list[Path] = _class_of("detector", name, DETECTORS).model_files()
    return files


def _class_of(kind: str, name: str, known: dict[str, str]) -> Any:
    if name not in known:
        raise ValueError(f"{kind}: one of {', '.join(known)} is expected, got {name!r}")
    module, _, attribute = known[name].partition(":")
    return getattr(import_module(module), attribute)
