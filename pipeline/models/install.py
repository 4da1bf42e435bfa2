"""Getting a network's files into the models folder: from its address, or from files at hand."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.caffe_format import load_caffe
from pipeline.config import NetworkConfig
from pipeline.errors import ModelError, ModelFormatError
from pipeline.models.catalogue import (
    MODELS_DIRECTORY,
    NAME_PATTERN,
    OWN_LICENCE,
    ModelEntry,
    ModelFiles,
    check_hash,
    hashed_files,
    known_models,
    model_folder,
    read_record,
    recorded_model,
    require_file,
    resolve_model,
    sha256_of,
    unknown_model,
)
from pipeline.models.downloads import download, unpack


def fetch(name: str, *, directory: Path = MODELS_DIRECTORY, quiet: bool = False) -> ModelFiles:
    """Download a network of models.yaml, unpack it, check it, and record its checksums.

    An archive that was put beside the record by hand is taken instead of a download.

    Raises
    ------
    ModelMissingError
        No such name, or the download failed; says what to do by hand.
    ModelFormatError
        The archive or what is in it is damaged, dangerous, or not what was recorded.
    """
    entry = known_models(directory).get(name)
    if entry is None:
        raise unknown_model(name, directory)
    if entry.url is None:
        return resolve_model(NetworkConfig(model=name), directory=directory)
    if (model_folder(name, directory) / "model.json").is_file():
        try:
            return recorded_model(name, entry, directory)
        except ModelError as error:
            print(f"{error}\nFetching it again.", file=sys.stderr)
            _forget_unreadable_record(name, directory)
    archive = model_folder(name, directory) / Path(urlsplit(entry.url).path).name
    if not archive.is_file():
        manual = (
            f"Without a network: download {entry.url} elsewhere, put it at {archive} and run "
            f"`python -m pipeline.models fetch {name}` again; or unpack it and run "
            f"`python -m pipeline.models add {name} DEPLOY.prototxt WEIGHTS.caffemodel`."
        )
        download(entry.url, archive, manual=manual, quiet=quiet)
    recorded = read_record(name, directory).get("archive", {})
    archive_sha256 = sha256_of(archive)
    expected = entry.archive_sha256 or (recorded.get("sha256") if recorded.get("url") == entry.url else None)
    sizes = {entry.archive_bytes, archive.stat().st_size} - {None}
    if len(sizes) > 1 or expected not in (None, archive_sha256):
        archive.unlink()
        wanted = expected or f"{entry.archive_bytes} bytes"
        problem = f"has SHA-256 {archive_sha256}, expected {wanted}; it was deleted"
        raise ModelFormatError(archive, problem, f"Run `python -m pipeline.models fetch {name}` again.")
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacked-") as scratch:
        unpacked = Path(scratch) / "files"
        try:
            unpack(archive, unpacked)
        except ModelFormatError:
            archive.unlink()
            raise
        source = {"url": entry.url, "sha256": archive_sha256, "bytes": archive.stat().st_size}
        prototxt = _deploy_in(unpacked) or directory / entry.prototxt
        files = _place(name, prototxt, _weights_in(unpacked, archive), entry, directory, source)
    archive.unlink()
    return files


def _forget_unreadable_record(name: str, directory: Path) -> None:
    try:
        read_record(name, directory)
    except ModelFormatError:
        (model_folder(name, directory) / "model.json").unlink()


def add(name: str, prototxt: Path, caffemodel: Path, *, directory: Path = MODELS_DIRECTORY) -> ModelFiles:
    """Copy a network's files into the models folder under a name, checked and with their checksums recorded.

    Raises
    ------
    ModelMissingError, ModelFormatError
        A file is missing, cannot be read as a network, or is not what models.yaml says of that name.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ModelFormatError(name, "is not a name for a network", "Use letters, digits, '_', '-' and '.'.")
    entry = known_models(directory).get(name)
    if entry is not None and entry.url is None:
        raise ModelFormatError(name, "is the embedded network's name", "Choose another name.")
    require_file(prototxt, "Give the path of the deploy prototxt.")
    require_file(caffemodel, "Give the path of the weights.")
    return _place(name, prototxt, caffemodel, entry, directory, None)


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
    directory: Path,
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
    folder = model_folder(name, directory)
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": name,
        "prototxt_sha256": files.prototxt_sha256,
        "caffemodel_sha256": files.caffemodel_sha256,
        "archive": archive or read_record(name, directory).get("archive", {}),
    }
    for source, suffix in ((prototxt, ".prototxt"), (caffemodel, ".caffemodel")):
        target = folder / f"{name}{suffix}"
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target.with_name(target.name + ".new"))
            target.with_name(target.name + ".new").replace(target)
    new = folder / "model.json.new"
    new.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    new.replace(folder / "model.json")
    return recorded_model(name, entry, directory)
