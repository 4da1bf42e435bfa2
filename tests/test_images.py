"""Reading photographs: every mode, orientation and kind of damage."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import sniff_format
from pipeline.images import (
    Photo,
    file_sha256,
    read_photo,
    read_photo_bytes,
    to_stored_orientation,
)

MILLION = 1_000_000


def gradient(width: int = 37, height: int = 23) -> NDArray[np.uint8]:
    """Smooth, and different in every direction, so that a wrong turn shows and JPEG keeps it."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [rows * 255 / height, columns * 255 / width, (rows + columns) * 255 / (width + height)]
    return np.stack(channels, axis=2).astype(np.uint8)


def save(path: Path, image: Image.Image, format: str, **options: Any) -> Path:
    with path.open("wb") as file:
        image.save(file, format, **options)
    return path


def encoded(format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(gradient())).save(buffer, format, **options)
    return buffer.getvalue()


def read_bytes(tmp_path: Path, content: bytes, max_pixels: int = MILLION) -> Photo:
    path = tmp_path / "photo"
    path.write_bytes(content)
    return read_photo(path, max_pixels=max_pixels)


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_orientations_as_opencv_shows_them(
    tmp_path: Path, suffix: str, options: dict[str, Any], orientation: int
) -> None:
    stored = gradient()
    path = save(
        tmp_path / "photo", Image.fromarray(stored), suffix, exif=with_orientation(orientation), **options
    )
    photo = read_photo(path, max_pixels=MILLION)
    assert photo.orientation == orientation
    assert photo.stored_size_wh == (37, 23)
    assert photo.format == suffix
    tolerance = 8 if suffix == "JPEG" else 0  # what JPEG itself loses at this quality
    back = to_stored_orientation(photo.pixels, orientation)
    assert np.abs(back.astype(int) - stored).max() <= tolerance
    if suffix == "TIFF" and orientation >= 5:
        return  # OpenCV 4.14 cannot read these
    shown = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert shown is not None
    assert photo.pixels.shape == shown.shape
    # Decoders may round differently; a wrong turn differs by far more.
    assert np.abs(photo.pixels.astype(int) - shown[:, :, ::-1]).max() <= 2


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[3, 6], [2, 5], [1, 4]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[4, 1], [5, 2], [6, 3]]),
    ],
)
def test_back_to_the_stored_grid(orientation: int, expected: list[list[int]]) -> None:
    upright = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert to_stored_orientation(upright, orientation).tolist() == expected


