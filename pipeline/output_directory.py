"""The output directory at the start of a run: there, writable, and nobody else's."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline import files
from pipeline.errors import ConfigError, Problem
from pipeline.output_names import is_case_sensitive

RUN_NAME = "run.json"
"""The file by which the output of a run is known; `pipeline.manifest.journal` writes it."""

_OUR_KEYS = {"state", "config", "digest", "models", "working_directory"}
_MOST_BYTES = 50_000_000

_log = logging.getLogger(__name__)


def is_output_directory(folder: str | Path) -> bool:
    """Whether a folder holds the ``run.json`` of a run of ours, and so its results."""
    path = Path(folder, RUN_NAME)
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return False
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(loaded, dict) and loaded.keys() >= _OUR_KEYS


def tells_case(directory: Path) -> bool:
    """Whether the output's file system tells ``A`` from ``a``: ask the nearest folder that is there already.

    Raises
    ------
    ConfigError
        Nothing can be written there.
    """
    with _usable(directory):
        absolute = directory.absolute()
        existing = next(path for path in (absolute, *absolute.parents) if path.exists())
        return is_case_sensitive(existing)


def prepared(directory: Path) -> Path:
    """Make the directory; returns it.

    Raises
    ------
    ConfigError
        It cannot be made.
    """
    with _usable(directory):
        directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{directory}: cannot be written: {error.strerror}; choose another folder"
        raise ConfigError([Problem("output", "output.directory", message)]) from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep a second run out of the same output directory. Where locks are not to be had, there is none.

    Raises
    ------
    ConfigError
        Another run writes there.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(files.locked(directory, wait=False))
        except BlockingIOError as error:
            message = f"{directory}: another run writes there; wait for it, or choose another folder"
            raise ConfigError([Problem("output", "output.directory", message)]) from error
        except OSError as error:
            _log.info("%s: no lock to be had there: %s", directory, error)
        yield
