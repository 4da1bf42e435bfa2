"""Reading photographs: any common file in, upright RGB pixels out, or one clear error."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.files import printable

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""What is decoded. Other decoders of Pillow (PostScript, Photoshop, ...) are never tried."""

SNIFF_BYTES = 32
"""Bytes of a file's beginning that `sniff_format` looks at."""

_ORIENTATION_TAG = 0x0112
_NEW_SUBFILE_TYPE_TAG, _SUB_IFDS_TAG, _DNG_VERSION_TAG = 254, 330, 50706
_HINT = "Open it in a picture viewer; save it anew as JPEG or PNG, or leave it out"

# What Pillow's decoders and header readers raise on damaged files, found by fuzzing and in its source.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    EOFError,
    BufferError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photograph.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8 RGB, upright: as viewers and ``cv2.imread`` show it. Transparency is dropped, as
        ``cv2.imread`` does; colour profiles are not applied.
    orientation
        EXIF orientation 1-8 of the stored pixels; 1 when there is none or it makes no sense.
    stored_size_wh
        Width and height in pixels as stored, before the orientation is applied.
    sha256
        Hex digest of the file's bytes.
    format
        Pillow's name of the file format, such as ``JPEG``.
    """

    pixels: NDArray[np.uint8]
    orientation: int
    stored_size_wh: tuple[int, int]
    sha256: str
    format: str


def read_photo(path: str | PathLike[str], *, max_pixels: int) -> Photo:
    """Read a photograph by its content, whatever its name.

    JPEG (also CMYK and YCCK), PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 and AVIF; grey, palette, alpha,
    16-bit (scaled by 255 / 65535), 32-bit and float; the first frame or page of several.
    Use it from one thread of a process at a time: it sets Pillow's limits while it works.

    Parameters
    ----------
    path
        The file.
    max_pixels
        Largest width x height that is decoded; checked on the header, before memory is taken.

    Returns
    -------
    Photo

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        Missing, not a regular file, unreadable, not an image, damaged or truncated.
    """
    with _opened(path) as file:
        return _read(file, printable(path), max_pixels)


def read_photo_bytes(content: bytes, *, max_pixels: int, shown: str = "the photograph") -> Photo:
    """Read a photograph out of the bytes of a file; as `read_photo` in all else.

    Parameters
    ----------
    content
        The whole file.
    max_pixels
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
    return _read(io.BytesIO(content), shown, max_pixels)


