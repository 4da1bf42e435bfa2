"""Which photographs: files, folders, globs, list files and standard input, in a stable order."""

from __future__ import annotations

import glob
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pipeline.clip_files import is_pattern, pictures_of
from pipeline.collecting import Collector, PhotoPath
from pipeline.config import InputConfig, VideoConfig
from pipeline.counted import counted
from pipeline.errors import ConfigError, Problem
from pipeline.files import printable
from pipeline.lists import ListedPath, listed_paths
from pipeline.output_names import Namer

_KEY = "input.paths"
_MOST_LIST_BYTES = 1_000_000_000


def list_photos(
    config: InputConfig,
    *,
    output_directory: str | os.PathLike[str],
    case_sensitive: bool = True,
    stdin: BinaryIO | None = None,
    on_left_out: Callable[[str], None] | None = None,
    clips: VideoConfig | None = None,
    whole_disks: bool = False,
) -> list[PhotoPath]:
    """List the photographs that a configuration names; no pictures are held.

    Inputs keep their order; within a folder files are sorted by the bytes of their path. A folder gives the
    files that are images by their first bytes or by their name; a file that is named itself is always listed.
    Links are followed, each folder is entered once, and a link to a file that is listed anyway gives nothing
    new. The output directory is never read, unless a file in it is named itself; nor is the one of another
    run, which its ``run.json`` tells. Each path is listed once.
    Lines of a list file may be missing files: they fail one by one in the run; see `pipeline.lists`.
    Whole disks and the folders above the user's own are refused, unless ``whole_disks`` allows them.

    Parameters
    ----------
    config
        ``paths`` and ``recursive`` are used.
    output_directory
        Left out where it lies in an input folder.
    case_sensitive
        See `pipeline.output_names.Namer`.
    stdin
        Where ``-`` reads its list; standard input if None.
    on_left_out
        Called with a sentence about each list with paths that are not there and each other run's output that
        was left out, and one about the pictures of kinds that are not read.
    clips
        ``clips`` and ``animations`` are used; None: clips in folders are passed over.
    whole_disks
        Look through these as through any folder.

    Returns
    -------
    list of PhotoPath

    Raises
    ------
    ConfigError
        With every path that is missing or unreadable, or when there is no photograph at all.
    """
    collector = Collector(config.recursive, os.fspath(output_directory), clips, whole_disks=whole_disks)
    problems: list[Problem] = []
    for index, text in enumerate(config.paths):
        try:
            _add_input(collector, text, stdin)
        except OSError as error:
            what = error.strerror or str(error)
            named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else text
            where = printable(text) if named == text else f"{printable(text)}: {printable(named)}"
            problems.append(Problem("input", f"{_KEY}.{index}", f"{where}: {what}"))
    if problems:
        raise ConfigError(problems)
    left_out = collector.left_out()
    for sentence in left_out:
        (on_left_out or (lambda sentence: None))(sentence)
    namer = Namer(collector.working_directory, case_sensitive=case_sensitive)
    photos = [collector.photo(root, relative, namer) for root, relative in collector.found]
    if not photos:
        shown = ", ".join(printable(text) for text in config.paths) or "no input at all"
        message = f"no photographs in {shown}; name a folder, a file, a glob, @list.txt or -"
        raise ConfigError([Problem("input", _KEY, ". ".join([message, *left_out]))])
    return photos


def _add_input(collector: Collector, text: str, stdin: BinaryIO | None) -> None:
    if text in ("-", "0:-"):
        if stdin is None and sys.stdin is None:
            raise OSError("standard input is closed; write the paths to it, or name a list file: @list.txt")
        _add_list(collector, text, _all_of(stdin or sys.stdin.buffer), null_separated=text == "0:-")
    elif text.startswith("@"):
        _add_list_file(collector, text[1:])
    elif os.path.lexists(text):
        collector.add(text)
    elif is_pattern(text) and pictures_of(text):
        collector.add(text, must_exist=False)
    elif glob.has_magic(text):
        if "**" in text:
            collector.refuse_root(collector.absolute(_fixed_part(text)), "would look through")
        matches = sorted(glob.glob(text, recursive=True), key=os.fsencode)  # noqa: PTH207 - may be absolute
        if not matches:
            advice = ""
            if "[" in text:
                advice = f"; brackets that belong to a name are escaped, as in {printable(glob.escape(text))}"
            raise FileNotFoundError(f"nothing matches this pattern in {printable(Path.cwd())}{advice}")
        collector.add_matches(matches, _fixed_part(text))
    else:
        raise FileNotFoundError("no such file or folder; paths are relative to where the command is run")


def _add_list_file(collector: Collector, name: str) -> None:
    """``@NAME``, or ``@0:NAME`` for one whose paths end with NUL bytes."""
    asked = name.startswith("0:") and not os.path.lexists(name)
    with Path(name[2:] if asked else name).open("rb") as file:
        content = _all_of(file)
    _add_list(collector, name, content, null_separated=asked)


def _all_of(file: BinaryIO) -> bytes:
    """A list as it is; a device or a pipe that never ends must not fill the memory."""
    content = file.read(_MOST_LIST_BYTES + 1)
    if len(content) > _MOST_LIST_BYTES:
        most = f"{_MOST_LIST_BYTES / 1e6:.0f} MB, the most that a list of paths may have"
        raise OSError(f"is longer than {most}; name folders, or several lists")
    return content


def _add_list(collector: Collector, name: str, content: bytes, *, null_separated: bool) -> None:
    count, missing = 0, list[ListedPath]()
    for listed in listed_paths(content, null_separated=null_separated):
        count += 1
        if not listed.is_there:
            missing.append(listed)
        try:
            collector.add(listed.path, must_exist=False)
        except OSError as error:
            shown = f"line {listed.line}: {printable(listed.path)}"
            raise OSError(f"{shown}: {error.strerror or error}") from error
    if missing:
        first = f"the first in line {missing[0].line}: {printable(missing[0].path)}"
        shown = "standard input" if name in ("-", "0:-") else printable(name)
        collector.told.append(f"Not there: {len(missing)} of {counted(count, 'path')} in {shown}, {first}")


def _fixed_part(pattern: str) -> str:
    """The folder above the first part with a wildcard."""
    parts = Path(pattern).parts[:-1]
    return str(Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts)))
