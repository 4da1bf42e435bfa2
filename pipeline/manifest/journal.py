"""The manifest: one line of JSON a photograph in ``manifest.jsonl``, one ``run.json`` about the last run.

During a run finished photographs are appended as whole lines; a line that a kill cut off is removed at the
next start. At the end the file is written anew, sorted by name, so that it does not depend on the executor,
on the number of workers, or on how often the run was killed (``seconds`` aside). A later line of a name
replaces an earlier one. Photographs of earlier runs into the same directory keep their lines.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pipeline.files import append_whole
from pipeline.manifest.schema import Record, parsed
from pipeline.output_directory import RUN_NAME
from pipeline.outputs import output_error, write_atomically

MANIFEST_NAME = "manifest.jsonl"
DONE = ("ok", "no_face")

_SYNC_INTERVAL_SECONDS = 1.0

_BEGINNING = re.compile(rb'\{(?:"schema":\d+,"program":"[^"\\]*",)?"name":("(?:[^"\\]|\\.)*"),')
"""How lines of this form and of the first one begin."""


class Manifest:
    """``manifest.jsonl`` while a run appends to it. Only places of lines are held in memory, not the lines.

    Parameters
    ----------
    directory
        The output directory; it exists.

    Raises
    ------
    OutputError
        The file cannot be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / MANIFEST_NAME
        self._places: dict[str, tuple[int, int]] = {}
        self._size = 0
        self._synced = time.monotonic()
        with self._errors():
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._repair()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, name: str) -> Record | None:
        """Return the last record of a name, or None."""
        place = self._places.get(name)
        if place is None:
            return None
        return parsed(self._read(*place))

    def append(self, record: Record) -> None:
        """Add the record of a finished photograph as one whole line.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        line = to_line(record)
        with self._errors():
            append_whole(self._descriptor, line)
            if time.monotonic() - self._synced > _SYNC_INTERVAL_SECONDS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()
        self._places[record["name"]] = (self._size, len(line))
        self._size += len(line)

    def finish(self) -> None:
        """Write the file anew: the last record of every name, sorted by name.

        Raises
        ------
        OutputError
            It cannot be written; the unsorted file stays.
        """
        names = sorted(self._places)
        starts = [self._places[name][0] for name in names]
        if starts != sorted(starts) or self._size != sum(length for _, length in self._places.values()):
            write_atomically(self.path, (self._read(*self._places[name]) for name in names), sync=True)
            os.close(self._descriptor)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
            self._repair()
        with self._errors():
            os.fsync(self._descriptor)

    def _repair(self) -> None:
        """Note where the lines are, and drop a last one that a kill cut off."""
        self._places.clear()
        self._size = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._descriptor, self._size)
                    break
                record = parsed(line)
                if record is not None:
                    self._places[record["name"]] = (self._size, len(line))
                self._size += len(line)

    def _read(self, start: int, length: int) -> bytes:
        os.lseek(self._descriptor, start, os.SEEK_SET)
        return os.read(self._descriptor, length)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise output_error(self.path, error) from error


def to_line(record: Mapping[str, Any]) -> bytes:
    """One line of JSON Lines: ASCII, compact, with a newline; NaN and infinity are refused."""
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def read_manifest(directory: Path) -> Iterator[Record]:
    """Yield the last record of every photograph, sorted by name; also while a run is under way.

    Nothing where there is no manifest.

    Raises
    ------
    OSError
        The manifest cannot be read.
    """
    places: dict[str, int] = {}
    path = directory / MANIFEST_NAME
    if not path.exists():
        return
    with path.open("rb") as file:
        start = 0
        for line in file:
            name = _name_of(line)
            if name is not None:
                places[name] = start
            start += len(line)
        for name in sorted(places):
            file.seek(places[name])
            record = parsed(file.readline()) or _last_whole(path, name)
            if record is not None:
                yield record


def _name_of(line: bytes) -> str | None:
    """Name of a line's photograph, without reading all of the line where it begins as ours do."""
    begins = _BEGINNING.match(line)
    if begins is not None and line.endswith(b"}\n"):
        try:
            name: str = json.loads(begins[1])
        except ValueError:
            return None
        return name
    record = parsed(line)
    return None if record is None else record["name"]


def _last_whole(path: Path, name: str) -> Record | None:
    """The last record of a photograph whose very last line turned out to be none."""
    found = None
    with path.open("rb") as file:
        for line in file:
            if _name_of(line) == name:
                found = parsed(line) or found
    return found


def write_run(directory: Path, run: Mapping[str, Any]) -> None:
    """Write ``run.json``.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    text = json.dumps(run, allow_nan=False, indent=2)
    write_atomically(directory / RUN_NAME, [text.encode("ascii"), b"\n"], sync=True)


def read_run(directory: Path) -> dict[str, Any]:
    """Return the contents of ``run.json``; empty if there is none or it makes no sense."""
    try:
        loaded = json.loads((directory / RUN_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