def test_result_is_upright_contiguous_and_hashed(tmp_path: Path) -> None:
    content = encoded("PNG", exif=with_orientation(6))
    photo = read_bytes(tmp_path, content)
    assert photo.pixels.shape == (37, 23, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.sha256 == file_sha256(tmp_path / "photo")
    assert len(photo.sha256) == 64


def test_bytes_are_read_as_a_file_is(tmp_path: Path) -> None:
    content = encoded("JPEG", exif=with_orientation(6))
    of_file, of_bytes = read_bytes(tmp_path, content), read_photo_bytes(content, max_pixels=MILLION)
    assert np.array_equal(of_bytes.pixels, of_file.pixels)
    assert (of_bytes.sha256, of_bytes.orientation, of_bytes.format) == (of_file.sha256, 6, "JPEG")
    with pytest.raises(ImageReadError, match=r"^upload: is empty"):
        read_photo_bytes(b"", max_pixels=MILLION, shown="upload")


def test_grey_and_palette(tmp_path: Path) -> None:
    grey = Image.fromarray(gradient()).convert("L")
    pixels = read_bytes(tmp_path, encoded("PNG", grey)).pixels
    assert np.array_equal(pixels, np.repeat(np.asarray(grey)[:, :, None], 3, axis=2))
    palette = Image.fromarray(gradient()).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(read_bytes(tmp_path, encoded("PNG", palette)).pixels, expected)
    seen = np.where((np.asarray(palette) == 3)[:, :, None], np.uint8(255), expected)
    assert np.array_equal(read_bytes(tmp_path, encoded("PNG", palette, transparency=3)).pixels, seen)
    assert np.array_equal(read_bytes(tmp_path, encoded("GIF", palette)).pixels, expected)
    black_and_white = grey.convert("1")
    assert set(np.unique(read_bytes(tmp_path, encoded("PNG", black_and_white)).pixels)) == {0, 255}


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(tmp_path: Path, format: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    pixels = read_bytes(tmp_path, encoded(format, Image.fromarray(values))).pixels
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_16_bit_colour(tmp_path: Path) -> None:
    deep = gradient().astype(np.uint16) * 257
    path = tmp_path / "photo"
    ok, content = cv2.imencode(".png", deep[:, :, ::-1])
    assert ok
    path.write_bytes(content.tobytes())
    assert np.abs(read_photo(path, max_pixels=MILLION).pixels.astype(int) - gradient()).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [0, 128, 255]),
        ([[0.0, 100.0, 255.0]], [0, 100, 255]),
        ([[0.0, 32767.5, 65535.0]], [0, 128, 255]),
        ([[-1.0, 0.0, 1.0]], [0, 128, 255]),
        ([[float("nan"), float("inf"), 1.0]], [0, 0, 255]),
    ],
)
def test_float_grey(tmp_path: Path, values: list[list[float]], expected: list[int]) -> None:
    image = Image.fromarray(np.array(values, np.float32))
    assert read_bytes(tmp_path, encoded("TIFF", image)).pixels[0, :, 0].tolist() == expected


def test_32_bit_grey(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[-5, 0, 200_000]], np.int32))
    assert read_bytes(tmp_path, encoded("TIFF", image)).pixels[0, :, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(tmp_path: Path, format: str) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # full magenta and yellow: red
    photo = read_bytes(tmp_path, encoded(format, image))
    assert photo.pixels[4, 4, 0] > 240
    assert photo.pixels[4, 4, 1:].max() < 15


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_first_frame_of_several(tmp_path: Path, format: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    extra = {"lossless": True} if format == "WEBP" else {}
    content = encoded(format, frames[0], save_all=True, append_images=frames[1:], **extra)
    assert read_bytes(tmp_path, content).pixels[3, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 30_000), (30_000, 1)])
def test_odd_sizes(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    photo = read_bytes(tmp_path, encoded("PNG", Image.new("RGB", size_wh, (1, 2, 3))))
    assert photo.pixels.shape == (size_wh[1], size_wh[0], 3)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_nonsense_orientation_is_none(tmp_path: Path, value: int) -> None:
    assert read_bytes(tmp_path, encoded("JPEG", exif=with_orientation(value))).orientation == 1


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 60]
)
def test_bad_exif_is_tolerated(tmp_path: Path, exif: bytes) -> None:
    photo = read_bytes(tmp_path, encoded("JPEG", exif=exif))
    assert photo.orientation == 1
    assert photo.pixels.shape == (23, 37, 3)


def test_rubbish_profiles_are_ignored(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="6"'
    photo = read_bytes(tmp_path, encoded("JPEG", icc_profile=b"rubbish" * 50, xmp=xmp))
    assert (photo.orientation, photo.pixels.shape) == (1, (23, 37, 3))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize("size_wh", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (1001, 1000)])
def test_bombs_are_refused_by_their_header(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLargeError, match=r"more than 1000000 pixels .*input\.max_pixels"):
        read_bytes(tmp_path, png_of_size(*size_wh))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_limit_holds_for_every_format(tmp_path: Path, format: str) -> None:
    content = encoded(format)
    assert read_bytes(tmp_path, content, max_pixels=37 * 23).pixels.shape == (23, 37, 3)
    with pytest.raises(ImageTooLargeError):
        read_bytes(tmp_path, content, max_pixels=37 * 23 - 1)


