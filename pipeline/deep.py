"""PNG and TIFF with more than 8 bits a sample, which Pillow would cut to 8 before their range is known."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from landmarks.arrays import Pixels
from pipeline.decoded import Decoded, straight
from pipeline.depth import to_8_bits
from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import too_large

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_SAMPLES, _MAX_SAMPLE, _PLANAR, _EXTRA_SAMPLES = 277, 281, 284, 338
_SAMPLE_FORMAT, _S_MAX_SAMPLE, _ICC_PROFILE, _SUBFILE_TYPE = 339, 341, 34675, 254
"""Tags of TIFF 6.0 (and of ICC.1, annex B)."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2  # values of ExtraSamples: multiplied into the colours, or not
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3  # values of SampleFormat
_MOST_FRAMES = 100_000

# What OpenCV decodes to the letter: format and bits of the samples.
_OPENCV_KINDS = {(_UNSIGNED, bits) for bits in (10, 12, 14, 16)} | {(_SIGNED, 16), (_FLOAT, 32), (_FLOAT, 64)}
_opencv_log = threading.Lock()

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END_CHUNK = b"\0\0\0\0IEND\xaeB\x60\x82"


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """Samples as stored: (H, W) or (H, W, 3) colours, alpha of the same type or None."""

    colours: NDArray[Any]
    alpha: NDArray[Any] | None = None
    associated: bool = False
    white_is_zero: bool = False
    declared: float | None = None


class TiffTags(Mapping[int, Any]):
    """Tags of the pages of a TIFF, read without decoding anything.

    Parameters
    ----------
    file
        Its place is put back.

    Raises
    ------
    SyntaxError, struct.error
        The file is no TIFF, or damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        start = file.tell()
        header = file.read(8)
        self._is_big = b"+" in header[2:4]  # 43, where TIFF has 42
        self._byte_order: Literal["little", "big"] = "little" if header[:1] == b"I" else "big"
        if self._is_big:
            header += file.read(8)
            if self._byte_order == "big":
                raise SyntaxError("a BigTIFF with the most significant byte first is not read")
        first = TiffImagePlugin.ImageFileDirectory_v2(header)
        self._place = first.next
        self._first: TiffImagePlugin.ImageFileDirectory_v2 | None = None
        self.frames = 0
        seen: set[int] = set()
        page = first
        while page.next and page.next not in seen and len(seen) < _MOST_FRAMES:
            seen.add(page.next)
            file.seek(page.next)
            page = TiffImagePlugin.ImageFileDirectory_v2(header) if self._first is not None else first
            page.load(file)
            if self._first is None:
                self._first = page
            if self._first is page or not self._number(page, _SUBFILE_TYPE, 0) & 0b101:  # smaller copy, mask
                self.frames += 1
        file.seek(start)
        if self._first is None:
            raise SyntaxError("it has no page")

    def __getitem__(self, tag: int) -> Any:
        if self._first is None:
            raise KeyError(tag)
        return self._first[tag]

    def __iter__(self) -> Iterator[int]:
        return iter(self._first or ())

    def __len__(self) -> int:
        return len(self._first or ())

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag as a whole number."""
        return self._number(self, tag, default)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """All values of a tag; empty where there is none."""
        value = self.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(
            float(one) for one in values if isinstance(one, int | float | TiffImagePlugin.IFDRational)
        )

    def unturned(self, content: bytes) -> bytearray:
        """The file with its first page's orientation made 1, for a decoder that would turn the pixels."""
        changed = bytearray(content)
        count, size, value = (8, 20, 12) if self._is_big else (2, 12, 8)
        place = self._place + count
        for _ in range(int.from_bytes(changed[self._place : place], self._byte_order)):
            entry = changed[place : place + size]
            if len(entry) < size:
                break
            if int.from_bytes(entry[:2], self._byte_order) == _ORIENTATION:
                changed[place + value : place + value + 2] = (1).to_bytes(2, self._byte_order)
                break
            place += size
        return changed

    @staticmethod
    def _number(tags: Mapping[int, Any], tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = value[0] if isinstance(value, tuple) and value else value
        return value if isinstance(value, int) else default

    @property
    def is_deep(self) -> bool:
        """Whether the first page is grey or RGB with more than 8 bits a sample, or with fractions."""
        bits = max(self.numbers(_BITS), default=1)
        deep = bits > 8 or self.number(_SAMPLE_FORMAT, _UNSIGNED) == _FLOAT
        return deep and self.number(_PHOTOMETRIC, -1) in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)


