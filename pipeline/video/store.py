"""What the passes over a clip write down for one another: a folder a clip, a file a chunk.

A file that is there is whole, so a run that was killed goes on with what is missing. The folder's name tells
the clip, the folder in it its content and settings: files of another content or other settings are not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.files import whole_file
from pipeline.outputs import WORK_FOLDER, output_error, write_atomically
from pipeline.video.timeline import Timeline


class Store:
    """The files of one clip on its way.

    Parameters
    ----------
    output_directory
        Of the run.
    name
        Of the clip.
    key
        Digest of the clip's content and of all settings that shape its results.
    """

    def __init__(self, output_directory: Path, name: str, key: str) -> None:
        self.clip_folder = output_directory / WORK_FOLDER / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.folder = self.clip_folder / key[:16]

    def path(self, kind: str, chunk: int | None = None) -> Path:
        """Path of a file: ``kind`` such as ``found``; of one chunk, if it is one a chunk."""
        return self.folder / (kind if chunk is None else f"{chunk:06d}.{kind}")

    def has(self, kind: str, chunk: int | None = None) -> bool:
        """Whether it has been written."""
        return self.path(kind, chunk).exists()

    def write(self, kind: str, lines: Iterable[Mapping[str, Any]], chunk: int | None = None) -> None:
        """Write a file of JSON lines.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        write_atomically(self.path(kind, chunk), (to_json_line(line) for line in lines))

    def read(self, kind: str, chunk: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the lines of a file."""
        yield from read_json_lines(self.path(kind, chunk))

    def coded(self, kind: str, chunk: int | None = None) -> Iterator[bytes]:
        """Yield the lines of a file as they are written."""
        with self.path(kind, chunk).open("rb") as file:
            yield from file

    def timeline(self) -> Timeline:
        """The clip's timeline, which the first stage has written."""
        return _timeline(str(self.path("timeline")))

    def forget_others(self) -> None:
        """Remove what was written for another content or other settings."""
        for other in self.clip_folder.iterdir() if self.clip_folder.is_dir() else ():
            if other.name != self.folder.name:
                remove_folder(other)

    def remove(self) -> None:
        """Remove all of the clip's files: it is done."""
        remove_folder(self.clip_folder)


def remove_work_folder(output_directory: Path) -> None:
    """Remove the folder of all clips at the end of a run, unless some are to be gone on with."""
    with suppress(OSError):
        (output_directory / WORK_FOLDER).rmdir()


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """A temporary path beside a file, which takes the file's place when all went well.

    Raises
    ------
    OutputError
        The file can't be written.
    """
    try:
        with whole_file(path) as file:
            yield Path(file.name)
    except OSError as error:  # of PyAV, too: its errors are both
        raise output_error(path, error) from error


def to_json_line(values: Mapping[str, Any]) -> bytes:
    """One line of JSON Lines: ASCII, compact, with a newline; NaN and infinity are refused."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON Lines, one at a time."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


@lru_cache(maxsize=2)
def _timeline(path: str) -> Timeline:
    return Timeline.from_json(next(read_json_lines(Path(path))))


def remove_folder(path: Path) -> None:
    """Remove a folder with all in it, if it is there.

    Raises
    ------
    OutputError
        It can't be removed.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise output_error(Path(os.fspath(error.filename or path)), error) from error
