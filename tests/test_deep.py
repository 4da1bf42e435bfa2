"""PNG and TIFF with more than 8 bits: the same picture, whatever its depth, layout and declarations."""

import io
import struct
import tracemalloc
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.images import Photo, read_photo_bytes, to_stored_orientation
from tests.made_pictures import FLOAT, LONG, SHORT, Tags, png, tiff
from tests.test_colour import ADOBE
from tests.test_images import encoded, gradient


def read(content: bytes, max_pixels: int = 10**6) -> Photo:
    return read_photo_bytes(content, max_pixels=max_pixels)


def ramp(channels: int) -> NDArray[np.uint8]:
    """(16, 32) or (16, 32, 3): every level of 8 bits twice, the channels differing."""
    grey = np.tile(np.arange(256, dtype=np.uint8), 2).reshape(16, 32)
    return grey if channels == 1 else np.dstack([grey, grey[::-1], grey[:, ::-1]])


def deepened(channels: int, white: float, dtype: Any = np.uint16) -> NDArray[Any]:
    values = ramp(channels) * (white / 255)
    return (values if np.dtype(dtype).kind == "f" else np.floor(values)).astype(dtype)


def is_close(photo: Photo, channels: int, tolerance: int = 1) -> bool:
    expected = ramp(channels)
    if channels == 1:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    return bool(np.abs(photo.pixels.astype(int) - expected).max() <= tolerance)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "TIFF, most significant byte first"])
def test_few_bits_in_many(format: str, bits: int, channels: int) -> None:
    values = deepened(channels, (1 << bits) - 1)
    order: Literal["<", ">"] = ">" if "most" in format else "<"
    photo = read(png(values) if format == "PNG" else tiff(values, {}, order=order))
    assert is_close(photo, channels)
    assert len(photo.notes) == (bits < 16)
    assert all(f"{bits} bits a sample, estimated" in note for note in photo.notes)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "tags",
    [
        {281: (SHORT, [4095])},
        {281: (SHORT, [3000])},
        {341: (SHORT, [4095])},
        {281: (SHORT, [4095, 4095, 4095])},
        {341: (FLOAT, [4095.0])},
        {341: (LONG, [4095])},
    ],
)
def test_a_tiff_that_declares_its_white(tags: Tags, channels: int) -> None:
    dark = deepened(channels, 900)
    photo = read(tiff(dark, tags))
    assert np.abs(photo.pixels.max() - 900 * 255 / 4095) <= 1
    assert photo.notes == ()
    assert read(tiff(dark, {281: (SHORT, [65535])})).pixels.max() <= 4


def test_a_declaration_that_the_samples_exceed_is_not_believed() -> None:
    assert is_close(read(tiff(deepened(3, 65535), {281: (SHORT, [255])})), 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_that_declares_its_bits(channels: int) -> None:
    dark = deepened(channels, 900)
    s_bit = (b"sBIT", bytes([12] * channels))
    assert np.abs(read(png(dark, s_bit)).pixels.max() - 900 * 255 / 4095) <= 1
    assert read(png(dark, s_bit)).notes == ()
    as_specified = (deepened(channels, 4095) << 4).astype(np.uint16)
    assert is_close(read(png(as_specified, s_bit)), channels)
    scaled_and_dark = (np.minimum(deepened(channels, 4095), 200) << 4).astype(np.uint16)
    assert read(png(scaled_and_dark, s_bit)).pixels.max() == round(200 * 16 * 255 / 65535)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fractions(dtype: Any, channels: int) -> None:
    assert is_close(read(tiff(deepened(channels, 1.0, dtype), {})), channels)
    assert is_close(read(tiff(deepened(channels, 255.0, dtype), {})), channels)
    declared = read(tiff(deepened(channels, 0.25, dtype), {341: (FLOAT, [0.5])}))
    assert np.abs(declared.pixels.max() - 127.5) <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "white"), [(np.int16, 32767), (np.uint32, 2**32 - 1), (np.int32, 4095)])
