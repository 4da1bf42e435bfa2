"""The files of a photograph: where each is written, and which are removed."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.config import OutputConfig
from pipeline.errors import OutputError
from pipeline.files import LEFTOVER_PREFIX, write_whole
from pipeline.images import to_stored_orientation
from pipeline.output_pictures import encode_picture, face_pictures, photo_pictures

if TYPE_CHECKING:
    from pipeline.results import PhotoResult

PHOTO_FOLDERS = ("masks", "instances", "overlays", "soft_masks")
FACE_FOLDERS = ("crops", "crop_masks", "cutouts")
REVIEW_FOLDERS = ("corrected", "corrected_faces")
"""What people have drawn; see `pipeline.corrections`. No run writes or removes anything there."""
WORK_FOLDER = ".uncrop-clips"
"""Folder of the output directory in which clips are worked on; it goes when they are done."""

CLIP_FOLDERS = ("tracks", "found")
"""What clips have besides; see `pipeline.video`."""

_PHOTO_SUFFIXES = {kind: (".png", ".jpg") if kind == "overlays" else (".png",) for kind in PHOTO_FOLDERS}


def write_outputs(
    result: PhotoResult,
    pixels: NDArray[np.uint8],
    orientation: int,
    name: str,
    config: OutputConfig,
    photo_alpha: NDArray[np.uint8] | None = None,
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Write the files of one photograph, each whole or not at all.

    Parameters
    ----------
    result
        What was found; its maps have the size of ``pixels``. Without faces the mask is empty.
    pixels
        (H, W, 3) uint8 RGB, upright.
    orientation
        EXIF orientation 1-8 of the stored photograph; used for ``output.orientation: stored``. The pictures
        of single faces then lie as the file does, too; else they are as their crops are, turned upright.
    name
        Name of the photograph; see `pipeline.output_names`.
    config
        What to write and where.
    photo_alpha
        (H, W) uint8: the photograph's own transparency, which cut-outs keep; None: it is opaque. Their
        colours are those of ``pixels``, so that nothing hidden comes to light.

    Returns
    -------
    files
        Kind (``masks``, ``overlays``, ...) to path below the output directory.
    face_files
        The same for every face of ``result.faces``.

    Raises
    ------
    OutputError
        A file cannot be written.
    EncodingError
        A picture is too large for its format.
    """
    turn = orientation if config.orientation == "stored" else 1
    root = Path(config.directory)
    files: dict[str, str] = {}
    for kind, suffix, picture in photo_pictures(result, pixels, config):
        files[kind] = f"{kind}/{name}{suffix}"
        write_atomically(root / files[kind], [encode_picture(suffix, to_stored_orientation(picture, turn))])
    face_files: list[dict[str, str]] = []
    for number, face in enumerate(result.faces, start=1):
        face_files.append({})
        for kind, picture in face_pictures(face, config, photo_alpha):
            lying = picture
            if config.orientation == "stored":
                lying = np.ascontiguousarray(np.rot90(picture, -face.crop.turn))
            face_files[-1][kind] = f"{kind}/{name}_{number}.png"
            encoded = encode_picture(".png", to_stored_orientation(lying, turn))
            write_atomically(root / face_files[-1][kind], [encoded])
    _remove_further_faces(root, name, len(result.faces) + 1)
    return files, face_files


def write_atomically(path: Path, content: Iterable[bytes], *, sync: bool = False) -> None:
    """Write a file of the output directory whole or not at all; see `pipeline.files.write_whole`.

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
    OutputError
        Something failed; the file is as it was. The message says what to do.
    """
    try:
        write_whole(path, content, sync=sync)
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """Say what is wrong with an output, and what to do."""
    hint = {
        errno.ENOSPC: "Free some space, or choose another output.directory; the run goes on where it stopped",
        errno.EDQUOT: "Your quota is used up: free some space, or choose another output.directory",
        errno.EROFS: "Choose an output.directory on a disk that can be written",
        errno.EACCES: "Check the folder's permissions, or choose another output.directory",
        errno.ENOENT: "The folder has gone during the run; bring it back and start again",
        errno.ENOTDIR: "A file stands where a folder is needed; move it, or choose another output.directory",
        errno.EISDIR: "A folder stands where a file is needed; move it, or choose another output.directory",
    }.get(error.errno or 0, "Check the disk, then start again; what is written is kept")
    return OutputError(path, f"cannot be written: {error.strerror or error}", hint)


def remove_outputs(directory: Path, paths: Iterable[str], keep: Iterable[str] = ()) -> None:
    """Remove files of an earlier result that the present one does not have.

    Parameters
    ----------
    directory
        The output directory.
    paths
        Paths below it; anything that leads out of it is ignored.
    keep
        Those of the present result.

    Raises
    ------
    OutputError
        A file is there but cannot be removed.
    """
    for path in set(paths) - set(keep):
        parts = Path(path).parts
        if not parts or parts[0] not in PHOTO_FOLDERS + FACE_FOLDERS + CLIP_FOLDERS or ".." in parts:
            continue
        try:
            (directory / path).unlink(missing_ok=True)
        except NotADirectoryError:
            continue
        except OSError as error:
            raise output_error(directory / path, error) from error


def remove_all_outputs(directory: Path, name: str, paths: Iterable[str] = ()) -> None:
    """Remove whatever results of a photograph there are: it has failed.

    Parameters
    ----------
    directory
        The output directory.
    name
        Name of the photograph.
    paths
        Files of an earlier result, below the output directory.

    Raises
    ------
    OutputError
        A file is there but cannot be removed.
    """
    possible = [f"{kind}/{name}{suffix}" for kind in PHOTO_FOLDERS for suffix in _PHOTO_SUFFIXES[kind]]
    remove_outputs(directory, [*possible, *paths])
    _remove_further_faces(directory, name, 1)


def remove_leftovers(directory: Path) -> int:
    """Remove the unfinished files that killed processes left below an output directory; return how many.

    Raises
    ------
    OutputError
        One cannot be removed.
    """
    removed = 0
    for folder in ("", *PHOTO_FOLDERS, *FACE_FOLDERS, *REVIEW_FOLDERS, *CLIP_FOLDERS, WORK_FOLDER):
        for top, folders, files in os.walk(directory / folder):
            if not folder:
                folders.clear()
            for file in files:
                if file.startswith(LEFTOVER_PREFIX):
                    path = Path(top, file)
                    try:
                        path.unlink(missing_ok=True)
                    except OSError as error:
                        raise output_error(path, error) from error
                    removed += 1
    return removed


def _remove_further_faces(root: Path, name: str, number: int) -> None:
    """Remove pictures of faces that an interrupted run with other settings may have left: ``name_N.png``."""
    for kind in FACE_FOLDERS:
        for further in itertools.count(number):
            path = root / kind / f"{name}_{further}.png"
            if not path.is_file():
                break
            remove_outputs(root, [f"{kind}/{name}_{further}.png"])
