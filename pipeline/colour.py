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

from pipeline.icc import D65_XY, SRGB_PRIMARIES_XY, SRGB_PROFILE, matrix_profile

GREATEST_PROFILE_BYTES = 8 << 20
"""Larger profiles are no profiles: the largest of printers take about 4 MB."""

SAME_LEVELS = 2
"""A profile that moves no colour by more than this, of 255, is sRGB by another name: the pixels stay."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
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