def read_deep_tiff(file: BinaryIO, tags: TiffTags, shown: str, *, max_pixels: int) -> Decoded:
    """Read a TIFF for which `TiffTags.is_deep`.

    Parameters
    ----------
    file
        At its beginning.
    tags
        Its tags.
    shown
        Its name, for messages.
    max_pixels
        Held against the header before anything is decoded.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageTooLargeError
        More pixels than ``max_pixels``.
    ImageReadError
        No decoder knows this kind, or it is damaged.
    """
    width, height = tags.number(_WIDTH, 0), tags.number(_HEIGHT, 0)
    if width * height > max_pixels:
        raise ImageTooLargeError(too_large(shown, width * height, max_pixels))
    stored = _tiff_array(file, tags, shown)
    if stored.shape[:2] != (height, width):
        raise ImageReadError(f"{shown}: damaged: its header and its pixels disagree in size")
    photometric = tags.number(_PHOTOMETRIC, _BLACK_IS_ZERO)
    count = 3 if photometric == _RGB else 1
    if stored.ndim == 2:
        stored = stored[:, :, None]
    if stored.shape[2] < count:
        raise ImageReadError(f"{shown}: damaged: RGB with {stored.shape[2]} samples a pixel")
    extra = tags.numbers(_EXTRA_SAMPLES) if _EXTRA_SAMPLES in tags else (_UNASSOCIATED,)
    kind = extra[0] if extra and stored.shape[2] > count else 0
    samples = _Samples(
        stored[:, :, :3] if count == 3 else stored[:, :, 0],
        stored[:, :, count] if kind in (_ASSOCIATED, _UNASSOCIATED) else None,
        kind == _ASSOCIATED,
        photometric == _WHITE_IS_ZERO,
        _declared_white(tags),
    )
    profile = tags.get(_ICC_PROFILE)
    orientation = tags.number(_ORIENTATION, 1)
    image, alpha, notes = _in_8_bits(samples)
    return Decoded(
        image,
        alpha,
        profile if isinstance(profile, bytes) else None,
        "TIFF",
        orientation if 1 <= orientation <= 8 else 1,
        frames=tags.frames,
        notes=notes,
    )


def is_deep_png(head: bytes) -> bool:
    """Whether a PNG's header (its first 25 bytes) tells of 16 bits a sample."""
    return len(head) > 24 and head[24] == 16


def read_deep_png(file: BinaryIO, image: Image.Image) -> tuple[Image.Image, Pixels | None, tuple[str, ...]]:
    """Read a PNG for which `is_deep_png`.

    Parameters
    ----------
    file
        The whole file can be read from it.
    image
        The same as Pillow has read it, to the end, so that the file is known to be whole.

    Returns
    -------
    image
        Mode ``RGB`` or ``L``, 8 bits.
    alpha
        (H, W) uint8, or None.
    notes
        What was estimated, for people.

    Raises
    ------
    ValueError
        It is damaged.
    """
    file.seek(0)
    content = file.read()
    transparent = image.info.get("transparency")
    significant = _significant_bits(content)
    if image.mode == "I;16":
        colours = np.asarray(image)
        alpha = None
        if isinstance(transparent, int):
            alpha = np.where(colours == transparent, np.uint16(0), np.uint16(65535))
    else:
        stored = _by_opencv(_bare(content))
        if stored is None or stored.dtype != np.uint16 or stored.ndim != 3:
            raise ValueError("its pixels cannot be decoded")
        colours, alpha = stored[:, :, :3], stored[:, :, 3] if stored.shape[2] == 4 else None
        if image.mode == "LA":
            colours = colours[:, :, 0]
    declared = None
    if significant is not None and significant < 16:
        declared = float((1 << significant) - 1) if _right_aligned(colours, significant) else 65535.0
    return _in_8_bits(_Samples(colours, alpha, declared=declared))


def _in_8_bits(samples: _Samples) -> tuple[Image.Image, Pixels | None, tuple[str, ...]]:
    colours, note = to_8_bits(samples.colours, samples.declared)
    if samples.white_is_zero:
        colours = 255 - colours
    alpha = None if samples.alpha is None else _alpha_to_8_bits(samples.alpha, samples.declared)
    if alpha is not None and alpha.min() == 255:
        alpha = None
    if alpha is not None and samples.associated:
        colours = straight(colours, alpha)
    return Image.fromarray(colours), alpha, (note,) if note else ()


