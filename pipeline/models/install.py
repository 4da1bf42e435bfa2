"""Getting a network's files into the models folder: from its address, or from files at hand."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.caffe_format import load_caffe
from pipeline.config import NetworkConfig
from pipeline.environment import command_line
from pipeline.errors import ModelError, ModelFormatError
from pipeline.files import sha256_of, write_whole
from pipeline.models.catalogue import (
    NAME_PATTERN,
    OWN_LICENCE,
    ModelEntry,
    ModelFiles,
    check_hash,
    hashed_files,
    known_models,
    read_record,
    recorded_model,
    require_file,
    resolve_model,
    unknown_model,
)
from pipeline.models.downloads import download, unpack
from pipeline.models.places import RECORD_NAME, ModelPlaces, default_places

_PIECE_BYTES = 1 << 20

_log = logging.getLogger(__name__)


def fetch(name: str, *, places: ModelPlaces | None = None, quiet: bool = False) -> ModelFiles:
    """Download a network of models.yaml, unpack it, check it, and record its checksums.

    An archive that was put beside the record by hand is taken instead of a download.

    Raises
    ------
    ModelMissingError
        No such name, or the download failed; says what to do by hand.
    ModelFormatError
        The archive or what is in it is damaged, dangerous, or not what was recorded.
    """
    places = places or default_places()
    entry = known_models(places).get(name)
    if entry is None:
        raise unknown_model(name, places)
    if entry.url is None:
        return resolve_model(NetworkConfig(model=name), places=places)
    if name in places.recorded():
        try:
            return recorded_model(name, entry, places)
        except ModelError as error:
            _log.warning("%s Fetching it again.", error)
    archive = places.fetched / name / Path(urlsplit(entry.url).path).name
    if not archive.is_file():
        manual = (
            f"Without a network: download {entry.url} elsewhere, put it at {archive} and run "
            f"`{command_line('models', 'fetch', name)}` again; or unpack it and run "
            f"`{command_line('models', 'add', name)} DEPLOY.prototxt WEIGHTS.caffemodel`."
        )
        download(entry.url, archive, manual=manual, quiet=quiet)
    recorded = _recorded_archive(name, places)
    archive_sha256 = sha256_of(archive)
    expected = entry.archive_sha256 or (recorded.get("sha256") if recorded.get("url") == entry.url else None)
    sizes = {entry.archive_bytes, archive.stat().st_size} - {None}
    if len(sizes) > 1 or expected not in (None, archive_sha256):
        archive.unlink()
        wanted = expected or f"{entry.archive_bytes} bytes"
        problem = f"has SHA-256 {archive_sha256}, expected {wanted}; it was deleted"
        raise ModelFormatError(archive, problem, f"Run `{command_line('models', 'fetch', name)}` again.")
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacked-") as scratch:
        unpacked = Path(scratch) / "files"
        try:
            unpack(archive, unpacked)
        except ModelFormatError:
            archive.unlink()
            raise
        source = {"url": entry.url, "sha256": archive_sha256, "bytes": archive.stat().st_size}
        prototxt = _deploy_in(unpacked) or places.shipped / entry.prototxt
        files = _place(name, prototxt, _weights_in(unpacked, archive), entry, places, source)
    archive.unlink()
    return files


def _recorded_archive(name: str, places: ModelPlaces) -> dict[str, Any]:
    """Which archive a network came from; empty if it never was fetched, or the record is damaged."""
    try:
        return dict(read_record(name, places).get("archive", {}))
    except ModelFormatError:
        return {}


def add(name: str, prototxt: Path, caffemodel: Path, *, places: ModelPlaces | None = None) -> ModelFiles:
    """Copy a network's files into the models folder under a name, checked and with their checksums recorded.

    Raises
    ------
    ModelMissingError, ModelFormatError
        A file is missing, cannot be read as a network, or is not what models.yaml says of that name.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ModelFormatError(name, "is not a name for a network", "Use letters, digits, '_', '-' and '.'.")
    places = places or default_places()
    entry = known_models(places).get(name)
    if entry is not None and entry.url is None:
        raise ModelFormatError(name, "is the embedded network's name", "Choose another name.")
    require_file(prototxt, "Give the path of the deploy prototxt.")
    require_file(caffemodel, "Give the path of the weights.")
    return _place(name, prototxt, caffemodel, entry, places, None)


def _weights_in(folder: Path, archive: Path) -> Path:
    found = sorted(folder.rglob("*.caffemodel"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelFormatError(
            archive, f"should hold one .caffemodel, holds {names}", "Unpack it and use `add`."
        )
    return found[0]


def _deploy_in(folder: Path) -> Path | None:
    found = sorted(folder.rglob("*deploy*.prototxt"))
    return found[0] if len(found) == 1 else None


def _place(
    name: str,
    prototxt: Path,
    caffemodel: Path,
    entry: ModelEntry | None,
    places: ModelPlaces,
    archive: dict[str, Any] | None,
) -> ModelFiles:
    """Check files, put them into the network's folder, record their checksums; the record is written last."""
    licence = entry.licence if entry else OWN_LICENCE
    files = hashed_files(name, prototxt, caffemodel, licence, entry.face_channel if entry else None)
    if entry is not None:
        hint = "Get the released files again."
        if caffemodel.stat().st_size < (entry.caffemodel_bytes or 0):
            problem = (
                f"is cut off: {caffemodel.stat().st_size} bytes, at least {entry.caffemodel_bytes} expected"
            )
            raise ModelFormatError(caffemodel, problem, hint)
        check_hash(caffemodel, files.caffemodel_sha256, entry.caffemodel_sha256, hint)
    classes = load_caffe(prototxt, caffemodel).num_classes
    if entry is not None and classes != entry.classes:
        problem = f"scores {classes} classes, {name} has {entry.classes}"
        raise ModelFormatError(prototxt, problem, "Use the deploy file that belongs to it.")
    folder = places.fetched / name
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": name,
        "prototxt_sha256": files.prototxt_sha256,
        "caffemodel_sha256": files.caffemodel_sha256,
        "archive": archive or _recorded_archive(name, places),
    }
    for source, suffix in ((prototxt, ".prototxt"), (caffemodel, ".caffemodel")):
        target = folder / f"{name}{suffix}"
        if source.resolve() != target.resolve():
            with source.open("rb") as file:
                write_whole(target, iter(lambda: file.read(_PIECE_BYTES), b""))
    write_whole(folder / RECORD_NAME, [json.dumps(record, indent=2).encode(), b"\n"])
    return recorded_model(name, entry, places)
