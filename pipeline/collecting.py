"""Photographs of folders, patterns and lists, each once: what is walked through, followed and left out."""

from __future__ import annotations

import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.clip_files import is_clip
from pipeline.config import VideoConfig
from pipeline.files import printable
from pipeline.formats import IMAGE_SUFFIXES, SNIFF_BYTES, UNREAD_SUFFIXES, sniff_format
from pipeline.output_directory import RUN_NAME, is_output_directory
from pipeline.output_names import Namer, path_below

_ROOT_ADVICE = "a whole disk or all users' folders; name the folders that hold photographs, or add --force"


@dataclass(frozen=True, slots=True)
class PhotoPath:
    """One photograph of a run.

    Attributes
    ----------
    path
        From the working directory if it lies below it, else absolute. Bytes that are no UTF-8 are
        surrogate escapes, as Python's file functions take them.
    root
        The folder that its name starts from, given likewise.
    name
        Name of its outputs; see `pipeline.output_names`.
    is_clip
        It moves: it is a clip (see `pipeline.clip_files`), not a photograph.
    """

    path: str
    root: str
    name: str
    is_clip: bool = False


def is_root(folder: str) -> bool:
    """Whether a folder is that of a whole disk, or of all users: not one that anybody means."""
    path = Path(folder)
    return path == Path(path.anchor) or path in Path.home().parents


