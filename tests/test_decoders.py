"""Which decoder reads what: by content, upright, within the limits, and which of several pictures."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageReadError, ImageTooLargeError
from pipeline.formats import IMAGE_SUFFIXES, RAW_SUFFIXES, UNREAD_SUFFIXES, sniff_format
from pipeline.images import Photo, read_photo_bytes, to_stored_orientation
from pipeline.plugins import jpeg_xl_size
from tests.made_pictures import BYTE, LONG, SHORT, Tags, dng, png, tiff
from tests.test_colour import ADOBE, SRGB_TO_XYZ, converted, srgb_of_light
from tests.test_images import encoded, gradient, with_orientation


def read(content: bytes, max_pixels: int = 10**6) -> Photo:
    return read_photo_bytes(content, max_pixels=max_pixels)


def heif(image: Image.Image, **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return encoded("HEIF", image, quality=95, chroma=444, **options)


def jpeg_xl(image: Image.Image, **options: Any) -> bytes:
    pytest.importorskip("pillow_jxl")
    return encoded("JXL", image, lossless=True, **options)


def test_heif() -> None:
    content = heif(Image.fromarray(gradient(64, 48)))
    photo = read(content)
    assert sniff_format(content[:32]) == "HEIF"
    assert (photo.format, photo.orientation, photo.stored_size_wh) == ("HEIF", 1, (64, 48))
    assert np.abs(photo.pixels.astype(int) - gradient(64, 48)).mean() < 2
    assert photo.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heif_is_turned_once(orientation: int) -> None:
    """Its encoder writes the turn into the file's structure, where every decoder finds it."""
    stored = gradient(64, 48)
    photo = read(heif(Image.fromarray(stored), exif=with_orientation(orientation).tobytes()))
    assert np.abs(to_stored_orientation(photo.pixels, orientation).astype(int) - stored).mean() < 2
    assert photo.orientation == 1
    assert photo.stored_size_wh == (photo.pixels.shape[1], photo.pixels.shape[0])


def test_heif_with_a_profile() -> None:
    image = Image.new("RGB", (32, 32), (100, 200, 50))
    photo = read(heif(image, icc_profile=ADOBE))
    expected = converted(Image.new("RGB", (1, 1), (100, 200, 50)), ADOBE)[0]
    assert np.abs(photo.pixels[16, 16].astype(int) - expected).max() <= 8
    assert photo.notes == ("colours converted to sRGB from like Adobe RGB",)


def test_heif_that_describes_its_colours_in_numbers() -> None:
    """Display P3 (12) with the curve of sRGB (13), and BT.2020 (9) with PQ (16), by ITU-T H.273."""
    image = Image.new("RGB", (32, 32), (200, 60, 60))
    p3_to_xyz = [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]]
    light = ((np.array([200, 60, 60]) / 255 + 0.055) / 1.055) ** 2.4
    expected = srgb_of_light(np.linalg.inv(SRGB_TO_XYZ) @ p3_to_xyz @ light)
    photo = read(heif(image, color_primaries=12, transfer_characteristics=13, matrix_coefficients=6))
    assert np.abs(photo.pixels[16, 16] - expected).max() <= 6
    hdr = read(heif(image, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9))
    assert hdr.notes == ()


