"""Paths and files, for everything above: how a path is read and shown, and how a file is written whole."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

LEFTOVER_PREFIX = ".uncrop-tmp-"
"""How the names of unfinished files begin."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""What a text may begin with, and the encoding that it tells (Unicode 16, 23.8)."""

_PROCESS = secrets.token_hex(6)
"""Tells this process from those of the same number on other machines that write to the same disk."""

_counter = itertools.count()


def printable(path: str | PathLike[str]) -> str:
    r"""Show a path on one line: bytes that are no text and control characters become ``\x..``."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def expanded(text: str) -> str:
    """A path with ``~`` and ``${NAME}`` replaced as a shell does it; a file that is called so stays as it is.

    ``@`` and ``@0:`` in front, which mark list files, stay in front.

    Raises
    ------
    ValueError
        There is no such user or variable.
    """
    mark = next((mark for mark in ("@0:", "@") if text.startswith(mark)), "")
    path = text.removeprefix(mark)
    if os.path.lexists(text) or os.path.lexists(path):
        return text
    for name in re.findall(r"\$\{([^}]*)\}", path):
        if name not in os.environ:
            raise ValueError(f"{text}: there is no variable {name}; set it, or write the path out")
        path = path.replace(f"${{{name}}}", os.environ[name])
    if path.startswith("~"):
        try:
            path = str(Path(path).expanduser())
        except RuntimeError as error:
            user = path.partition("/")[0]
            message = f"{text}: there is no user {user[1:]}; write ./{user} if that is its name"
            raise ValueError(message if user != "~" else f"{text}: {error}") from error
    return mark + path


def path_argument(text: str) -> Path:
    """A path on a command line, for `argparse`: expanded (see `expanded`), and not empty."""
    try:
        path = expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not path:
        raise argparse.ArgumentTypeError("a path is empty")
    return Path(path)


def text_of(content: bytes) -> str:
    """Text in the encoding that its byte-order mark names (UTF-8, -16, -32); without one it is UTF-8.

    Raises
    ------
    UnicodeDecodeError
        It is not.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


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
        Something failed, or a device or pipe stands there; the file is as it was, and nothing is left behind
        but what a kill or a dead disk leaves, whose name begins with `LEFTOVER_PREFIX`.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise FileExistsError(errno.EEXIST, "A device or pipe stands there, which is no file", str(path))
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


def append_whole(descriptor: int, content: bytes) -> None:
    """Append to a file that was opened for appending: all of it, or nothing.

    Raises
    ------
    OSError
        It cannot be written; the file is as long as it was.
    """
    size = os.fstat(descriptor).st_size
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, size)
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