class Collector:
    """Gathers (root, path below it) in ``found``, each path once.

    Parameters
    ----------
    recursive
        Whether folders in folders are looked through.
    output_directory
        Passed over, with all in it.
    clips
        ``clips`` and ``animations`` are used; None: clips in folders are passed over.
    whole_disks
        Look through these as through any folder.
    """

    def __init__(
        self, recursive: bool, output_directory: str, clips: VideoConfig | None, *, whole_disks: bool
    ) -> None:
        self.working_directory = str(Path.cwd())
        self.found: list[tuple[str, str]] = []
        self.told: list[str] = []
        self._recursive = recursive
        self._clips = clips
        self._whole_disks = whole_disks
        self._animations = clips is not None and clips.animations
        self._seen: set[str] = set()
        self._output = _identity(output_directory)
        self._outside: set[str] = set()  # folders known to be neither the output directory nor in it
        self._entered: set[tuple[int, int]] = set()  # folders and files of the walk that is under way
        self._files: set[tuple[int, int]] = set()
        self._earlier: dict[str, bool] = {}  # folder -> whether it is the output of another run
        self._unread: set[str] = set()

    def left_out(self) -> list[str]:
        """What is told of lists, the outputs of other runs, and pictures of kinds that are not read."""
        told = self.told + [
            f"Left out: {printable(self._shown(folder))}, the results of another run. Name a folder in it to "
            "read its pictures all the same"
            for folder, is_output in sorted(self._earlier.items())
            if is_output
        ]
        if self._unread:
            counts = sorted(Counter(map(_suffix, self._unread)).items())
            shown = ", ".join(f"{count} {suffix}" for suffix, count in counts)
            told.append(f"Not read, being pictures of other kinds: {shown}. Save them as JPEG, PNG or TIFF")
        return told

    def photo(self, root: str, relative: str, namer: Namer) -> PhotoPath:
        """One of `found`, with its name."""
        path = self._shown(str(Path(root, relative)) if relative else root)
        moves = is_clip(path, animations=self._animations)
        return PhotoPath(path, self._shown(root), namer.name(root, relative), moves)

    def _is_wanted(self, path: str) -> bool:
        """Whether a file in a folder is one to do: a photograph, or a clip where these are wanted."""
        if self._clips is not None and self._clips.clips and is_clip(path, animations=self._animations):
            return True
        return _looks_like_image(path)

    def add(self, text: str, *, must_exist: bool = True) -> None:
        """Add a path as the user gave it."""
        before, mark, after = text.partition(f"{os.sep}.{os.sep}")
        path = self.absolute(f"{before}{os.sep}{after}" if mark else text)
        root = self.absolute(before or os.sep) if mark else None
        if _is_directory(path, must_exist):
            self._add_folder(path, root or path)
        else:
            self._add_file(path, root)

    def add_matches(self, paths: Sequence[str], fixed_part: str) -> None:
        """Add what a pattern found: folders with all in them, files if they are images."""
        root = self.absolute(fixed_part)
        for path in _without_loops(self.absolute(text) for text in paths):
            if self._is_output(path) or self._is_in_earlier_output(path, root):
                continue
            if _is_directory(path, must_exist=False):
                self._add_folder(path, path if path_below(path, root) is None else root)
            elif self._is_wanted(path):
                self._add_file(path, root)
            else:
                self._pass_over(path)

    def refuse_root(self, folder: str, verb: str) -> None:
        """Raise OSError for a folder that nobody means (`is_root`), unless whole disks are allowed."""
        if not self._whole_disks and is_root(folder):
            raise OSError(f"{verb} {_ROOT_ADVICE}")

    def _add_file(self, path: str, root: str | None) -> None:
        below = path_below(path, root) if root else None
        if root is None or below is None:
            root, _, below = path.rpartition(os.sep)
            root = root or os.sep
        if path not in self._seen:
            self._seen.add(path)
            self.found.append((root, below))

    def _add_folder(self, folder: str, root: str) -> None:
        self.refuse_root(folder, "is")
        if _identity(folder) == self._output:
            raise OSError("is output.directory itself; write the output elsewhere")
        next(Path(folder).iterdir(), None)  # unreadable: a wrong input, not a failed photograph
        found = sorted(self._walk(folder), key=os.fsencode)
        inside = path_below(folder, root) or "."
        for relative in found:
            path = f"{folder.rstrip(os.sep)}{os.sep}{relative}"
            if path not in self._seen:
                self._seen.add(path)
                self.found.append((root, relative if inside == "." else f"{inside}{os.sep}{relative}"))

    def _walk(self, top: str) -> Iterator[str]:
        """Paths below ``top``: what is there itself first, then what links lead to."""
        prefix = top.rstrip(os.sep) + os.sep
        self._entered.clear()
        self._files.clear()
        folders: list[str] = [""]
        folder_links: list[str] = []
        file_links: list[str] = []
        while folders or folder_links:
            folder = folders.pop() if folders else folder_links.pop(0)
            if not self._enter(prefix + folder):
                continue
            before = f"{folder}{os.sep}" if folder else ""
            try:
                with os.scandir(prefix + folder) as entries:
                    children = sorted(entries, key=lambda entry: os.fsencode(entry.name))
            except OSError:
                yield folder  # it fails as a photograph would, so that it is not overlooked
                continue
            if any(entry.name == RUN_NAME for entry in children) and self._is_earlier_output(prefix + folder):
                continue
            for entry in children:
                path = before + entry.name
                if entry.is_symlink():
                    leads_to_folder = _is_directory(prefix + path, must_exist=False)
                    (folder_links if leads_to_folder else file_links).append(path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif self._is_wanted(prefix + path):
                    identity = _identity(prefix + path)  # None: it has gone since, and fails as a photograph
                    if identity is not None:
                        self._files.add(identity)
                    yield path
                else:
                    self._pass_over(prefix + path)
            if not self._recursive:
                break
        yield from (link for link in sorted(file_links, key=os.fsencode) if self._follow(prefix + link))

    def _follow(self, link: str) -> bool:
        """Whether a link leads to an image not listed yet, or nowhere though it is named like an image."""
        identity = _identity(link)
        if identity is None:
            return _has_image_suffix(link)
        if identity in self._files or not self._is_wanted(link):
            return False
        self._files.add(identity)
        return True

    def _is_output(self, path: str) -> bool:
        """Whether a path is the output directory or lies in it."""
        if self._output is None:
            return False
        above = (path, *map(str, Path(path).parents))
        unknown = list(itertools.takewhile(lambda folder: folder not in self._outside, above))
        inside = any(_identity(folder) == self._output for folder in unknown)
        if not inside:
            self._outside.update(unknown[1:])
        return inside

    def _is_earlier_output(self, folder: str) -> bool:
        """Whether a folder is the output of another run; noted for `left_out`."""
        folder = folder.rstrip(os.sep)
        if folder not in self._earlier:
            self._earlier[folder] = is_output_directory(folder)
        return self._earlier[folder]

    def _is_in_earlier_output(self, path: str, root: str) -> bool:
        """Whether a path below a root lies in the output of another run that lies below it, too."""
        folders = itertools.takewhile(lambda folder: folder != root, map(str, Path(path).parents))
        return any(self._is_earlier_output(folder) for folder in folders)

    def _pass_over(self, path: str) -> None:
        """Note a picture of a kind that is not read."""
        if _suffix(path) in UNREAD_SUFFIXES:
            self._unread.add(path)

    def _enter(self, folder: str) -> bool:
        """Note a folder as entered; False for the output directory and for one that was entered before."""
        identity = _identity(folder)
        if identity is None or identity == self._output:
            return identity is None
        new = identity not in self._entered
        self._entered.add(identity)
        return new

    def absolute(self, text: str) -> str:
        """Absolute path; links are resolved only where a ``..`` makes it necessary."""
        path = Path(self.working_directory, text)
        if ".." in path.parts:
            path = path.resolve() if path.name == ".." else path.parent.resolve() / path.name
        return str(path)

    def _shown(self, path: str) -> str:
        return path_below(path, self.working_directory) or path


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _without_loops(paths: Iterable[str]) -> list[str]:
    """Of paths that links make one file, the one without links, or else the shortest."""
    chosen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        before = chosen.get(real)
        if before is None or _roundabout(path, real) < _roundabout(before, real):
            chosen[real] = path
    return sorted(chosen.values(), key=os.fsencode)


def _roundabout(path: str, real: str) -> tuple[bool, int, bytes]:
    return path != real, path.count(os.sep), os.fsencode(path)


def _is_directory(path: str, must_exist: bool) -> bool:
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        if must_exist:
            raise
        return False


def _has_image_suffix(path: str) -> bool:
    return _suffix(path) in IMAGE_SUFFIXES


def _suffix(path: str) -> str:
    return path[path.rfind(".") :].lower()


def _looks_like_image(path: str) -> bool:
    """By name, or else by the first bytes; a file that cannot be read is an image only by name."""
    if _has_image_suffix(path):
        return True
    try:
        if not Path(path).is_file():
            return False
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return sniff_format(os.read(descriptor, SNIFF_BYTES)) is not None
        finally:
            os.close(descriptor)
    except OSError:
        return False
