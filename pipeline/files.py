"""Paths and files, for everything above: how a path is shown, and the one way a file is written whole."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

LEFTOVER_PREFIX = ".uncrop-tmp-"
"""How the names of unfinished files begin."""

_PROCESS = secrets.token_hex(6)
"""Tells this process from those of the same number on other machines that write to the same disk."""

_counter = itertools.count()


def printable(path: str | PathLike[str]) -> str:
    r"""Show a path on one line: bytes that are no text and control characters become ``\x..``."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileHashes:
    """SHA-256 of files, each read when it is first asked for and again only after it has changed; it pickles.

    A file is taken for unchanged as long as it has the same size, time of change and number on its disk.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def of(self, path: Path, read: Callable[[Path], str] = sha256_of) -> str:
        """SHA-256 of a file as 64 hexadecimal digits.

        Parameters
        ----------
        path
            The file.
        read
            Reads it where it is not known: `sha256_of`, or what also holds it against what it should be.

        Raises
        ------
        OSError
            It is not there.
        """
        path = path.absolute()
        status = path.stat()
        mark = (status.st_size, status.st_mtime_ns, status.st_ino)
        known_mark, sha256 = self._known.get(path, (None, ""))
        if known_mark != mark:
            sha256 = read(path)
            self._known[path] = (mark, sha256)
        return sha256


def write_whole(path: Path, content: Iterable[bytes], *, sync: bool = False) -> None:
    """Write a file that appears whole or not at all; see `whole_file`.

    Parameters
    ----------
    path
        Where to; missing folders are made.
    content
        All of it, in pieces.
    sync
        Wait until it is on the disk.

    Raises
    ------
    OSError
        Something failed; the file is as it was.
    """
    with whole_file(path, sync=sync) as file:
        file.writelines(content)


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary in a file's folder that takes the file's place if the block ends well.

    Parameters
    ----------
    path
        The file; missing folders are made.
    sync
        Wait until it is on the disk.

    Yields
    ------
    BinaryIO
        Open for writing.

    Raises
    ------
    OSError
        Something failed; the file is as it was, and nothing is left behind but what a kill or a dead disk
        leaves, whose name begins with `LEFTOVER_PREFIX`.
    """
    temporary = path.with_name(f"{LEFTOVER_PREFIX}{_PROCESS}-{os.getpid()}-{next(_counter)}")
    try:
        try:
            file = temporary.open("xb")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = temporary.open("xb")
        with file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file or, where the system can, a folder; freed when the process dies.

    Parameters
    ----------
    path
        A folder, or a file; a file is made if it is not there.
    wait
        Wait for another holder.

    Raises
    ------
    BlockingIOError
        Another holds it, and ``wait`` is false.
    OSError
        No lock is to be had there.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags, 0o666)
    try:
        _lock(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait: bool) -> None:
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - this system only

        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - these systems only

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
