"""List files: paths of photographs a line, as editors, shells and tools of every system write them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def listed_paths(content: bytes, *, null_separated: bool = False) -> Iterator[tuple[int, str]]:
    r"""Read the paths of a list.

    Text is UTF-8, or what its byte-order mark says (UTF-8, -16, -32); without a mark bytes that are no UTF-8
    stay the bytes of a path. A line ends with LF or CRLF. Empty lines and, unless a file is called so, lines
    that begin with ``#`` are left out; quotes around a line and blanks at its ends are taken away where the
    path is not there with them. Folders may be listed.

    Parameters
    ----------
    content
        The file.
    null_separated
        Paths end with NUL bytes (``find -print0``) and are taken as they are. Without it a list with NUL
        bytes is read so only if every one of its paths is there.

    Yields
    ------
    number, path
        Line, from 1 on, and what is on it; bytes that are no UTF-8 are surrogate escapes.

    Raises
    ------
    OSError
        The list is damaged, or in an encoding that is not recognised; the message says what to do.
    """
    for mark, encoding in _MARKS:
        if not null_separated and content.startswith(mark):
            text = _decoded(content[len(mark) :], encoding)
            break
    else:
        if b"\0" in content or null_separated:
            paths = [os.fsdecode(path) for path in content.split(b"\0") if path]
            if not null_separated and not all(os.path.lexists(path) for path in paths):
                raise OSError(
                    "holds NUL bytes: save it as UTF-8 text, or write @0:FILE (0:- for standard input) "
                    "if its paths are separated by them"
                )
            yield from enumerate(paths, start=1)
            return
        text = os.fsdecode(content)
    for number, line in enumerate(text.split("\n"), start=1):
        if "\0" in line:
            raise OSError(f"line {number} holds a NUL byte: save the list as UTF-8 text")
        path = _meant(line.removesuffix("\r"))
        if path:
            yield number, path


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
