"""Colour: from the profile that a file carries to sRGB, and the sRGB profile that our pictures carry."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SRGB_PRIMARIES_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65_XY = (0.3127, 0.3290)
"""Red, green and blue, and the white, of ITU-R BT.709 and IEC 61966-2-1 (sRGB)."""

GREATEST_PROFILE_BYTES = 8 << 20
"""Larger profiles are no profiles: the largest of printers take about 4 MB."""

SAME_LEVELS = 2
"""A profile that moves no colour by more than this, of 255, is sRGB by another name: the pixels stay."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_D50_XYZ = (0.9642, 1.0, 0.8249)  # the profile connection space of ICC.1
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CURVE_ENTRIES = 1024
_HDR_TRANSFERS = (16, 18)  # PQ and HLG, by their numbers in ITU-T H.273
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY", "LAB": "Lab "}
_CLASSES = ("mntr", "scnr", "prtr", "spac")

# What ImageCms raises on profiles that are none, or of another kind than they say.
_CMS_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a profile means for a picture of some mode.

    Attributes
    ----------
    name
        The profile's own name, for people; empty when it has none.
    transform
        To sRGB; None where nothing is to be done: the profile is sRGB, or cannot be used.
    usable
        False for a profile that is damaged or meant for other pictures.
    """

    name: str
    transform: ImageCms.ImageCmsTransform | None
    usable: bool


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Bring a picture to sRGB, as viewers that heed profiles show it.

    Parameters
    ----------
    image
        Mode ``RGB``, ``L``, ``CMYK`` or ``LAB``, without transparency.
    profile
        The ICC profile that it carries (ICC.1), or None. One that cannot be used is ignored, as viewers do.

    Returns
    -------
    image
        Mode ``RGB``. ``image`` itself where it is RGB already and nothing is to be done. Without a profile
        grey and RGB are taken for sRGB, CMYK for inks that mix ideally, and LAB for CIE L*a*b* under D50.
    note
        What was done, for people; None when there was nothing to do.
    """
    note = None
    if profile or image.mode == "LAB":
        if image.mode == "L" and profile is not None and profile[16:20] == b"RGB ":
            image = image.convert("RGB")  # a grey picture in an RGB profile: three times the same value
        conversion = _conversion(profile or b"", image.mode)
        if conversion.transform is not None:
            converted = _applied(conversion.transform, image)
            if converted is not None:
                return converted, f"colours converted to sRGB from {conversion.name or 'a profile'}"
        if not conversion.usable and image.mode == "LAB" and profile:
            return to_srgb(image, None)[0], "its colour profile cannot be used and was ignored"
        if not conversion.usable:
            note = "its colour profile cannot be used and was ignored"
    return image if image.mode == "RGB" else image.convert("RGB"), note


def described_profile(info: Mapping[Any, Any], *, grey: bool = False) -> bytes | None:
    """The profile of a picture that describes its colours in numbers, and carries no ICC profile.

    Parameters
    ----------
    info
        What Pillow says of the picture. Read are a PNG's ``gAMA`` (the exponent from light to samples) and
        ``cHRM`` (x, y of white, red, green and blue) unless it has an ``sRGB`` chunk, and the primaries of a
        HEIF's ``nclx`` box; curves for high dynamic range are left to the decoder.
    grey
        Whether the picture is grey: its primaries mean nothing.

    Returns
    -------
    bytes or None
        An ICC profile; None where they mean sRGB, or nothing that makes sense.
    """
    if "srgb" in info:
        return None
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    nclx = info.get("nclx_profile")
    if isinstance(nclx, Mapping) and nclx.get("transfer_characteristics") not in _HDR_TRANSFERS:
        names = [
            f"color_primary_{colour}_{axis}" for colour in ("white", "red", "green", "blue") for axis in "xy"
        ]
        chromaticity = tuple(nclx.get(name, 0) for name in names)
    gamma = float(gamma) if isinstance(gamma, int | float) else None
    if gamma is None and chromaticity is None:
        return None
    like_srgb = gamma is None or abs(gamma - 1 / 2.2) < 0.01
    if gamma is not None and not 0.1 <= gamma <= 2:
        return None
    white, primaries = D65_XY, SRGB_PRIMARIES_XY
    if chromaticity is not None and len(chromaticity) == 8 and not grey:
        pairs = [(float(x), float(y)) for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True)]
        white, primaries = pairs[0], (pairs[1], pairs[2], pairs[3])
    usual = np.abs(np.array([white, *primaries]) - np.array([D65_XY, *SRGB_PRIMARIES_XY])).max() < 0.002
    if like_srgb and usual:
        return None
    try:
        return matrix_profile(
            primaries, white, None if gamma is None or like_srgb else 1 / gamma, "described colours"
        )
    except (ValueError, np.linalg.LinAlgError, struct.error):
        return None


