"""Windows of map files: the same numbers as the whole picture decoded, whoever has written it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from landmarks.geometry import Box
from pipeline.errors import UsageError
from pipeline.exports.map_files import MapFile
from pipeline.output_pictures import encode_picture

BOXES = [
    Box(0, 0, 37, 23),
    Box(3, 4, 9, 7),
    Box(36, 22, 1, 1),
    Box(0, 0, 1, 1),
    Box(5, 5, 0, 0),
    Box(0, 0, 3, 0),
]


def numbers(kind: type[np.generic]) -> NDArray[Any]:
    largest = np.iinfo(kind).max  # type: ignore[type-var]
    return np.random.default_rng(3).integers(0, largest, (23, 37), endpoint=True).astype(kind)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(rows: bytes, size_wh: tuple[int, int]) -> bytes:
    header = struct.pack(">IIBBBBB", *size_wh, 8, 0, 0, 0, 0)
    data = zlib.compress(rows)
    half = len(data) // 2
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data[:half]), chunk(b"IDAT", data[half:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("writer", ["ours", "cv2", "pillow"])
def test_windows_of_whatever_has_written_the_file(
    tmp_path: Path, kind: type[np.generic], writer: str
) -> None:
    picture, path = numbers(kind), tmp_path / "a.png"
    if writer == "ours":
        path.write_bytes(encode_picture(".png", picture))
    elif writer == "cv2":
        cv2.imwrite(str(path), picture)
    else:
        Image.fromarray(picture).save(path)
    file = MapFile(path)
    assert file.size_wh == (37, 23)
    for boxes in (BOXES, BOXES[1:2], BOXES[1:2] * 2 + BOXES[2:3], []):
        parts = file.windows(boxes)
        assert len(parts) == len(boxes)
        for box, part in zip(boxes, parts, strict=True):
            expected = picture[box.y : box.y_max, box.x : box.x_max]
            assert part.dtype == picture.dtype
            assert np.array_equal(part, expected)


def test_rows_below_the_lowest_window_are_not_inflated(tmp_path: Path) -> None:
    rows = b"".join(b"\x02" + bytes([1]) * 10 for _ in range(20))
    short = rows[: 11 * 12]  # a stream that ends too early: damaged, but only below row 12
    path = tmp_path / "a.png"
    path.write_bytes(png(short, (10, 20)))
    [part] = MapFile(path).windows([Box(2, 3, 4, 9)])
    assert np.array_equal(part, np.repeat(np.arange(4, 13)[:, None], 4, axis=1))
    with pytest.raises(UsageError, match="is not there or damaged"):
        MapFile(path).windows([Box(2, 3, 4, 10)])


@pytest.mark.parametrize(
    "filters", [[0] * 4, [2] * 4, [0, 2, 2, 2], [0, 2, 0, 2], [0, 0, 2, 0], [1, 3, 4, 2]]
)
def test_all_filters_of_rows(tmp_path: Path, filters: list[int]) -> None:
    rows = b"".join(bytes([kind, 1, 2, 3]) for kind in filters)
    path = tmp_path / "a.png"
    path.write_bytes(png(rows, (3, 4)))
    with Image.open(path) as picture:
        expected = np.asarray(picture)
    for top in range(4):
        [part] = MapFile(path).windows([Box(0, top, 3, 4 - top)])
        assert np.array_equal(part, expected[top:])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_no_map_of_a_run_is_decoded_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[np.generic]
) -> None:
    monkeypatch.setattr(cv2, "imdecode", None)
    picture, path = np.zeros((700, 400), kind), tmp_path / "a.png"
    picture[460:490, 50:80], picture[475:530, 70:200] = 1, 2
    path.write_bytes(encode_picture(".png", picture))
    boxes = [Box(40, 450, 200, 90), Box(0, 0, 400, 700), Box(60, 470, 30, 40), Box(0, 600, 9, 50)]
    boxes += [Box(0, 10, 400, 40), Box(50, 440, 40, 18)]
    for several in (*([box] for box in boxes), boxes, boxes[::-1]):
        for box, part in zip(several, MapFile(path).windows(several), strict=True):
            assert np.array_equal(part, picture[box.y : box.y_max, box.x : box.x_max])


def test_maps_of_fewer_bits_and_palettes_are_left_to_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[True, False, True]])).save(path)
    [part] = MapFile(path).windows([Box(1, 0, 2, 1)])
    assert part.tolist() == [[0, 255]]


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "flipped", "cut", "colours"])
def test_a_file_that_is_damaged_or_no_map_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.png"
    content = encode_picture(".png", numbers(np.uint8))
    if damage == "colours":
        content = encode_picture(".png", np.zeros((4, 4, 3), np.uint8))
    if damage == "flipped":
        content = content[:60] + bytes([content[60] ^ 255]) + content[61:]
    if damage == "cut":
        content = content[:-300]
    if damage != "gone":
        path.write_bytes({"empty": b"", "text": b"nonsense"}.get(damage, content))
    with pytest.raises(UsageError, match="is not there or damaged; run the photograph again"):
        MapFile(path).windows([Box(0, 0, 37, 23)])