def test_other_whole_numbers(dtype: Any, white: int, channels: int) -> None:
    photo = read(tiff(deepened(channels, white, dtype), {}))
    expected = 127.5 if dtype == np.int16 else 255  # of 16 bits, 32767 is half
    assert np.abs(photo.pixels.max() - expected) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero(bits: int) -> None:
    values = deepened(1, (1 << bits) - 1, np.uint8 if bits == 8 else np.uint16)
    photo = read(tiff(((1 << bits) - 1 - values).astype(values.dtype), {262: (SHORT, [0])}))
    assert is_close(photo, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_12_bits_packed(channels: int) -> None:
    values = deepened(channels, 4095)
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    content = tiff(values, {258: (SHORT, [12] * channels)}, data=np.packbits(bits).tobytes())
    assert is_close(read(content), channels)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize(
    "layout",
    [
        {"compression": "zlib", "predictor": 2},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"planarconfig": "separate"},
        {"rowsperstrip": 3},
    ],
)
def test_layouts(layout: dict[str, Any], dtype: Any) -> None:
    if dtype == np.float32:
        layout = {key: value for key, value in layout.items() if key != "predictor"}
    values = deepened(3, 1.0 if dtype == np.float32 else 65535, dtype)
    if "planarconfig" in layout:
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb", **layout)
    assert is_close(read(buffer.getvalue()), 3)


def test_lzw() -> None:
    """OpenCV writes it so."""
    import cv2

    written, content = cv2.imencode(
        ".tiff", deepened(3, 65535)[:, :, ::-1], (cv2.IMWRITE_TIFF_COMPRESSION, 5)
    )
    assert written
    assert is_close(read(content.tobytes()), 3)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int, dtype: Any) -> None:
    stored = (
        (gradient() / 255).astype(dtype) if np.dtype(dtype).kind == "f" else gradient().astype(dtype) * 257
    )
    photo = read(tiff(stored, {274: (SHORT, [orientation])}))
    assert (photo.orientation, photo.stored_size_wh) == (orientation, (37, 23))
    assert np.abs(to_stored_orientation(photo.pixels, orientation).astype(int) - gradient()).max() <= 1


def test_profiles_and_pages() -> None:
    values = gradient().astype(np.uint16) * 257
    photo = read(tiff(values, {34675: (7, ADOBE)}))
    expected = read(encoded("TIFF", Image.fromarray(gradient()), icc_profile=ADOBE))
    assert np.array_equal(photo.pixels, expected.pixels)
    assert photo.notes == expected.notes
    assert photo.notes
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for index in range(3):
            writer.write(values, photometric="rgb", subfiletype=1 if index == 1 else 0)  # 1: a smaller copy
    assert read(buffer.getvalue()).frames == 2


def test_the_limit_comes_before_the_pixels() -> None:
    content = tiff(np.zeros((4, 5, 3), np.float32), {256: (LONG, [60_000]), 257: (LONG, [60_000])})
    with pytest.raises(ImageTooLargeError, match=r"3600000000 pixels.*input\.max_pixels"):
        read(content)
    with pytest.raises(ImageTooLargeError):
        read(tiff(np.zeros((4, 5), np.uint16), {}), max_pixels=19)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float16])
def test_every_truncation_is_read_or_refused(dtype: Any) -> None:
    contents = [tiff(deepened(3, 200, dtype), {274: (SHORT, [6])})]
    if dtype == np.uint16:
        contents.append(png(deepened(3, 65535)))
    for content in contents:
        whole, refused = read(content).pixels, 0
        for length in range(0, len(content), 37):
            try:
                pixels = read(content[:length]).pixels
            except ImageReadError:
                refused += 1
            else:
                assert np.array_equal(pixels, whole), length
        assert refused > len(content) // 60


def test_damage_gives_pixels_or_a_clear_error() -> None:
    rng = np.random.default_rng(5)
    seeds = [tiff(deepened(3, 1.0, dtype)[:6, :6], {}) for dtype in (np.float16, np.float32)]
    seeds += [tiff(deepened(1, 4095)[:6, :6], {}), png(deepened(3, 4095)[:6, :6])]
    for index in range(400):
        broken = bytearray(seeds[index % len(seeds)])
        for place in rng.integers(0, min(len(broken), 320), 3):
            broken[place] = int(rng.integers(0, 256))
        try:
            photo = read(bytes(broken), max_pixels=4096)
        except ImageReadError as error:
            assert str(error).startswith("the photograph: ")
        else:
            assert photo.pixels.shape[0] * photo.pixels.shape[1] <= 4096


def test_chunks_that_promise_gigabytes_cost_nothing() -> None:
    """OpenCV alone would take the memory that a chunk's length asks for."""
    content = png(deepened(3, 65535))
    promise = struct.pack(">I4s", 2**31 - 20, b"juNK") + bytes(8)
    end = content.index(b"IEND") - 4
    tracemalloc.start()
    pixels = read(content[:end] + promise + content[end:]).pixels
    assert np.array_equal(pixels, read(content).pixels)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
