"""Reading photographs: any common file in, upright RGB pixels out, or one clear error."""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.decoded import as_shown
from pipeline.decoders import PILLOW_ERRORS, decode
from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.files import printable
from pipeline.formats import SNIFF_BYTES, sniff_format, too_large

_PIECE_BYTES = 1 << 18

_HINT = "Open it in a picture viewer; save it anew as JPEG or PNG, or leave it out"


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photograph.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8 RGB in sRGB, upright: as viewers show it, transparent pixels on the background.
    orientation
        EXIF orientation 1-8 of the stored pixels; 1 when there is none or it makes no sense. HEIF and JPEG XL
        turn pictures as a part of decoding: what any decoder gives is stored there, and this is 1.
    stored_size_wh
        Width and height in pixels as stored, before the orientation is applied.
    sha256
        Hex digest of the file's bytes.
    format
        Pillow's name of the file format, such as ``JPEG``; ``RAW`` for a camera's raw file.
    alpha
        (H, W) uint8, upright: 255 where the photograph is opaque, 0 where the background is seen; None where
        it is opaque everywhere.
    frames
        Pictures in the file, such as pages or frames of an animation; only the first (of HEIF: the primary)
        is looked at.
    notes
        What was converted, estimated or ignored in reading, for people.
    """

    pixels: NDArray[np.uint8]
    orientation: int
    stored_size_wh: tuple[int, int]
    sha256: str
    format: str
    alpha: NDArray[np.uint8] | None = None
    frames: int = 1
    notes: tuple[str, ...] = ()


def read_photo(
    path: str | PathLike[str], *, max_pixels: int, background_rgb: tuple[int, int, int] = (255, 255, 255)
) -> Photo:
    """Read a photograph by its content, whatever its name, as a viewer shows it.

    JPEG (also CMYK and YCCK), PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 and AVIF, with the extra ``formats``
    also HEIF, JPEG XL and cameras' raw files; grey, palette, transparent, of 1 to 64 bits a sample
    (`pipeline.depth`), with colour profiles (`pipeline.colour`); the first frame or page of several.
    Use it from one thread of a process at a time: it sets Pillow's limits while it works.

    Parameters
    ----------
    path
        The file.
    max_pixels
        Largest width x height that is decoded; checked on the header, before memory is taken.
    background_rgb
        What is seen through transparent pixels, sRGB 0-255.

    Returns
    -------
    Photo

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        Missing, not a regular file, unreadable, not an image, damaged or truncated, or of a format whose
        package is not installed.
    """
    with _opened(path) as file:
        return _read(file, printable(path), max_pixels, background_rgb)


def read_photo_bytes(
    content: bytes,
    *,
    max_pixels: int,
    background_rgb: tuple[int, int, int] = (255, 255, 255),
    shown: str = "the photograph",
) -> Photo:
    """Read a photograph out of the bytes of a file; as `read_photo` in all else.

    Parameters
    ----------
    content
        The whole file.
    max_pixels, background_rgb
        As for `read_photo`.
    shown
        What messages call it.

    Returns
    -------
    Photo

    Raises
    ------
    ImageTooLargeError, ImageReadError
        As for `read_photo`.
    """
    return _read(io.BytesIO(content), shown, max_pixels, background_rgb)


def keep_quiet() -> None:
    """Tell nobody that something goes on."""


def file_sha256(path: str | PathLike[str], progress: Callable[[], None] = keep_quiet) -> str:
    """Hex SHA-256 of a photograph's bytes.

    Parameters
    ----------
    path
        The file.
    progress
        Called after every piece that was read.

    Raises
    ------
    ImageReadError
        The file is missing, not a regular file or unreadable.
    """
    with _opened(path) as file:
        try:
            digest = hashlib.sha256()
            piece = memoryview(bytearray(_PIECE_BYTES))
            while count := file.readinto(piece):
                digest.update(piece[:count])
                progress()
            return digest.hexdigest()
        except OSError as error:
            raise ImageReadError(
                f"{printable(path)}: cannot be read: {error.strerror}. Check the disk"
            ) from error


def to_stored_orientation(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an upright array back onto the stored pixel grid.

    Parameters
    ----------
    array
        (H, W) or (H, W, C), upright.
    orientation
        EXIF orientation 1-8 of the photograph (EXIF 2.32, tag 0x0112).

    Returns
    -------
    array
        A contiguous copy, or ``array`` itself for orientation 1; (W, H) for the orientations 5-8.
    """
    if orientation == 1:
        return array
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    return np.ascontiguousarray(to_upright(array, inverse))


