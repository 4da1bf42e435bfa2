"""Which files are clips: by their first bytes, by their names, or by a pattern of numbers."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from pipeline.formats import SNIFF_BYTES, sniff_format

CLIP_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "m4v", "mov", "qt", "3gp", "3g2", "mkv", "webm", "avi", "wmv", "asf", "flv", "f4v"),
        *("ts", "m2ts", "mts", "mpg", "mpeg", "vob", "ogv", "mxf", "y4m", "nut", "dv", "h264", "hevc"),
    )
)
"""Files of these names in a folder are listed whatever is in them: a damaged one is not overlooked."""

SOUND_SUFFIXES = frozenset(
    f".{suffix}" for suffix in ("mka", "m4a", "m4b", "oga", "ogg", "opus", "wma", "spx")
)
"""Files of these names begin like clips but hold sound alone."""

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")
"""Formats of pictures that may move; names of Pillow's."""

_CAMERA = re.compile(r"camera:\d{1,3}")
_NUMBER = re.compile(r"%0?(\d*)d")
_MAGIC = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"OggS",
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"YUV4MPEG2 ",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"nut/multimedia",
)
_STILL_BRANDS = (
    b"avif",
    b"avis",
    b"heic",
    b"heix",
    b"hevc",
    b"heim",
    b"heis",
    b"mif1",
    b"msf1",
    b"crx ",
    b"M4A ",
)
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free")


def is_clip(path: str, *, animations: bool) -> bool:
    """Whether a path is a clip rather than a photograph.

    Parameters
    ----------
    path
        A file, or a pattern of numbered pictures.
    animations
        Whether pictures of several frames are clips.
    """
    if is_pattern(path):
        return True
    suffix = Path(path).suffix.lower()
    head = _head(path)
    if head is None or suffix in SOUND_SUFFIXES:
        return suffix in CLIP_SUFFIXES
    if sniff_format(head) in ANIMATED_FORMATS:
        return animations and _frames(path) > 1
    if suffix in CLIP_SUFFIXES:
        return sniff_format(head) is None
    return begins_like_clip(head)


def begins_like_clip(head: bytes) -> bool:
    """Whether a file's first bytes are those of a container of moving pictures.

    Parameters
    ----------
    head
        The first `pipeline.formats.SNIFF_BYTES` bytes, or all there are.
    """
    if head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return True
    return head[4:8] in _ATOMS and not (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS)


def is_animation(path: str) -> bool:
    """Whether a file begins like a picture that may hold several frames."""
    head = _head(path)
    return head is not None and sniff_format(head) in ANIMATED_FORMATS


def is_camera(path: str) -> bool:
    """Whether an input names a camera: ``camera:NUMBER``."""
    return _CAMERA.fullmatch(path) is not None


def is_pattern(path: str) -> bool:
    """Whether a path names numbered pictures: one ``%d`` or ``%0Nd`` in its last part, and no such file."""
    return len(_NUMBER.findall(Path(path).name)) == 1 and not Path(path).exists()


def pictures_of(path: str) -> list[str]:
    """The pictures that a pattern names, by their numbers; empty where there are none."""
    folder, name = Path(path).parent, Path(path).name
    number = _NUMBER.search(name)
    if number is None:
        return []
    width = int(number.group(1) or 0)
    before, after = re.escape(name[: number.start()]), re.escape(name[number.end() :])
    wanted = re.compile(f"{before}(\\d{{{max(width, 1)},}}){after}")
    found = []
    for file in folder.iterdir() if folder.is_dir() else ():
        match = wanted.fullmatch(file.name)
        if match and (len(match.group(1)) == width or not match.group(1).startswith("0") or width == 0):
            found.append((int(match.group(1)), str(file)))
    return [file for _, file in sorted(found)]


def _head(path: str) -> bytes | None:
    """The first bytes of a regular file; None where they can't be read."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return file.read(SNIFF_BYTES)
    except (OSError, ValueError):
        return None


def _frames(path: str) -> int:
    try:
        with Image.open(path, formats=ANIMATED_FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - a damaged picture fails when it is read, with a message
        return 1
