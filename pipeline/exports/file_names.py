"""What an export calls a photograph: its path from a root of choice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.files import printable
from pipeline.manifest.records import recorded_path


class FileNames:
    """Names photographs of one run.

    Parameters
    ----------
    working_directory
        Where the run was started: paths in its records start there.
    root
        The folder that names start from; None: the working directory for photographs below it, and absolute
        paths for others.
    """

    def __init__(self, working_directory: str, root: Path | None = None) -> None:
        self._working_directory = working_directory
        self._root = None if root is None else f"{os.path.abspath(root).rstrip(os.sep)}{os.sep}"  # noqa: PTH100 - keeps links

    def path(self, record: Mapping[str, Any]) -> str:
        """Absolute path of a photograph; bytes that are no UTF-8 are surrogate escapes."""
        joined = os.path.join(self._working_directory, recorded_path(record))  # noqa: PTH118 - pathlib is slow
        return str(Path(joined)) if "/." in joined or "//" in joined or joined[-1] == "/" else joined

    def name(self, record: Mapping[str, Any]) -> str:
        r"""Name of a photograph, with ``/``; what is no text is shown as ``\x..``.

        Raises
        ------
        UsageError
            It does not lie below the root.
        """
        if self._root is None:
            return str(record["photo"]).replace(os.sep, "/")
        path = self.path(record)
        if not path.startswith(self._root):
            raise UsageError(
                f"--root {self._root}: {printable(path)} does not lie below it; name one above all"
            )
        return printable(path[len(self._root) :]).replace(os.sep, "/")