def test_pillow_limit_is_put_back(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_bytes(tmp_path, encoded("PNG"))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg_is_no_photograph(tmp_path: Path, progressive: bool) -> None:
    content = encoded("JPEG", Image.fromarray(gradient(370, 230)), progressive=progressive)
    with pytest.raises(ImageReadError, match="truncated"):
        read_bytes(tmp_path, content[: len(content) // 2])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_every_truncation_is_read_or_refused(tmp_path: Path, format: str) -> None:
    content = encoded(format, Image.fromarray(gradient(19, 11)))
    whole = read_bytes(tmp_path, content).pixels
    refused = 0
    for length in range(0, len(content), 1 if len(content) < 1500 else 3):
        try:
            pixels = read_bytes(tmp_path, content[:length]).pixels
        except ImageReadError:
            refused += 1
        else:
            assert np.array_equal(pixels, whole), f"{length} bytes give other pixels without a word"
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is text\n", "not an image of a known format"),
        (bytes(5000), "not an image of a known format"),
        (b"\xff\xd8\xff\xe0", "begins like JPEG but is damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "begins like HEIF but is damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ImageReadError, match=message) as caught:
        read_bytes(tmp_path, content)
    assert str(tmp_path / "photo") in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no such file"):
        read_photo(tmp_path / "missing.jpg", max_pixels=MILLION)
    (tmp_path / "link.jpg").symlink_to("nowhere")
    with pytest.raises(ImageReadError, match="link to a file that is not there"):
        read_photo(tmp_path / "link.jpg", max_pixels=MILLION)
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(ImageReadError, match=r"loop\.jpg"):
        read_photo(tmp_path / "loop.jpg", max_pixels=MILLION)
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageReadError, match="is a folder"):
        read_photo(tmp_path / "folder.jpg", max_pixels=MILLION)
    with pytest.raises(ImageReadError, match="not a usable file name"):
        read_photo("nul\0byte.jpg", max_pixels=MILLION)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageReadError, match="not a regular file"):
        read_photo(tmp_path / "pipe.jpg", max_pixels=MILLION)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = save(tmp_path / "photo", Image.fromarray(gradient()), "PNG")
    path.chmod(0)
    with pytest.raises(ImageReadError, match="permissions"):
        read_photo(path, max_pixels=MILLION)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF"])
def test_formats_are_known_by_content(tmp_path: Path, format: str) -> None:
    content = encoded(format)
    assert sniff_format(content[:32]) == format
    assert read_bytes(tmp_path, content).format == format


SEEDS = {
    format: encoded(format, Image.fromarray(gradient(16, 12)))
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
}
SEEDS["LZW"] = encoded("TIFF", Image.fromarray(gradient(16, 12)), compression="tiff_lzw")
SEEDS["EXIF"] = encoded("JPEG", exif=with_orientation(6), icc_profile=b"i" * 30, xmp=b"x" * 30)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@example("JPEG", [], 0.5)
def test_damage_gives_pixels_or_a_clear_error(
    tmp_path: Path, seed: str, changes: list[tuple[float, int]], kept: float
) -> None:
    content = bytearray(SEEDS[seed])
    for place, value in changes:
        # Squared: headers, where a change matters most, get most of the changes.
        content[int(place * place * len(content))] = value
    try:
        photo = read_bytes(tmp_path, bytes(content[: max(1, round(kept * len(content)))]), max_pixels=4096)
    except ImageReadError as error:
        assert str(tmp_path / "photo") in str(error)
    else:
        assert photo.pixels.ndim == 3
        assert photo.pixels.shape[0] * photo.pixels.shape[1] <= 4096


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([content[:16] for content in SEEDS.values()]))
def test_rubbish_after_a_true_beginning(tmp_path: Path, rubbish: bytes, beginning: bytes) -> None:
    try:
        read_bytes(tmp_path, beginning + rubbish, max_pixels=4096)
    except ImageReadError as error:
        assert "photo: " in str(error)
