"""Profiles, against formulas written down here."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.colour import described_profile, to_srgb
from pipeline.icc import D65_XY, SRGB_PRIMARIES_XY, SRGB_PROFILE, matrix_profile
from tests.made_pictures import cmyk_profile, grey_profile

ADOBE_PRIMARIES_XY = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
ADOBE = matrix_profile(ADOBE_PRIMARIES_XY, D65_XY, ADOBE_GAMMA, "like Adobe RGB")

# Adobe RGB (1998) Color Image Encoding, 4.3.6.1, and IEC 61966-2-1: light to XYZ under D65.
ADOBE_TO_XYZ = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
SRGB_TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]

COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (100, 200, 50),
    (200, 30, 90),
    (20, 40, 60),
    (10, 3, 7),
]


def srgb_of_light(light: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(light, 0, 1)
    return np.asarray(
        255 * np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    )


def row(colours: Any = COLOURS) -> Image.Image:
    return Image.fromarray(np.array([colours], np.uint8))


def converted(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.asarray(to_srgb(image, profile)[0])[0]
    return pixels


def test_adobe_rgb_by_its_formula() -> None:
    light = (np.array(COLOURS) / 255) ** ADOBE_GAMMA
    expected = srgb_of_light(light @ np.array(ADOBE_TO_XYZ).T @ np.linalg.inv(SRGB_TO_XYZ).T)
    assert np.abs(converted(row(), ADOBE) - expected).max() <= 1.5
    assert to_srgb(row(), ADOBE)[1] == "colours converted to sRGB from like Adobe RGB"


def test_srgb_by_any_name_changes_nothing() -> None:
    image = row()
    others = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (None, SRGB_PROFILE, others, matrix_profile(SRGB_PRIMARIES_XY, D65_XY, None, "x")):
        same, note = to_srgb(image, profile)
        assert same is image
        assert note is None


def test_our_profile_says_what_it_is() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE))
    assert profile.profile.profile_description == "sRGB"
    assert matrix_profile(SRGB_PRIMARIES_XY, D65_XY, None, "sRGB") == SRGB_PROFILE
    reference = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    there = ImageCms.applyTransform(row(), ImageCms.buildTransform(profile, reference, "RGB", "RGB"))
    assert there is not None
    assert np.abs(np.asarray(there).astype(int) - np.asarray(row())).max() <= 1


def test_greys_by_their_formula() -> None:
    greys = np.arange(0, 256, 5)
    image = Image.fromarray(greys[None].astype(np.uint8))
    expected = srgb_of_light((greys / 255) ** 1.0)
    found = converted(image, grey_profile(1.0))
    assert np.abs(found - expected[:, None]).max() <= 1.5
    assert np.array_equal(converted(image, None), np.repeat(greys[:, None], 3, axis=1))


def test_a_grey_picture_in_an_rgb_profile() -> None:
    linear = matrix_profile(SRGB_PRIMARIES_XY, D65_XY, 1.0, "linear")
    image = Image.fromarray(np.array([[0, 55, 255]], np.uint8))
    assert np.abs(converted(image, linear)[:, 1] - srgb_of_light(np.array([0, 55 / 255, 1]))).max() <= 1.5


def test_inks_by_the_printers_table() -> None:
    profile = cmyk_profile((255, 128, 128), (138, 209, 198))  # full ink: L* 54.3, a* 81, b* 70: sRGB's red
    image = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 0]]], np.uint8), "CMYK")
    white, red = converted(image, profile).astype(int)
    assert white.min() >= 253
    assert np.abs(red - [255, 0, 0]).max() <= 6
    assert converted(image, None).tolist() == [[255, 255, 255], [0, 255, 255]]  # ideal cyan


def test_lab_pictures() -> None:
    lab = np.array([[[255, 0, 0], [138, 81, 70]]], np.uint8)  # as Pillow keeps them: a* and b* signed
    white, red = converted(Image.frombytes("LAB", (2, 1), lab.tobytes()), None).astype(int)
    assert white.min() >= 253
    assert np.abs(red - [255, 0, 0]).max() <= 6
    image = Image.frombytes("LAB", (2, 1), lab.tobytes())
    abstract = ImageCms.ImageCmsProfile(
        ImageCms.createProfile("LAB")
    ).tobytes()  # what Pillow writes with them
    assert np.array_equal(converted(image, abstract), converted(image, None))


@pytest.mark.parametrize(
    "profile",
    [
        b"rubbish" * 50,
        b"\xfe" * 128,
        ADOBE[:200],
        ADOBE[:-40],
        ADOBE[:16] + b"CMYK" + ADOBE[20:],
        ADOBE[:12] + b"link" + ADOBE[16:],
        ADOBE[:12] + b"nmcl" + ADOBE[16:],
        ADOBE[:128] + b"\xff\xff\xff\xff" + ADOBE[132:],
        ADOBE + bytes(9 << 20),
        cmyk_profile((255, 128, 128), (0, 128, 128)),
        grey_profile(2.2),
    ],
)
def test_profiles_that_cannot_be_used_are_ignored(profile: bytes) -> None:
    image = row()
    same, note = to_srgb(image, profile)
    assert np.array_equal(np.asarray(same), np.asarray(image))
    assert note == "its colour profile cannot be used and was ignored"


def test_every_byte_of_a_profile_may_be_wrong() -> None:
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(ADOBE), 300):
        broken = bytearray(ADOBE)
        broken[place] ^= int(rng.integers(1, 256))
        assert to_srgb(row(), bytes(broken))[0].size == (len(COLOURS), 1)


def test_a_png_that_describes_its_colours() -> None:
    usual = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    assert described_profile({}) is None
    assert described_profile({"gamma": 0.45455, "chromaticity": usual}) is None
    assert described_profile({"gamma": 1.0, "srgb": 0}) is None
    assert described_profile({"gamma": 0.0}) is None
    assert described_profile({"chromaticity": (0.3, 0.0) * 4}) is None
    assert described_profile({"chromaticity": (0.3, 0.3) * 4}) is None
    linear = described_profile({"gamma": 1.0, "chromaticity": usual})
    light = converted(row(), linear)
    assert np.abs(light - srgb_of_light(np.array(COLOURS) / 255)).max() <= 1.5
    wide = (*D65_XY, *(value for pair in ADOBE_PRIMARIES_XY for value in pair))
    found = described_profile({"gamma": 1 / 1.8, "chromaticity": wide})
    expected = matrix_profile(ADOBE_PRIMARIES_XY, D65_XY, 1.8, "the same")
    assert np.array_equal(converted(row(), found), converted(row(), expected))
