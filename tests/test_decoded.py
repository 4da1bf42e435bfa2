"""Transparency: nothing that viewers do not show is read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.decoded import straight
from pipeline.images import Photo, read_photo, read_photo_bytes
from tests.made_pictures import SHORT, png, tiff
from tests.test_images import encoded, gradient, with_orientation

HIDDEN = (200, 10, 60)
GREY = (128, 128, 128)


def read(content: bytes, background_rgb: tuple[int, int, int] = (255, 255, 255)) -> Photo:
    return read_photo_bytes(content, max_pixels=10**6, background_rgb=background_rgb)


def half_hidden() -> NDArray[np.uint8]:
    """(8, 12, 4): opaque, half and fully transparent columns, the same colour in all."""
    rgba = np.empty((8, 12, 4), np.uint8)
    rgba[:, :, :3] = HIDDEN
    rgba[:, :, 3] = np.repeat([255, 128, 0], 4)
    return rgba


def mixed(background: int) -> NDArray[np.float64]:
    alpha = np.array([255, 128, 0])[:, None] / 255
    return np.asarray(alpha * np.array(HIDDEN) + (1 - alpha) * background)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("TIFF", {}),
        ("JPEG2000", {}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        ("HEIF", {"quality": -1, "chroma": 444}),
        ("JXL", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("background", [255, 0, 128])
def test_transparent_pixels_show_the_background(
    format: str, options: dict[str, Any], background: int
) -> None:
    pytest.importorskip({"HEIF": "pillow_heif", "JXL": "pillow_jxl"}.get(format, "PIL"))
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    image = Image.fromarray(half_hidden())
    photo = read(encoded(format, image, **options), (background,) * 3)
    tolerance = 3 if format in ("AVIF", "HEIF") else 0.51
    assert np.abs(photo.pixels[4, 1::4] - mixed(background)).max() <= tolerance
    assert photo.alpha is not None
    assert photo.alpha[4, 1::4].tolist() == [255, 128, 0]
    assert "transparent pixels laid on input.background" in photo.notes


def test_every_way_of_being_transparent() -> None:
    grey = np.array([[50, 50, 90]], np.uint8)
    alpha = np.array([[255, 0, 0]], np.uint8)
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    palette.putpalette([50, 50, 50, 90, 90, 90, 60, 60, 60])
    black_and_white = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    files = {
        "LA": encoded("PNG", Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])),
        "P with a list": encoded("PNG", palette, transparency=b"\xff\0\0"),
        "P with an index": encoded("PNG", palette, transparency=1),
        "GIF": encoded("GIF", palette, transparency=1),
        "L with a colour": encoded("PNG", Image.fromarray(grey), transparency=90),
        "1 with a colour": encoded("PNG", black_and_white, transparency=255),
        "RGB with a colour": encoded(
            "PNG", Image.fromarray(np.repeat(grey[:, :, None], 3, 2)), transparency=(90,) * 3
        ),
        "16-bit grey with a colour": png(
            grey.astype(np.uint16) * 257, (b"tRNS", (90 * 257).to_bytes(2, "big"))
        ),
        "16-bit RGB with a colour": png(
            np.repeat(grey.astype(np.uint16)[:, :, None], 3, 2) * 257,
            (b"tRNS", (90 * 257).to_bytes(2, "big") * 3),
        ),
    }
    for way, content in files.items():
        photo = read(content, GREY)
        assert photo.alpha is not None, way
        assert photo.alpha[0, 0] == 255, way
        assert (photo.alpha == 0).any(), way
        assert (photo.pixels[photo.alpha == 0] == 128).all(), way
        assert (photo.pixels[0, 0] == photo.pixels[0, 0, 0]).all(), way


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_alpha(channels: int) -> None:
    samples = np.zeros((2, 4, channels), np.uint16)
    samples[..., :-1] = 40_000
    samples[..., -1] = [0, 65535, 32768, 1]
    photo = read(png(samples), (0, 0, 0))
    assert photo.alpha is not None
    assert photo.alpha[0].tolist() == [0, 255, 128, 0]
    assert photo.pixels[0, :, 0].tolist() == [0, 156, 78, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("associated", [False, True])
def test_alpha_of_a_tiff_multiplied_into_its_colours_or_not(dtype: Any, associated: bool) -> None:
    share = np.array([[1, 0.5, 0]])
    colours = np.array([0.8, 0.4, 0.2]) * (share[:, :, None] if associated else np.ones((1, 3, 1)))
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    samples = (np.dstack([colours, share]) * full).astype(dtype)
    photo = read(tiff(samples, {338: (SHORT, [1 if associated else 2])}), (0, 0, 0))
    assert photo.alpha is not None
    assert np.abs(photo.alpha.astype(int) - [[255, 128, 0]]).max() <= 1
    expected = 255 * share[:, :, None] * np.array([0.8, 0.4, 0.2])
    assert np.abs(photo.pixels - expected).max() <= 2


def test_a_fourth_sample_that_is_no_alpha() -> None:
    for dtype in (np.uint8, np.uint16):
        samples = np.full((2, 3, 4), np.iinfo(dtype).max, dtype)
        samples[..., 3] = 0
        photo = read(tiff(samples, {338: (SHORT, [0])}))
        assert photo.alpha is None
        assert (photo.pixels == 255).all()


def bmp_with_alpha(alpha: list[int]) -> bytes:
    """A BMP of one row with a V4 header, which names a mask for alpha."""
    content = bytearray(encoded("BMP", Image.new("RGBA", (len(alpha), 1), (*HIDDEN, 255))))
    pixels = b"".join(bytes([HIDDEN[2], HIDDEN[1], HIDDEN[0], value]) for value in alpha)
    masks = bytes([0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255])
    header = bytearray(content[14:54])
    header[0:4] = (108).to_bytes(4, "little")
    header[16:20] = (3).to_bytes(4, "little")
    body = bytes(header) + masks + bytes(108 - 40 - 16)
    start = 14 + len(body)
    return (
        b"BM"
        + (start + len(pixels)).to_bytes(4, "little")
        + bytes(4)
        + start.to_bytes(4, "little")
        + body
        + pixels
    )


def test_alpha_of_a_bmp_unless_it_is_filling() -> None:
    photo = read(bmp_with_alpha([255, 0, 128]), (0, 0, 0))
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 128]]
    assert photo.pixels[0, 1].tolist() == [0, 0, 0]
    filling = read(bmp_with_alpha([0, 0, 0]))
    assert filling.alpha is None
    assert (filling.pixels == HIDDEN).all()


def test_opaque_pictures_are_as_they_were() -> None:
    rgba = np.dstack([gradient(), np.full((23, 37), 255, np.uint8)])
    photo = read(encoded("PNG", Image.fromarray(rgba)), GREY)
    assert photo.alpha is None
    assert photo.notes == ()
    assert np.array_equal(photo.pixels, gradient())


def test_alpha_turns_with_the_photograph(tmp_path: Path) -> None:
    rgba = half_hidden()
    (tmp_path / "photo.png").write_bytes(encoded("PNG", Image.fromarray(rgba), exif=with_orientation(6)))
    photo = read_photo(tmp_path / "photo.png", max_pixels=10**6)
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, np.rot90(rgba[:, :, 3], -1))
    assert (photo.pixels[photo.alpha == 0] == 255).all()


def test_the_first_frame_of_a_transparent_animation() -> None:
    frames = [Image.fromarray(half_hidden()), Image.new("RGBA", (12, 8), (0, 255, 0, 255))]
    for format, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        photo = read(encoded(format, frames[0], save_all=True, append_images=frames[1:], **options))
        assert (photo.pixels[:, 8:] == 255).all()
        assert photo.pixels[4, 1].tolist() == list(HIDDEN)
        assert photo.frames == 2


def test_undoing_the_multiplication() -> None:
    alpha = np.array([[255, 128, 1, 0]], np.uint8)
    colours = np.array([[100, 50, 1, 0]], np.uint8)
    assert straight(colours, alpha).tolist() == [[100, 100, 255, 0]]
    assert straight(np.dstack([colours] * 3), alpha)[0, 1].tolist() == [100, 100, 100]


def test_profile_and_transparency_together() -> None:
    from tests.test_colour import ADOBE

    rgba = half_hidden()
    plain = read(encoded("PNG", Image.fromarray(rgba[:, :, :3]), icc_profile=ADOBE)).pixels
    photo = read(encoded("PNG", Image.fromarray(rgba), icc_profile=ADOBE))
    assert np.array_equal(photo.pixels[:, :4], plain[:, :4])
    assert (plain[:, :4] != HIDDEN).any()
    assert (photo.pixels[:, 8:] == 255).all()
    assert len(photo.notes) == 2