def to_upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation: 2 mirror, 3 half turn, 4 flip, 5 transpose, 6 right, 7 transverse, 8 left.

    Parameters
    ----------
    array
        (H, W) or (H, W, C), as stored.
    orientation
        1-8 (EXIF 2.32, tag 0x0112).

    Returns
    -------
    array
        A view.
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[io.BufferedReader]:
    """Open a regular file; a named pipe or device is refused before it can block."""
    shown = printable(path)
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            next(Path(path).iterdir(), None)  # listed as a photograph because it could not be entered
            raise ImageReadError(f"{shown}: is a folder, not a photograph")
        if not stat.S_ISREG(mode):
            raise ImageReadError(f"{shown}: is not a regular file but a pipe, socket or device. Leave it out")
        file = Path(path).open("rb")  # noqa: SIM115
    except FileNotFoundError as error:
        broken = Path(path).is_symlink()
        what = "is a link to a file that is not there" if broken else "no such file"
        raise ImageReadError(f"{shown}: {what}. It may have been moved since it was listed") from error
    except OSError as error:
        raise ImageReadError(f"{shown}: cannot be opened: {error.strerror}. Check its permissions") from error
    except ValueError as error:
        raise ImageReadError(f"{shown}: is not a usable file name: {error}") from error
    with file:
        yield file


def _read(
    file: io.BufferedReader | io.BytesIO, name: str, max_pixels: int, background_rgb: tuple[int, int, int]
) -> Photo:
    """Read a photograph from its open file; ``name`` is what messages call it."""
    try:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        head = file.read(SNIFF_BYTES)
        file.seek(0)
    except OSError as error:
        raise ImageReadError(f"{name}: cannot be read: {error.strerror}. Check the disk") from error
    if not head:
        raise ImageReadError(f"{name}: is empty (0 bytes). Copy it anew from where it came")
    with _pillow_limits(max_pixels):
        try:
            decoded = decode(file, head, name, max_pixels=max_pixels)
            pixels, notes = as_shown(decoded, background_rgb)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ImageTooLargeError(too_large(name, _number_in(str(error)), max_pixels)) from error
        except UnidentifiedImageError as error:
            raise ImageReadError(f"{name}: {_not_an_image(head)}") from error
        except MemoryError as error:
            raise ImageReadError(
                f"{name}: not enough memory to decode it. Lower input.max_pixels or execution.workers"
            ) from error
        except ImageReadError:
            raise
        except PILLOW_ERRORS as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise ImageReadError(f"{name}: damaged or truncated: {reason}. {_HINT}") from error
    if pixels.size == 0:
        raise ImageReadError(f"{name}: damaged: it has no pixels. {_HINT}")
    orientation, alpha = decoded.orientation, decoded.alpha
    if not decoded.is_upright:
        pixels = to_upright(pixels, orientation)
        alpha = None if alpha is None else np.ascontiguousarray(to_upright(alpha, orientation))
    height, width = pixels.shape[:2]
    return Photo(
        np.ascontiguousarray(pixels),
        orientation,
        (height, width) if orientation >= 5 else (width, height),
        sha256,
        decoded.format,
        alpha,
        decoded.frames,
        notes,
    )


@contextmanager
def _pillow_limits(max_pixels: int) -> Iterator[None]:
    """Make Pillow refuse larger images while they are still headers, and keep other warnings quiet."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _not_an_image(head: bytes) -> str:
    name = sniff_format(head)
    if name is not None:
        return f"begins like {name} but is damaged. {_HINT}"
    return "is not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, ...). Leave it out"


def _number_in(text: str) -> str:
    """The first number in a message of Pillow's."""
    return next((part for part in text.replace("(", " ").split() if part.isdigit()), "its header says so:")
