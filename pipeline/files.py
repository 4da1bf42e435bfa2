"""Paths and files, for everything above: how a path is shown."""

from __future__ import annotations

import os
from os import PathLike


def printable(path: str | PathLike[str]) -> str:
    r"""Show a path on one line: bytes that are no text and control characters become ``\x..``."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
