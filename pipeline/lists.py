"""List files: paths of photographs a line, as editors, shells and tools of every system write them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.files import BYTE_ORDER_MARKS, printable


class ListedPath(NamedTuple):
    """A path in a list, with its line, from 1 on; bytes that are no UTF-8 are surrogate escapes."""

    line: int
    path: str
    is_there: bool


def listed_paths(content: bytes, *, null_separated: bool = False) -> Iterator[ListedPath]:
    r"""Read the paths of a list.

    Text is UTF-8, or what its byte-order mark says (UTF-8, -16, -32); without a mark bytes that are no UTF-8
    stay the bytes of a path. A line ends with LF or CRLF. Empty lines and, unless a file is called so, lines
    that begin with ``#`` are left out; quotes around a line and blanks at its ends are taken away where the
    path is not there with them, and backslashes divide folders where the path is there with slashes. Folders
    may be listed. A table is no list: it is refused where a column holds a path that is there.

    Parameters
    ----------
    content
        The file.
    null_separated
        Paths end with NUL bytes (``find -print0``) and are taken as they are. Without it a list with NUL
        bytes is read so only if every one of its paths is there.

    Yields
    ------
    ListedPath

    Raises
    ------
    OSError
        The list is damaged, in an encoding that is not recognised, or a table, or a path is one of Windows;
        the message says in which line and what to do.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if not null_separated and content.startswith(mark):
            text = _decoded(content[len(mark) :], encoding)
            break
    else:
        if b"\0" in content or null_separated:
            paths = [os.fsdecode(path) for path in content.split(b"\0") if path]
            listed = [ListedPath(i, path, os.path.lexists(path)) for i, path in enumerate(paths, start=1)]
            if not null_separated and not all(one.is_there for one in listed):
                raise OSError(
                    "holds NUL bytes: save it as UTF-8 text, or write @0:FILE (0:- for standard input) "
                    "if its paths are separated by them"
                )
            yield from listed
            return
        text = os.fsdecode(content)
    for number, line in enumerate(text.split("\n"), start=1):
        if "\0" in line:
            raise OSError(f"line {number} holds a NUL byte: save the list as UTF-8 text")
        path = _meant(line.removesuffix("\r"))
        if path and not os.path.lexists(path):
            path = _without_habits(line, path, number)
        if path:
            yield ListedPath(number, path, os.path.lexists(path))


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "ignore").count("\n") + 1
        message = f"line {line} is no {encoding.upper()}, which its first bytes say it is: save it as UTF-8"
        raise OSError(message) from error


def _meant(line: str) -> str:
    """The path that a line means; empty if none."""
    stripped = line.strip()
    if not stripped or os.path.lexists(line):
        return line if stripped else ""
    if stripped.startswith("#") and not os.path.lexists(stripped):
        return ""
    if len(stripped) > 2 and stripped[0] == stripped[-1] and stripped[0] in "'\"":
        return stripped if os.path.lexists(stripped) else stripped[1:-1]
    return stripped if os.path.lexists(stripped) else line.rstrip()


def _without_habits(line: str, path: str, number: int) -> str:
    """A path that is not there as it stands, but may be as a table or another system would have written it.

    Raises
    ------
    OSError
        It is a line of a table, or a path of Windows.
    """
    if found := next((column for column in _columns(line) if Path(_slashed(column)).is_file()), None):
        advice = f"Save the column that holds {printable(found)} alone"
        raise OSError(f"line {number} is one of a table: {printable(line.strip())}. {advice}")
    if os.path.lexists(_slashed(path)):
        return _slashed(path)
    if os.sep == "/" and any(re.match(r"[A-Za-z]:\\|\\\\", text) for text in (path, *_columns(line))):
        advice = "Write where that folder is on this system"
        raise OSError(f"line {number} holds a path of Windows: {printable(line.strip())}. {advice}")
    return path


def _columns(line: str) -> list[str]:
    """What a line holds if it is one of a table, whose separator is a tab, a semicolon or a comma."""
    columns: list[str] = []
    for separator in "\t;,":
        try:
            (row,) = csv.reader([line], delimiter=separator)
        except csv.Error:  # a column longer than any path
            continue
        columns += [column.strip() for column in row if len(row) > 1 and column.strip()]
    return columns


def _slashed(path: str) -> str:
    return path.replace("\\", os.sep)
