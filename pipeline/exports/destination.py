"""Where an export is written: a folder that appears whole or not at all, and what all formats put into it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import OutputError, UsageError
from pipeline.exports.values import ExportPhoto, ExportSettings
from pipeline.files import LEFTOVER_PREFIX
from pipeline.output_pictures import encode_picture
from pipeline.outputs import output_error

MARK_NAME = ".uncrop-export.json"
"""Tells a folder that an export may replace; hidden, so that no reader takes it for data."""

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """A folder to write an export into, beside its destination; in its place once all is written.

    An earlier export there is replaced.

    Raises
    ------
    UsageError
        Something else stands at the destination.
    OutputError
        It cannot be written.
    """
    if os.path.lexists(destination) and not _replaceable(destination):
        raise UsageError(f"{destination}: is there already and holds no earlier export; name another folder")
    building = destination.with_name(f"{LEFTOVER_PREFIX}export-{secrets.token_hex(6)}")
    try:
        building.mkdir(parents=True)
        try:
            yield building
            old = destination.with_name(f"{LEFTOVER_PREFIX}export-{secrets.token_hex(6)}")
            if destination.exists():
                destination.rename(old)
            building.rename(destination)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise output_error(Path(error.filename or destination), error) from error


def _replaceable(destination: Path) -> bool:
    if not destination.is_dir():
        return False
    return (destination / MARK_NAME).is_file() or next(destination.iterdir(), None) is None


class JsonArray:
    """A JSON array in a file, written item by item, one a line.

    Parameters
    ----------
    file
        Where to; ASCII is written.
    before
        What stands before the array in it.
    """

    def __init__(self, file: TextIO, before: str = "") -> None:
        self.path = Path(file.name)
        self._file = file
        self._empty = True
        self._file.write(f"{before}[")

    def add(self, item: Any) -> None:
        """Write one more item."""
        self.add_text(to_json(item))

    def add_text(self, text: str) -> None:
        """Write one more item, whose JSON is given."""
        self._file.write("\n" if self._empty else ",\n")
        self._file.write(text)
        self._empty = False

    def close(self, after: str = "") -> None:
        """End the array and the file."""
        self._file.write(f"\n]{after}")
        self._file.close()


def append_file(path: Path, more: Path) -> None:
    """Move what one file holds to the end of another."""
    with path.open("ab") as file, more.open("rb") as source:
        shutil.copyfileobj(source, file)
    more.unlink()


def to_json(value: Any) -> str:
    """Compact JSON in ASCII; NaN and infinity are refused."""
    return _ENCODER.encode(value)


def place_photo(photo: ExportPhoto, target: Path, settings: ExportSettings) -> None:
    """Bring a photograph's file, or the picture of a frame, to where a format wants it.

    Parameters
    ----------
    photo
        The photograph or frame.
    target
        The file to make.
    settings
        Say whether and how.

    Raises
    ------
    UsageError
        The photograph is no longer there.
    OutputError
        The frame cannot be written.
    """
    if not settings.places(photo):
        return
    if photo.frame is None and not Path(photo.path).is_file():
        raise UsageError(f"{photo.path}: is no longer there; bring it back, or export with --images none")
    target.parent.mkdir(parents=True, exist_ok=True)
    if photo.frame is not None:
        if photo.frame.pixels is None:
            raise ValueError(f"{photo.file_name}: its pixels were not read")
        target.write_bytes(encode_picture(f".{settings.frames}", photo.frame.pixels))
    elif settings.images == "link":
        target.symlink_to(photo.path)
    else:
        shutil.copyfile(photo.path, target)


def unused(path: Path, photo: ExportPhoto) -> Path:
    """A path for a file of a photograph: itself, or with the photograph's suffix where that is taken.

    ``1.jpg`` and ``1.png`` in one folder would both be labelled ``1.txt``; the second becomes ``1_png.txt``.
    """
    if not path.exists():
        return path
    suffix = Path(photo.tree_name).suffix.removeprefix(".")
    other = path.with_name(f"{path.stem}_{suffix}{path.suffix}")
    if other.exists():
        raise OutputError(other, "two photographs want this name", "Rename one of them, and run both again")
    return other
