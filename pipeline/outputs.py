"""What is written for a photograph: masks, instance maps, overlays, and pictures of the single faces."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.colour import tagged_srgb
from pipeline.config import OutputConfig
from pipeline.errors import EncodingError, OutputError
from pipeline.files import LEFTOVER_PREFIX, write_whole
from pipeline.images import to_stored_orientation
from pipeline.mask_png import encode_map

if TYPE_CHECKING:
    from pipeline.results import FaceResult, PhotoResult

OVERLAY_RGB = (255, 0, 0)
OVERLAY_ALPHA = 0.5
"""Red, half transparent: upstream's overlay (face_segmentation, `renderSegmentation`)."""

_REDDENED = np.rint(
    np.arange(256, dtype=np.float32)[:, None] * (1 - OVERLAY_ALPHA)
    + np.array(OVERLAY_RGB, np.float32) * OVERLAY_ALPHA
).astype(np.uint8)[None]
"""(1, 256, 3) uint8: what becomes of each value of each channel."""

OVERLAY_QUALITY = 92
JPEG_MAX_SIDE_PX = 65500
PNG_COMPRESSION = 3

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
    for kind, suffix, picture in _photo_pictures(result, pixels, config):
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


def _photo_pictures(
    result: PhotoResult, pixels: NDArray[np.uint8], config: OutputConfig
) -> Iterable[tuple[str, str, NDArray[Any]]]:
    mask = result.mask
    if config.masks:
        yield "masks", ".png", mask
    if config.instances:
        yield "instances", ".png", result.instances
    if config.overlays:
        suffix = ".jpg" if max(mask.shape) <= JPEG_MAX_SIDE_PX else ".png"
        yield "overlays", suffix, overlay(pixels, mask)
    if config.soft_masks:
        yield "soft_masks", ".png", mask if result.alpha is None else result.alpha


def face_pictures(
    face: FaceResult, config: OutputConfig, photo_alpha: NDArray[np.uint8] | None = None
) -> Iterable[tuple[str, NDArray[Any]]]:
    """The pictures of a single face that are asked for: folder and picture, grey, RGB or RGBA."""
    if config.crops:
        yield "crops", face.crop.pixels
    if config.crop_masks:
        yield "crop_masks", face.mask
    if config.cutouts:
        yield "cutouts", cutout(face, photo_alpha)


def cutout(face: FaceResult, photo_alpha: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A face as it was cut out, transparent around it and where the photograph itself is.

    Parameters
    ----------
    face
        Its soft mask is taken if it has one.
    photo_alpha
        (H, W) uint8 of the whole upright photograph; None: it is opaque.

    Returns
    -------
    (crop height, crop width, 4) uint8 RGBA
    """
    alpha = face.mask if face.alpha is None else face.alpha
    if photo_alpha is not None:
        alpha = alpha.copy()
        part = face.crop.in_frame(alpha)
        part[:] = times_alpha(part, photo_alpha[face.crop.frame_slices])
    return np.dstack([face.crop.pixels, alpha])


def times_alpha(mask: NDArray[np.uint8], photo_alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The product of two alphas of one shape, 0-255; of one alone that one."""
    if photo_alpha is None:
        return mask
    return np.asarray((mask.astype(np.uint16) * photo_alpha + 127) // 255, np.uint8)


def overlay(pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint a mask half transparent red onto its photograph, with a thin solid outline.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB; not changed.
    mask
        (H, W) uint8, 0 or 255.

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    painted = pixels.copy()
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return painted
    part = (slice(y, y + height), slice(x, x + width))
    cv2.copyTo(cv2.LUT(pixels[part], _REDDENED), mask[part], painted[part])
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(mask.shape) / 1000))
    return np.asarray(cv2.drawContours(painted, contours, -1, OVERLAY_RGB, thickness), np.uint8)


def encode_picture(suffix: str, picture: NDArray[Any]) -> bytes:
    """Encode a picture; colours are tagged sRGB, masks are numbers.

    Parameters
    ----------
    suffix
        ``.png`` or ``.jpg``.
    picture
        (H, W) of 8 or 16 bits, (H, W, 3) uint8 RGB or (H, W, 4) uint8 RGBA.

    Raises
    ------
    EncodingError
        It is too large for the format.
    """
    if picture.ndim == 2 and suffix == ".png":
        encoded = encode_map(picture)
    else:
        encoded = _encode_colours(suffix, picture)
    if encoded is None:
        height, width = picture.shape[:2]
        raise EncodingError(
            f"a {suffix[1:].upper()} of {width} x {height} pixels cannot be made; lower input.max_pixels"
        )
    return encoded


def _encode_colours(suffix: str, picture: NDArray[np.uint8]) -> bytes | None:
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options: Sequence[int] = (cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION)
    if suffix == ".jpg":
        options = (cv2.IMWRITE_JPEG_QUALITY, OVERLAY_QUALITY)
    whole, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, order), options)
    return tagged_srgb(encoded.tobytes()) if whole else None


def _remove_further_faces(root: Path, name: str, number: int) -> None:
    """Remove pictures of faces that an interrupted run with other settings may have left: ``name_N.png``."""
    for kind in FACE_FOLDERS:
        for further in itertools.count(number):
            path = root / kind / f"{name}_{further}.png"
            if not path.is_file():
                break
            remove_outputs(root, [f"{kind}/{name}_{further}.png"])
