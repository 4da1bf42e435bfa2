"""Which photograph of a run another tool speaks of: the one of the same content, or else of the same name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipeline.errors import UsageError


class PhotoIndex:
    """Finds photographs by content and by name.

    Content comes first: files are renamed and moved on their way through other tools, but seldom changed. Of
    names the whole path counts, then the path without its suffix, then whether one is the end of the other.
    """

    def __init__(self) -> None:
        self._by_content: defaultdict[bytes, list[str]] = defaultdict(list)
        self._by_path: dict[str, str | None] = {}
        self._by_bare_path: dict[str, str | None] = {}
        self._by_file: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, name: str, file_name: str, sha256: str | None) -> None:
        """Take in a photograph: its name in the manifest, what an export calls it, and its hash."""
        if sha256:
            self._by_content[_digest(sha256)].append(name)
        for path in {name, file_name}:
            _note(self._by_path, path, name)
            _note(self._by_bare_path, _bare(path), name)
        self._by_file[PurePosixPath(_bare(file_name)).name].append((_bare(file_name), name))

    def find(self, file_name: str, sha256: str | None) -> tuple[str, str] | None:
        """The name of a photograph and how it was found (``content`` or ``name``), or None.

        Raises
        ------
        UsageError
            Two photographs fit.
        """
        alike = self._by_content.get(_digest(sha256), []) if sha256 else []
        if len(alike) == 1:
            return alike[0], "content"
        named = self._named(file_name)
        if alike:
            if len(named) == 1 and named[0] in alike:
                return named[0], "content"
            raise UsageError(
                f"{file_name}: {alike[0]} and {alike[1]} both have its content; remove one of them"
            )
        if len(named) > 1:
            raise UsageError(f"{file_name}: fits {named[0]} and {named[1]}; give the path from the --root")
        return (named[0], "name") if named else None

    def _named(self, file_name: str) -> list[str]:
        path = file_name.replace("\\", "/")
        for table, key in ((self._by_path, path), (self._by_bare_path, _bare(path))):
            if key in table:
                found = table[key]
                if found is not None:
                    return [found]
        bare = _bare(path)
        same_file = self._by_file.get(PurePosixPath(bare).name, [])
        return [name for own, name in same_file if _is_end(bare, own) or _is_end(own, bare)]


def _note(table: dict[str, str | None], key: str, name: str) -> None:
    """Enter a name; None where two want the key."""
    table[key] = name if table.get(key, name) == name else None


def _bare(path: str) -> str:
    """A path without its suffix."""
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix else path


def _is_end(whole: str, end: str) -> bool:
    return whole == end or whole.endswith(f"/{end}")


def _digest(sha256: str) -> bytes:
    """Its bytes; of what is no hexadecimal number, the text's, which no photograph has."""
    try:
        return bytes.fromhex(sha256)
    except ValueError:
        return sha256.encode()


def index_of(photos: Iterable[tuple[str, str, str | None]]) -> PhotoIndex:
    """An index of (name, file name, hash)."""
    index = PhotoIndex()
    for name, file_name, sha256 in photos:
        index.add(name, file_name, sha256)
    return index
