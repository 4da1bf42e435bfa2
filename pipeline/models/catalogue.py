"""Networks by name: which there are, where their files lie, whether they are the right ones."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config import NetworkConfig, NotNegative, Positive
from pipeline.environment import command_line
from pipeline.errors import ModelFormatError, ModelMissingError
from pipeline.files import FileHashes
from pipeline.models.places import RECORD_NAME, ModelPlaces, default_places
from pipeline.yaml_text import read_yaml

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
OWN_LICENCE = "your own files; their licence is not known to this program"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Recommended(BaseModel):
    """Settings that belong to a network; those given here are for networks that models.yaml does not know.

    Attributes
    ----------
    max_side_px, interpolation, batch_size
        Keys of ``network``.
    jaw_penalty, jaw_support
        Keys of ``scores``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_side_px: Positive | None = 350
    interpolation: Literal["cubic", "nearest"] = "cubic"
    batch_size: Positive = 8
    jaw_penalty: NotNegative = 80.0
    jaw_support: NotNegative = 1.0


class ModelEntry(BaseModel):
    """One network of models.yaml; that file explains the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    prototxt: str
    caffemodel: str | None
    url: str | None
    archive_bytes: int | None
    archive_sha256: _Sha256 | None
    prototxt_sha256: _Sha256 | None
    caffemodel_sha256: _Sha256 | None
    caffemodel_bytes: int | None
    classes: int
    face_channel: int
    recommends: Recommended = Recommended()
    licence: str


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one network, checked to be there and to be the right ones.

    Attributes
    ----------
    name
        Name in models.yaml, name given to ``add``, or the prototxt's stem.
    prototxt, caffemodel
        Deploy file and weights.
    prototxt_sha256, caffemodel_sha256
        SHA-256 of what is in them, 64 hexadecimal digits.
    licence
        What its owner allows.
    face_channel
        Channel of the score that is the face, 0-based; None: 1 of 2, 15 of 21 (face_seg.cpp), no others.
    """

    name: str
    prototxt: Path
    caffemodel: Path
    prototxt_sha256: str
    caffemodel_sha256: str
    licence: str
    face_channel: int | None = None


