"""Kinds of pictures: told by their first bytes or their name, and what of them can be read."""

from __future__ import annotations

from collections.abc import Iterable


def _suffixes(*groups: Iterable[str]) -> frozenset[str]:
    return frozenset(f".{name}" for group in groups for name in group)


SNIFF_BYTES = 32
"""Bytes of a file's beginning that `sniff_format` looks at."""

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""What is read always. Other decoders of Pillow (PostScript, Photoshop, ...) are never tried."""

EXTRA_FORMATS = {"HEIF": "pillow-heif", "JPEG XL": "pillow-jxl-plugin", "RAW": "rawpy"}
"""What is read where the package is installed: the extra ``formats`` of `pyproject.toml`."""

RAW_SUFFIXES = _suffixes(
    ("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "kdc", "mef"),
    ("mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
)
"""Cameras' raw files."""

IMAGE_SUFFIXES = RAW_SUFFIXES | _suffixes(
    ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "tif", "tiff", "bmp", "dib", "gif"),
    ("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "jpx", "avif", "heic", "heif", "hif", "jxl"),
)
"""Files of these names in a folder are listed whatever is in them: a damaged one is not overlooked."""

UNREAD_SUFFIXES = _suffixes(
    ("ai", "bpg", "cin", "cur", "dcm", "dds", "djvu", "dpx", "emf", "eps", "exr", "fits", "flif", "hdr"),
    ("icns", "ico", "jxr", "kra", "pcx", "pfm", "pic", "pict", "psb", "psd", "qoi", "sgi", "svg", "svgz"),
    ("tga", "wdp", "wmf", "xbm", "xcf", "xpm"),
)
"""Kinds of pictures that are not read: a folder's are counted and named, not passed over without a word."""

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
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"IIRO", "RAW"),
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\0", "RAW"),
    (b"FOVb", "RAW"),
    (b"\0MRM", "RAW"),
    (b"II\x1a\0\0\0HEAPCCDR", "RAW"),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs")


def sniff_format(head: bytes) -> str | None:
    """Name the image format that a file's first bytes announce.

    Parameters
    ----------
    head
        The first `SNIFF_BYTES` bytes, or all there are.

    Returns
    -------
    str or None
        A name of `PILLOW_FORMATS` or `EXTRA_FORMATS`; None for anything else. Most cameras' raw files are
        TIFFs to the first glance; their tags tell (`pipeline.raw.is_raw`).
    """
    if head[:4] == b"II*\0" and head[8:10] == b"CR":
        return "RAW"
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
        return _of_brands([head[place : place + 4] for place in (8, 16, 20, 24, 28)])
    return None


def needs_extra(name: str) -> str:
    """Say which package a format of `EXTRA_FORMATS` needs, and how to install it."""
    return f'That needs {EXTRA_FORMATS[name]}: pip install "uncrop[formats]"'


def too_large(shown: str, count: int | str, max_pixels: int) -> str:
    """Say that a picture has more pixels than allowed."""
    return f"{shown}: more than {max_pixels} pixels ({count} pixels). Shrink it, or raise input.max_pixels"


def _of_brands(brands: list[bytes]) -> str | None:
    """Of an ISO base media file's major brand and the compatible ones after it."""
    major, *others = brands
    if major == b"crx ":
        return "RAW"
    if major in (b"mif1", b"msf1"):  # any still picture or sequence
        return "AVIF" if any(brand in _AVIF_BRANDS for brand in others) else "HEIF"
    if major in _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if major in _HEIF_BRANDS else None