def _alpha_to_8_bits(alpha: NDArray[Any], declared: float | None) -> NDArray[np.uint8]:
    if alpha.dtype.kind == "f":
        return to_8_bits(alpha, 1.0)[0]
    largest = int(np.iinfo(alpha.dtype).max)
    if declared is not None and int(alpha.max()) <= declared:
        largest = int(declared)
    elif declared is None and alpha.dtype == np.uint16:
        return to_8_bits(alpha)[0] if alpha.any() else np.zeros(alpha.shape, np.uint8)
    return to_8_bits(alpha, float(largest))[0]


def _declared_white(tags: TiffTags) -> float | None:
    """White by ``SMaxSampleValue`` or ``MaxSampleValue``.

    TIFF 6.0 lets writers put their largest sample there, so whole numbers are taken to mean the depth that
    holds them: 4095 and 3900 mean 12 bits. Without them the bits of a packed file are its depth.
    """
    declared = max(tags.numbers(_S_MAX_SAMPLE) or tags.numbers(_MAX_SAMPLE), default=0.0)
    if declared <= 0:
        return None
    if tags.number(_SAMPLE_FORMAT, _UNSIGNED) == _FLOAT:
        return declared
    return float((1 << max(int(declared).bit_length(), 8)) - 1)


def _right_aligned(values: NDArray[np.uint16], bits: int) -> bool:
    """Whether samples with so many significant bits lie in the lowest ones, against the PNG specification.

    It wants them scaled up to the full range. Scaled ones below ``2 ** bits`` are multiples of
    ``2 ** (16 - bits)``.
    """
    return int(values.max()) < 1 << bits and bool((values & np.uint16((1 << (16 - bits)) - 1)).any())


def _significant_bits(content: bytes) -> int | None:
    """The largest entry of a PNG's ``sBIT`` chunk, which stands before the pixels."""
    for kind, chunk in png_chunks(content):
        if kind == b"IDAT":
            break
        if kind == b"sBIT":
            entries = chunk[8:-4]
            bits = max(entries[: 3 if len(entries) >= 3 else 1], default=0)  # without that of alpha
            return bits if 1 <= bits <= 16 else None
    return None


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes, with length and checksum, of the whole chunks of a PNG; a cut-off one ends them."""
    place = len(PNG_SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if place + 12 + length > len(content):
            return
        yield kind, content[place : place + 12 + length]
        place += 12 + length


def _bare(content: bytes) -> bytes:
    """Of a PNG what its pixels need: other chunks may cost a decoder time and memory."""
    kept = [chunk for kind, chunk in png_chunks(content) if kind in (b"IHDR", b"tRNS", b"IDAT")]
    return PNG_SIGNATURE + b"".join(kept) + _END_CHUNK


def _tiff_array(file: BinaryIO, tags: TiffTags, shown: str) -> NDArray[Any]:
    """(H, W) or (H, W, samples) as stored; OpenCV's decoder first, tifffile's for rarer kinds."""
    kind = (tags.number(_SAMPLE_FORMAT, _UNSIGNED), tags.number(_BITS, 1))
    samples = tags.number(_SAMPLES, 1)
    reason = "its pixels cannot be decoded"
    if kind in _OPENCV_KINDS and samples in (1, 3, 4) and (samples == 1 or tags.number(_PLANAR, 1) == 1):
        array = _by_opencv(tags.unturned(file.read()))
        if array is not None:
            return array
        file.seek(0)
    import tifffile  # noqa: PLC0415 - takes a tenth of a second, and few files need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says is said in our error, too
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            array = page.asarray(maxworkers=1)
            separate = page.planarconfig == 2 and samples > 1
    except Exception as error:
        raise ImageReadError(f"{shown}: damaged, or of a kind that is not read: {error or reason}") from error
    array = np.moveaxis(array, 0, -1) if separate and array.ndim == 3 else array
    return np.asarray(array)


def _by_opencv(content: bytes | bytearray) -> NDArray[Any] | None:
    """Decode with red first; None where OpenCV cannot. Of a TIFF it applies the orientation."""
    import cv2  # noqa: PLC0415 - only these files need it here

    with _silent_opencv(cv2):
        try:
            array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None
    if array is None or array.ndim == 2:
        return array
    order = [2, 1, 0, 3][: array.shape[2]]
    return np.asarray(array[:, :, order])


@contextmanager
def _silent_opencv(cv2: Any) -> Iterator[None]:
    """Keep OpenCV from printing what is said better as an error."""
    with _opencv_log:
        before = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(before)