def file_sha256(path: str | PathLike[str]) -> str:
    """Hex SHA-256 of a photograph's bytes.

    Raises
    ------
    ImageReadError
        The file is missing, not a regular file or unreadable.
    """
    with _opened(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
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
    return np.ascontiguousarray(_to_upright(array, inverse))


def _to_upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an orientation: 2 mirror, 3 half turn, 4 flip, 5 transpose, 6 right, 7 transverse, 8 left."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def sniff_format(head: bytes) -> str | None:
    """Name the image format that a file's first bytes announce.

    Parameters
    ----------
    head
        The first `SNIFF_BYTES` bytes, or all there are.

    Returns
    -------
    str or None
        A name of `PILLOW_FORMATS`; ``HEIF`` or ``JPEG XL``, which are known but cannot be decoded;
        None for anything else.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) >= 18 and head[6:10] == bytes(4) and head[15:18] == bytes(3):
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
            return "HEIF"
    return None


_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
)


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


def _read(file: io.BufferedReader | io.BytesIO, shown: str, max_pixels: int) -> Photo:
    """Read a photograph from its open file; ``shown`` is what messages call it."""
    try:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        head = file.read(SNIFF_BYTES)
        file.seek(0)
    except OSError as error:
        raise ImageReadError(f"{shown}: cannot be read: {error.strerror}. Check the disk") from error
    if not head:
        raise ImageReadError(f"{shown}: is empty (0 bytes). Copy it anew from where it came")
    with _pillow_limits(max_pixels):
        try:
            image = Image.open(file, formats=PILLOW_FORMATS)
            size_wh = image.size
            _refuse_previews(image, head, shown)
            orientation = _orientation(image)
            image.load()
            pixels = _rgb(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ImageTooLargeError(
                f"{shown}: more than {max_pixels} pixels ({_numbers(str(error))}). "
                "Shrink it, or raise input.max_pixels"
            ) from error
        except UnidentifiedImageError as error:
            raise ImageReadError(f"{shown}: {_not_an_image(head)}") from error
        except MemoryError as error:
            raise ImageReadError(
                f"{shown}: not enough memory to decode it. Lower input.max_pixels or execution.workers"
            ) from error
        except ImageReadError:
            raise
        except _PILLOW_ERRORS as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise ImageReadError(f"{shown}: damaged or truncated: {reason}. {_HINT}") from error
    if image.format == "TIFF":  # Pillow has turned it already
        stored_size_wh = size_wh[::-1] if orientation >= 5 else size_wh
        upright = pixels
    else:
        stored_size_wh = size_wh
        upright = _to_upright(pixels, orientation)
    expected = stored_size_wh if orientation >= 5 else stored_size_wh[::-1]
    if upright.shape[:2] != expected or upright.size == 0:
        raise ImageReadError(f"{shown}: damaged: its header and its pixels disagree in size. {_HINT}")
    return Photo(
        np.ascontiguousarray(upright), orientation, stored_size_wh, sha256, image.format or "unknown"
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


def _refuse_previews(image: ImageFile.ImageFile, head: bytes, shown: str) -> None:
    """Refuse camera raw files: they are TIFFs whose first page is a thumbnail."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return
    subfile_type = tags.get(_NEW_SUBFILE_TYPE_TAG)
    reduced = isinstance(subfile_type, int) and subfile_type & 1 and _SUB_IFDS_TAG in tags
    if reduced or _DNG_VERSION_TAG in tags or head[8:10] == b"CR":
        raise ImageReadError(f"{shown}: is a camera's raw file. Develop it to JPEG or TIFF first")


def _orientation(image: ImageFile.ImageFile) -> int:
    """Read the EXIF orientation; 1 where it is missing or nonsense. Like ``cv2.imread`` it ignores XMP."""
    image.info.pop("xmp", None)
    image.info.pop("XML:com.adobe.xmp", None)
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _PILLOW_ERRORS:
        image.getexif().clear()
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any mode to (H, W, 3) uint8 RGB."""
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        grey = _scaled_to_8_bits(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _scaled_to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale grey values: 16-bit by 255 / 65535; others by the narrowest usual range that holds them.

    Usual ranges: 0-1 (floats), 0-255, 0-65535; values beyond them are stretched from their least to their
    largest. Values that are no numbers become black.
    """
    if values.dtype == np.uint16:
        return np.asarray((values.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)
    numbers = np.where(np.isfinite(values), values, 0).astype(np.float64)
    least, largest = float(numbers.min()), float(numbers.max())
    if values.dtype.kind == "f" and least >= 0 and largest <= 1:
        low, high = 0.0, 1.0
    elif least >= 0 and largest <= 65535:
        low, high = 0.0, 255.0 if largest <= 255 else 65535.0
    else:
        low, high = least, max(largest, least + 1)
    return np.asarray(np.rint((numbers - low) * (255 / (high - low))), np.uint8)


def _not_an_image(head: bytes) -> str:
    name = sniff_format(head)
    if name in ("HEIF", "JPEG XL"):
        return f"{name} photographs cannot be decoded. Convert it to JPEG or PNG"
    if name is not None:
        return f"begins like {name} but is damaged. {_HINT}"
    return "is not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, ...). Leave it out"


def _numbers(text: str) -> str:
    digits = [part for part in text.replace("(", " ").split() if part.isdigit()]
    return f"{digits[0]} pixels" if digits else "header"