def matrix_profile(
    primaries_xy: tuple[tuple[float, float], ...],
    white_xy: tuple[float, float],
    gamma: float | None,
    name: str,
) -> bytes:
    """Make an ICC profile (ICC.1:2001-04, version 2.4) of a display: three primaries and a tone curve.

    Parameters
    ----------
    primaries_xy
        CIE 1931 x, y of red, green and blue.
    white_xy
        CIE 1931 x, y of white; adapted to D50 by the Bradford matrix (ICC.1:2010, annex E).
    gamma
        Exponent from samples to light; None: the curve of sRGB (IEC 61966-2-1).
    name
        For people; ASCII.

    Returns
    -------
    bytes
        Always the same for the same arguments.

    Raises
    ------
    ValueError
        Primaries or a white that span no colour space.
    """
    columns = _primaries_xyz_d50(primaries_xy, white_xy)
    if gamma is None:
        curve = (
            b"curv"
            + struct.pack(">4xI", _CURVE_ENTRIES)
            + _srgb_curve(_CURVE_ENTRIES).astype(">u2").tobytes()
        )
    else:
        curve = b"curv" + struct.pack(">4xIH", 1, min(round(gamma * 256), 65535))
    text = name.encode("ascii")
    description = b"desc" + struct.pack(">4xI", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = [
        (b"desc", description),
        (b"cprt", b"text" + bytes(4) + b"No copyright, use freely\0"),
        (b"wtpt", _xyz(_D50_XYZ)),
        *((tag, _xyz(column)) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)),
        (b"rTRC", curve),
        (b"gTRC", curve),
        (b"bTRC", curve),
    ]
    start = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for tag, content in tags:
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", places[content], len(content))
    header = struct.pack(
        ">I4xI4s4s4s6H4s",
        start + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", 2026, 1, 1, 0, 0, 0, b"acsp",
    )  # fmt: skip
    header = header.ljust(68, b"\0") + b"".join(_s15_fixed_16(value) for value in _D50_XYZ)
    return header.ljust(128, b"\0") + table + body


def tagged_srgb(encoded: bytes) -> bytes:
    """Put the sRGB profile into a PNG or JPEG that has none.

    Parameters
    ----------
    encoded
        The file.

    Returns
    -------
    bytes
        The same with an ``iCCP`` chunk behind the header (PNG), or an APP2 segment behind the first segment
        (JPEG; ICC.1:2010, annex B).
    """
    if encoded.startswith(_PNG_SIGNATURE):
        place = len(_PNG_SIGNATURE) + 25  # behind IHDR
        chunk = b"iCCPsRGB\0\0" + zlib.compress(SRGB_PROFILE, 9)
        tag = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    else:
        place = 4 + struct.unpack_from(">H", encoded, 4)[0]
        body = b"ICC_PROFILE\0\1\1" + SRGB_PROFILE
        tag = b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    return encoded[:place] + tag + encoded[place:]


def _conversion_uncached(profile: bytes, mode: str) -> Conversion:
    unusable = Conversion("", None, False)
    if len(profile) > GREATEST_PROFILE_BYTES:
        return unusable
    try:
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        space, kind = source.profile.xcolor_space, source.profile.device_class
        if space != _SPACES.get(mode) or (profile and kind not in _CLASSES):
            return unusable
        name = (source.profile.profile_description or "").strip() if profile else "CIE L*a*b*"
        target = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE))
        # Of greys Little CMS would make a coarse table, too coarse for dark ones; 256 need none.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, target, mode, "RGB", flags=flags)
        same = mode in ("RGB", "L") and _is_identity(transform, mode)
    except _CMS_ERRORS:
        return unusable
    shown = "".join(c for c in name if c.isprintable())[:100]
    return Conversion(shown, None if same else transform, True)


_conversion = functools.lru_cache(maxsize=8)(_conversion_uncached)


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image | None:
    if image.mode != "L":
        return ImageCms.applyTransform(image, transform)
    every_grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    table = ImageCms.applyTransform(every_grey, transform)
    return None if table is None else Image.fromarray(np.asarray(table)[0][np.asarray(image)])


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves greys and a grid of 9 x 9 x 9 colours where they are."""
    greys = np.arange(256, dtype=np.uint8)[None]
    if mode == "L":
        given, expected = Image.fromarray(greys), np.repeat(greys[:, :, None], 3, axis=2)
    else:
        steps = np.rint(np.linspace(0, 255, 9)).astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
        expected = np.concatenate([grid, np.repeat(greys[:, :, None], 3, axis=2)], axis=1)
        given = Image.fromarray(expected)
    converted = _applied(transform, given)
    return converted is not None and _distance(np.asarray(converted), expected) <= SAME_LEVELS


def _distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(np.int16) - b).max())


def _primaries_xyz_d50(
    primaries_xy: tuple[tuple[float, float], ...], white_xy: tuple[float, float]
) -> NDArray[np.float64]:
    """(3, 3): the XYZ of red, green and blue in its columns, adapted so that white is D50."""
    if min(y for _, y in (*primaries_xy, white_xy)) <= 0:
        raise ValueError("a chromaticity has no y")
    directions = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in primaries_xy]).T
    white = np.array([white_xy[0] / white_xy[1], 1.0, (1 - sum(white_xy)) / white_xy[1]])
    columns = directions * np.linalg.solve(directions, white)
    scale = np.diag((_BRADFORD @ np.array(_D50_XYZ)) / (_BRADFORD @ white))
    adapted: NDArray[np.float64] = np.linalg.solve(_BRADFORD, scale @ _BRADFORD @ columns)
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 100:
        raise ValueError("these primaries span no colour space")
    return adapted


def _srgb_curve(entries: int) -> NDArray[np.float64]:
    """Light 0-65535 of samples from 0 to 1 (IEC 61966-2-1)."""
    samples = np.linspace(0, 1, entries)
    light = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.rint(light * 65535))


def _xyz(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_s15_fixed_16(float(value)) for value in values)


def _s15_fixed_16(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


SRGB_PROFILE = matrix_profile(SRGB_PRIMARIES_XY, D65_XY, None, "sRGB")
"""An ICC profile of sRGB, of about 2.5 kB: what our own pictures are tagged with."""
