"""Names of outputs: a function of the photograph's own path, and never the same for two of them.

A photograph's name is ``LABEL(root)/path below the root``; its mask is ``masks/NAME.png``.

- The root of a photograph is the input folder it was found in, or its own folder if it was named itself. A
  ``/./`` in a path marks the root, as in rsync: ``/photos/./anna/1.jpg``.
- LABEL of a root below the current folder is its path from there (``data/samples``); of any other root its
  last part and 12 hex digits of the SHA-256 of its absolute path (``photos-5f0c1d2e3a4b``).
- A part of a name that cannot be used everywhere keeps what can be kept, and ends in ``~`` and 16 hex digits
  of the SHA-256 of its original bytes: bytes that are no UTF-8, control characters, more than 200 bytes,
  names that Windows reserves, a dot or space at the end, folders that end like a picture we write, and parts
  that look like one of our own digests.
- Where the output's file system does not tell ``A`` from ``a``, so do parts with capital letters or with
  characters that have several spellings in Unicode.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from pipeline.files import LEFTOVER_PREFIX

MAX_PART_BYTES = 200
MAX_NAME_BYTES = 2000

_KEPT_BYTES = 150
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_LIKE_OURS = re.compile(r".*(~[0-9a-f]{16}|-[0-9a-f]{12})", re.DOTALL)
_WRITTEN_SUFFIXES = (".png", ".jpg")


class Namer:
    """Names the outputs of photographs.

    Parameters
    ----------
    working_directory
        Absolute path; roots below it keep their readable path from there.
    case_sensitive
        Whether the output's file system tells ``A`` from ``a``; see `is_case_sensitive`.
    """

    def __init__(self, working_directory: str, *, case_sensitive: bool = True) -> None:
        self._working_directory = working_directory
        self._case_sensitive = case_sensitive
        self._labels: dict[str, str] = {}

    def name(self, root: str, relative: str) -> str:
        """Name the outputs of one photograph.

        Parameters
        ----------
        root
            Absolute path of the folder that the name starts from.
        relative
            Path of the photograph below it, with ``/`` or the system's separator.

        Returns
        -------
        str
            Parts joined by ``/``, encodable as UTF-8, without ``..``; at most `MAX_NAME_BYTES` bytes.
        """
        label = self._labels.get(root)
        if label is None:
            label = self._labels[root] = self._label(root)
        *folders, file = relative.replace(os.sep, "/").split("/")
        name = "".join([label, *(self._folder(part) + "/" for part in folders), self._part(file)])
        if len(name.encode()) > MAX_NAME_BYTES:
            name = f"deep~{_digest(label + relative, 16)}/{self._part(file)}"
        return name

    def _label(self, root: str) -> str:
        """The label with a slash at its end; nothing for the working directory itself."""
        below = path_below(root, self._working_directory)
        if below is None:
            part = self._part(Path(root).name or "root", reserved_too=False)
            return f"{part}-{_digest(root, 12)}/"
        return "".join(self._folder(part) + "/" for part in Path(below).parts)

    def _folder(self, part: str) -> str:
        return self._part(part, forced=part.lower().endswith(_WRITTEN_SUFFIXES))

    def _part(self, part: str, *, forced: bool = False, reserved_too: bool = True) -> str:
        safe = "".join("_" if _is_unsafe(character) else character for character in part)
        safe = safe.rstrip(". ") or "_"
        reserved = _RESERVED.fullmatch(safe) or safe.startswith(LEFTOVER_PREFIX)
        if reserved:
            safe = f"_{safe}"
        if not (
            forced
            or safe != part
            or len(safe.encode()) > MAX_PART_BYTES
            or (reserved_too and _LIKE_OURS.fullmatch(part))
            or (not self._case_sensitive and _folded(part) != part)
        ):
            return part
        kept = safe.encode()[:_KEPT_BYTES].decode("utf-8", "ignore")
        return f"{kept}~{_digest(part, 16)}"


def path_below(path: str, folder: str) -> str | None:
    """Path of ``path`` from ``folder`` (``.`` for itself), or None if it is not below it; reads no links."""
    if path == folder:
        return "."
    prefix = folder.rstrip(os.sep) + os.sep
    return path[len(prefix) :] if path.startswith(prefix) else None


def is_case_sensitive(directory: Path) -> bool:
    """Try whether a folder's file system tells ``A`` from ``a``.

    Raises
    ------
    OSError
        Nothing can be written there.
    """
    lower = directory / f"{LEFTOVER_PREFIX}case-{os.getpid()}"
    upper = directory / lower.name.upper()
    lower.touch()
    try:
        return not upper.exists()
    finally:
        lower.unlink()


def _is_unsafe(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or character in "/\\"


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", part).casefold())


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:digits]
