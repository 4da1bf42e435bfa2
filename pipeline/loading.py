"""From a configuration to loaded models, and what is said about them in the manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from landmarks.finder import FaceFinder, model_files
from landmarks.model_files import verified_sha256
from landmarks.predictor import LandmarkPredictor, predictor_path
from pipeline.caffe_format.loader import load_caffe, read_network
from pipeline.config import Config
from pipeline.engines.factory import create_engine
from pipeline.errors import ConfigError, ModelFormatError, ModelMissingError, Problem
from pipeline.files import FileHashes, sha256_of
from pipeline.models.catalogue import ModelFiles, resolve_model
from pipeline.models.settling import network_settings
from pipeline.network import FaceNetwork, face_channel_of

_SIZES_TRIED = 33
"""Sizes from the network's own downwards that crops of any size stand for: more than its largest stride."""


def load_finder(config: Config, known: FileHashes | None = None) -> FaceFinder:
    """Load the detectors and the predictor, and hold their files against what is known of them.

    Parameters
    ----------
    config
        ``detector`` and ``landmarks`` are used.
    known
        Files that have been held against it already.

    Raises
    ------
    ModelError
        A file that the configuration can need is missing or damaged.
    """
    settings = config.detector
    path = landmark_model(config)
    landmark_hashes(config, known)
    try:
        return FaceFinder.load(
            predictor=path,
            order=settings.order,
            max_side_px=settings.max_side_px,
            upsample=settings.upsample,
            rescue=settings.rescue,
            cnn_max_side_px=settings.cnn_max_side_px,
        )
    except FileNotFoundError as error:
        raise ModelMissingError("detector", str(error)) from error
    except RuntimeError as error:
        raise _damaged(error) from error


def load_network(config: Config, known: FileHashes | None = None) -> FaceNetwork:
    """Load the network into its engine.

    Parameters
    ----------
    config
        ``network`` and ``engine`` are used.
    known
        What is known of the network's files already.

    Raises
    ------
    ModelError
        The network is missing, damaged, or not one that faces can be segmented with.
    ConfigError
        ``network.scale`` is false, and the network takes inputs of some sizes only.
    EngineUnavailableError
        The engine cannot be had as asked.
    """
    model = resolve_model(config.network, known=known)
    settings = network_settings(config)
    size_wh = input_size_wh(model)
    _check_scale(config, model)
    engine = create_engine(config.engine, model)
    engine.load()
    return FaceNetwork(
        engine,
        size_wh,
        scale=config.network.scale,
        max_side_px=settings.max_side_px,
        mirror=config.network.mirror,
        batch_size=settings.batch_size,
        face_channel=model.face_channel,
        model=model,
    )


def input_size_wh(model: ModelFiles) -> tuple[int, int]:
    """Width and height of a network's input as its deploy prototxt gives them, pixels.

    Raises
    ------
    ModelFormatError
        The input is not one picture of three channels, or nobody knows which channel of the output is the
        face.
    """
    network = read_network(model.prototxt)
    shape = tuple(network.layers[0].params["shape"][0])
    if len(shape) != 4 or shape[1] != 3:
        raise ModelFormatError(
            model.prototxt,
            f"layer {network.layers[0].name!r}: its input has shape {shape or 'unknown'}",
            "A network for colour pictures has one input of shape (n, 3, height, width).",
        )
    face_channel_of(network.num_classes, model.face_channel, str(model.prototxt))
    return int(shape[3]), int(shape[2])


def _check_scale(config: Config, model: ModelFiles) -> None:
    """Refuse ``network.scale: false`` for a network that cannot take crops of any size.

    Raises
    ------
    ConfigError
    """
    if config.network.scale:
        return
    network = read_network(model.prototxt)
    height, width = network.input_shape[2:]
    for less in range(1, _SIZES_TRIED):
        try:
            fits = network.output_shape(height - less, width - less)[2:] == (height - less, width - less)
        except ModelFormatError:
            fits = False
        if not fits:
            message = (
                f"{model.name} takes no input of {width - less}x{height - less}; set network.scale: true"
            )
            raise ConfigError([Problem("config", "network.scale", message)])


def landmark_model(config: Config) -> Path:
    """Path of the 68-point predictor in use.

    Raises
    ------
    ModelMissingError
        It is not there.
    """
    try:
        return predictor_path(config.landmarks.model)
    except FileNotFoundError as error:
        raise ModelMissingError(config.landmarks.model or "landmarks.model", str(error)) from error


def model_hashes(config: Config, known: FileHashes | None = None) -> dict[str, str]:
    """SHA-256 of every model file that a configuration can need, each checked to be the right one.

    Files of the user's own, of which no SHA-256 is known, are read as they will be for the photographs.

    Parameters
    ----------
    config
        What names them.
    known
        What is known of them already; what is found out is added to it.

    Returns
    -------
    dict
        ``network.prototxt``, ``network.caffemodel``, ``landmarks``, and ``detector.FILE`` for every file
        of the detectors that may be asked -> 64 hexadecimal digits.

    Raises
    ------
    ModelError
        A file is missing, damaged, or not the one that is known by its name.
    """
    model = resolve_model(config.network, known=known)
    input_size_wh(model)
    _check_scale(config, model)
    if config.network.weights is not None or config.network.model.endswith(".prototxt"):
        load_caffe(model.prototxt, model.caffemodel)
    landmarks = landmark_hashes(config, known)
    if config.landmarks.model is not None:
        _load_predictor(landmark_model(config))
    return {
        "network.prototxt": model.prototxt_sha256,
        "network.caffemodel": model.caffemodel_sha256,
        **landmarks,
    }


def landmark_hashes(config: Config, known: FileHashes | None = None) -> dict[str, str]:
    """SHA-256 of the files of the predictor and of every detector that may be asked, rescue included.

    HOG has none: its weights are part of dlib's library.

    Parameters
    ----------
    config
        What names them.
    known
        As of `model_hashes`.

    Returns
    -------
    dict
        ``landmarks`` and ``detector.FILE`` -> 64 hexadecimal digits.

    Raises
    ------
    ModelError
        A file is missing, or is not the one that is known by its name.
    """
    predictor = landmark_model(config)
    known = known or FileHashes()
    try:
        files = model_files(config.detector.order, config.detector.rescue)
        own = config.landmarks.model is not None
        return {
            "landmarks": known.of(predictor, sha256_of if own else verified_sha256),
            **{f"detector.{path.name}": known.of(path, verified_sha256) for path in files},
        }
    except FileNotFoundError as error:
        raise ModelMissingError("detector", str(error)) from error
    except OSError as error:
        raise ModelFormatError(predictor, f"cannot be read ({error.strerror})", "Check the file.") from error
    except RuntimeError as error:
        raise _damaged(error) from error


def _load_predictor(path: Path) -> LandmarkPredictor:
    """Load a predictor of the user's own, of which no SHA-256 is known.

    Raises
    ------
    ModelFormatError
    """
    try:
        return LandmarkPredictor(path)
    except RuntimeError as error:
        raise _damaged(error) from error


def _damaged(error: RuntimeError) -> ModelFormatError:
    """The error of landmarks, which begins with its file, as one of the program's."""
    path, _, problem = str(error).partition(": ")
    return ModelFormatError(path, problem)


def describe(config: Config, network: FaceNetwork) -> dict[str, Any]:
    """What really runs: engine, network and its licence."""
    model = network.model
    return {
        "engine": asdict(network.engine.info),
        "network": {
            "name": model.name if model else config.network.model,
            "input_size_wh": network.input_size_wh,
            "licence": model.licence if model else None,
        },
    }