def known_models(places: ModelPlaces | None = None) -> dict[str, ModelEntry]:
    """The networks of models.yaml by name.

    Raises
    ------
    ModelFormatError
        models.yaml is damaged.
    ModelMissingError
        It is not there.
    """
    path = (places or default_places()).shipped / "models.yaml"
    try:
        loaded = read_yaml(path.read_text(encoding="utf-8"))
        return {name: ModelEntry.model_validate(entry) for name, entry in loaded["models"].items()}
    except OSError as error:
        raise ModelMissingError(
            path, f"cannot be read ({error.strerror})", "It is part of the program: install that again."
        ) from error
    except (yaml.YAMLError, ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFormatError(
            path, f"is not a list of models ({error})", "Take the program's own."
        ) from error


def resolve_model(
    network: NetworkConfig, *, places: ModelPlaces | None = None, known: FileHashes | None = None
) -> ModelFiles:
    """The files of the network that a configuration names, verified.

    Parameters
    ----------
    network
        ``model`` is a name of models.yaml, a name given to ``add``, or the path of a .prototxt; with a
        path the weights are ``weights`` or lie beside it under the same stem. With a name, ``weights``
        replaces the weights.
    places
        Where networks lie; None: `default_places`.
    known
        What is known of files already; None: nothing.

    Raises
    ------
    ModelMissingError
        A file is not there; says the command that fetches it.
    ModelFormatError
        A file is not the one whose SHA-256 is known.
    """
    if network.model.endswith(".prototxt"):
        prototxt = Path(network.model)
        caffemodel = Path(network.weights) if network.weights else prototxt.with_suffix(".caffemodel")
        require_file(
            prototxt,
            "network.model is the path of a deploy prototxt or a name of `uncrop models list`.",
        )
        require_file(caffemodel, "Put the weights there, or name them in network.weights.")
        return hashed_files(prototxt.stem, prototxt, caffemodel, OWN_LICENCE, known=known)
    places = places or default_places()
    entry = known_models(places).get(network.model)
    if network.weights is not None:
        caffemodel = require_file(Path(network.weights), "network.weights names it; correct the path.")
        prototxt = _prototxt_for(network.model, entry, places)
        return hashed_files(
            network.model,
            prototxt,
            caffemodel,
            OWN_LICENCE,
            entry.face_channel if entry else None,
            known=known,
        )
    if entry is not None and entry.caffemodel is not None:
        hint = (
            "It is part of the program: install that again, or `git checkout -- data/models` in a checkout."
        )
        files = hashed_files(
            network.model,
            require_file(places.shipped / entry.prototxt, hint),
            require_file(places.shipped / entry.caffemodel, hint),
            entry.licence,
            entry.face_channel,
            known=known,
        )
        check_hash(files.prototxt, files.prototxt_sha256, entry.prototxt_sha256, hint)
        check_hash(files.caffemodel, files.caffemodel_sha256, entry.caffemodel_sha256, hint)
        return files
    return recorded_model(network.model, entry, places, known)


def installed(places: ModelPlaces | None = None) -> list[str]:
    """Names of all networks whose files are, or should be, on this disk."""
    places = places or default_places()
    embedded = [name for name, entry in known_models(places).items() if entry.caffemodel is not None]
    return embedded + places.recorded()


def require_file(path: Path, hint: str) -> Path:
    """The path itself if a file is there; else `ModelMissingError` ending with ``hint``."""
    if not path.is_file():
        raise ModelMissingError(path, "no such file", hint)
    return path


def hashed_files(
    name: str,
    prototxt: Path,
    caffemodel: Path,
    licence: str,
    face_channel: int | None = None,
    *,
    known: FileHashes | None = None,
) -> ModelFiles:
    """A network's files with the checksums that they have now."""
    known = known or FileHashes()
    return ModelFiles(
        name, prototxt, caffemodel, known.of(prototxt), known.of(caffemodel), licence, face_channel
    )


def check_hash(path: Path, found: str, expected: str | None, hint: str) -> None:
    """Raise `ModelFormatError` unless the SHA-256 is the expected one, or none is known."""
    if expected is not None and found != expected:
        raise ModelFormatError(
            path, f"is damaged or another file: SHA-256 {found}, expected {expected}", hint
        )


def unknown_model(name: str, places: ModelPlaces) -> ModelMissingError:
    """The error that names the nearest known network."""
    known = list(dict.fromkeys([*known_models(places), *installed(places)]))
    near = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"Did you mean {near[0]!r}?"
        if near
        else f"Known: {', '.join(known)}; or give the path of a .prototxt."
    )
    return ModelMissingError(name, "no network of that name", hint)


def read_record(name: str, places: ModelPlaces) -> dict[str, Any]:
    """What was recorded when a network was fetched or added; empty if it never was."""
    path = places.folder(name) / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFormatError(
            path, f"cannot be read ({error})", "Delete it and fetch or add again."
        ) from error
    return record if isinstance(record, dict) else {}


def recorded_model(
    name: str, entry: ModelEntry | None, places: ModelPlaces, known: FileHashes | None = None
) -> ModelFiles:
    """A network that was fetched or added, against the checksums recorded then."""
    folder = places.folder(name)
    record = read_record(name, places) if NAME_PATTERN.fullmatch(name) else {}
    fetchable = entry is not None and entry.url is not None
    command = command_line("models", "fetch" if fetchable else "add", name)
    hint = f"Run `{command}`." if fetchable else f"Run `{command} DEPLOY.prototxt WEIGHTS.caffemodel`."
    if not record:
        if entry is None:
            raise unknown_model(name, places)
        raise ModelMissingError(folder, f"the weights of {name} are not there", hint)
    prototxt, caffemodel = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    licence = entry.licence if entry else OWN_LICENCE
    channel = entry.face_channel if entry else None
    require_file(prototxt, hint), require_file(caffemodel, hint)
    files = hashed_files(name, prototxt, caffemodel, licence, channel, known=known)
    check_hash(prototxt, files.prototxt_sha256, record.get("prototxt_sha256"), hint)
    check_hash(caffemodel, files.caffemodel_sha256, record.get("caffemodel_sha256"), hint)
    return files


def _prototxt_for(name: str, entry: ModelEntry | None, places: ModelPlaces) -> Path:
    fetched = places.folder(name) / f"{name}.prototxt"
    if fetched.is_file():
        return fetched
    if entry is None:
        raise unknown_model(name, places)
    return require_file(places.shipped / entry.prototxt, "It is part of the program: install that again.")