def test_heif_of_several_pictures() -> None:
    images = [Image.new("RGB", (32, 32), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    photo = read(heif(images[0], save_all=True, append_images=images[1:], primary_index=1))
    assert photo.frames == 2
    assert photo.pixels[16, 16, 1] > 200  # the primary one, wherever it lies


def test_heif_bombs_and_stumps() -> None:
    content = heif(Image.fromarray(gradient(64, 48)))
    assert read(content, max_pixels=64 * 48).pixels.shape == (48, 64, 3)
    with pytest.raises(ImageTooLargeError, match=r"3072 pixels.*input\.max_pixels"):
        read(content, max_pixels=64 * 48 - 1)
    for length in range(0, len(content), 23):
        with pytest.raises(ImageReadError):
            read(content[:length])


@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(container: bool) -> None:
    content = jpeg_xl(Image.fromarray(gradient()), use_container=container)
    photo = read(content)
    assert sniff_format(content[:32]) == "JPEG XL"
    assert (photo.format, photo.orientation, photo.stored_size_wh) == ("JXL", 1, (37, 23))
    assert np.array_equal(photo.pixels, gradient())
    assert photo.notes == ()


def test_exif_does_not_turn_a_jpeg_xl() -> None:
    """ISO/IEC 18181: the turn stands in the picture's own header, and the decoder has applied it."""
    content = jpeg_xl(Image.fromarray(gradient()), exif=with_orientation(6).tobytes(), use_container=True)
    photo = read(content)
    assert (photo.orientation, photo.pixels.shape) == (1, (23, 37, 3))


@pytest.mark.filterwarnings("ignore:Using JPEG reconstruction")
def test_a_repacked_jpeg_is_turned(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", quality=95, exif=with_orientation(6)))
    buffer = io.BytesIO()
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(buffer, "JXL", lossless_jpeg=True)
    photo = read(buffer.getvalue())
    expected = read((tmp_path / "a.jpg").read_bytes())
    assert photo.pixels.shape == (37, 23, 3)
    assert np.array_equal(photo.pixels, expected.pixels)
    assert photo.orientation == 6


def test_jpeg_xl_of_16_bits() -> None:
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    photo = read(jpeg_xl(Image.fromarray(values)))
    assert photo.notes[0].startswith("colours converted to sRGB from ")  # its encoder takes them for light
    assert np.abs(photo.pixels[:, :, 0] - srgb_of_light(values / 65535)).max() <= 7.5


@pytest.mark.parametrize("size_wh", [(8, 8), (256, 256), (37, 23), (400, 300), (5000, 3), (3, 5000), (16, 9)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_without_decoding(size_wh: tuple[int, int], container: bool) -> None:
    content = jpeg_xl(Image.new("RGB", size_wh), use_container=container)
    assert jpeg_xl_size(content) == size_wh
    with pytest.raises(ImageTooLargeError, match=r"input\.max_pixels"):
        read(content, max_pixels=size_wh[0] * size_wh[1] - 1)


def test_a_jpeg_xl_bomb_is_never_decoded() -> None:
    header = (1 << 64) | ((2**30 - 1) << 3) | (3 << 1)  # the longest form, and no ratio
    width = header | ((2**30 - 1) << 38) | (3 << 36)
    content = b"\xff\x0a" + width.to_bytes(9, "little")
    assert jpeg_xl_size(content) == (2**30, 2**30)
    with pytest.raises(ImageTooLargeError):
        read(content)
    assert jpeg_xl_size(b"\xff\x0a") is None
    assert jpeg_xl_size(b"\0\0\0\x0cJXL \r\n\x87\n") is None


def test_jpeg_xl_stumps() -> None:
    content = jpeg_xl(Image.fromarray(gradient()))
    for length in range(2, len(content) - 20, 23):
        with pytest.raises(ImageReadError):
            read(content[:length])


def portrait() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth, half white, so that automatic brightness changes nothing."""
    return np.maximum(gradient(64, 48), np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)[None, :, None])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_raw_files_are_developed_upright(orientation: int) -> None:
    pytest.importorskip("rawpy")
    photo = read(dng(portrait(), orientation))
    assert (photo.format, photo.orientation, photo.stored_size_wh) == ("RAW", orientation, (64, 48))
    stored = to_stored_orientation(photo.pixels, orientation)
    assert stored.shape == (48, 64, 3)
    assert np.abs(stored.astype(int) - portrait())[4:-4, 4:-4].mean() < 12


@pytest.mark.parametrize(
    "tags",
    [
        {254: (LONG, [1]), 330: (LONG, [8])},
        {259: (SHORT, [34713])},
        {259: (SHORT, [65535])},
        {262: (SHORT, [32803])},
        {50706: (BYTE, bytes([1, 4, 0, 0]))},
    ],
)
def test_raw_files_that_begin_like_a_tiff_are_not_taken_for_their_thumbnails(tags: Tags) -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(ImageReadError, match="raw file"):
        read(tiff(np.zeros((4, 5), np.uint8), tags))


def test_raw_bombs_and_stumps() -> None:
    pytest.importorskip("rawpy")
    content = dng(portrait())
    assert read(content, max_pixels=64 * 48).pixels.shape == (48, 64, 3)
    with pytest.raises(ImageTooLargeError, match=r"3072 pixels.*input\.max_pixels"):
        read(content, max_pixels=64 * 48 - 1)
    with pytest.raises(ImageReadError, match=r"is a camera's raw file that LibRaw .* cannot read"):
        read(content[: len(content) // 2])


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx ",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0",
        b"IIU\0\x18",
    ],
)
def test_raw_files_of_other_makers_are_known(head: bytes) -> None:
    assert sniff_format(head.ljust(32, b"\0")) == "RAW"
    pytest.importorskip("rawpy")
    with pytest.raises(ImageReadError, match="raw file"):
        read(head + bytes(300))


def mpo(**options: Any) -> bytes:
    images = [Image.new("RGB", (40, 30), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    return encoded("MPO", images[0], save_all=True, append_images=images[1:], **options)


def test_the_main_picture_of_an_mpo() -> None:
    photo = read(mpo())
    assert photo.pixels[15, 20, 0] > 200
    assert (photo.format, photo.frames) == ("MPO", 1)  # the second one has no kind: a preview, or a gain map


def test_views_of_an_mpo_are_counted() -> None:
    """The second picture's attribute says that it is one of a pair (CIPA DC-007, 5.2.3.3.1)."""
    content = mpo()
    index = content.index(b"MPF\0") + 4
    order = "<" if content[index : index + 2] == b"II" else ">"
    first = struct.unpack_from(f"{order}I", content, index + 4)[0]
    count = struct.unpack_from(f"{order}H", content, index + first)[0]
    tags = [struct.unpack_from(f"{order}HHII", content, index + first + 2 + 12 * n) for n in range(count)]
    [entries] = [place for tag, _, _, place in tags if tag == 0xB002]
    changed = bytearray(content)
    struct.pack_into(f"{order}I", changed, index + entries + 16, 0x020002)
    assert read(bytes(changed)).frames == 2


def test_an_ultra_hdr_jpeg() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
    photo = read(mpo(xmp=xmp))
    assert photo.pixels[15, 20, 0] > 200
    assert photo.frames == 1
    assert photo.notes == ()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_frames_are_counted(format: str) -> None:
    frames = [Image.new("RGB", (16, 12), (index * 60, 0, 0)) for index in range(4)]
    photo = read(encoded(format, frames[0], save_all=True, append_images=frames[1:]))
    assert photo.frames == 4
    assert read(encoded(format)).frames == 1


def test_a_loop_of_pages_ends() -> None:
    content = bytearray(encoded("TIFF"))
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * count, start)
    assert read(bytes(content)).frames == 1


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_a_bomb_in_a_png_s_profile_or_text_costs_only_itself(kind: bytes) -> None:
    bomb = b"name\0\0" + zlib.compress(bytes(20 << 20))
    photo = read(png(gradient(), (kind, bomb)))
    assert np.array_equal(photo.pixels, gradient())
    assert photo.notes == ("its colour profile or text is too large and was ignored",)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_hostile_profiles_cost_only_themselves(format: str) -> None:
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    plain = read(encoded(format, **options)).pixels
    for profile in (b"x", b"rubbish" * 99, ADOBE[:-9], ADOBE[:16] + b"GRAY" + ADOBE[20:]):
        photo = read(encoded(format, icc_profile=profile, **options))
        assert np.array_equal(photo.pixels, plain)
        assert photo.notes == ("its colour profile cannot be used and was ignored",)


@pytest.mark.parametrize(
    ("content", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"),
        (b"\xff\x0a\xfa\x1f\x01\x90", "pillow-jxl-plugin"),
        (b"FUJIFILMCCD-RAW 0201", "rawpy"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, content: bytes, package: str) -> None:
    (tmp_path / "photo").write_bytes(content)
    program = (
        "import sys\n"
        "for name in ('pillow_heif', 'pillow_jxl', 'rawpy'): sys.modules[name] = None\n"
        "from pipeline.images import read_photo\n"
        "from pipeline.errors import ImageReadError\n"
        "try: read_photo(sys.argv[1], max_pixels=99)\n"
        "except ImageReadError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "photo")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f'That needs {package}: pip install "uncrop[formats]"' in done.stdout


def test_suffixes_belong_to_one_kind() -> None:
    assert not IMAGE_SUFFIXES & UNREAD_SUFFIXES
    assert RAW_SUFFIXES < IMAGE_SUFFIXES
    assert {".exr", ".psd", ".hdr", ".tga", ".pcx", ".svg"} <= UNREAD_SUFFIXES
    assert {".heic", ".heif", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng"} <= IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypheix\0\0\0\0mif1heix", "HEIF"),
        (b"\0\0\0\x1cftypmp42\0\0\0\0mp42isom", None),
    ],
)
def test_brands(head: bytes, format: str | None) -> None:
    assert sniff_format(head) == format
