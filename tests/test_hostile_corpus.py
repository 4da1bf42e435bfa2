"""A folder of everything that goes wrong: each file gets its status and a message, and the run goes on."""

import importlib.util
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.config import Config
from pipeline.runner import run
from tests import stand_ins
from tests.made_pictures import LONG, dng, tiff
from tests.test_colour import ADOBE
from tests.test_images import encoded, gradient, png_of_size, with_orientation

SEED = 20_261_122


def noise() -> Image.Image:
    pixels = np.random.default_rng(SEED).integers(90, 255, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def corpus(folder: Path) -> None:
    """Write it. Names beginning with ``good`` must be read, ``bad`` must fail, ``any`` may do either."""
    folder.mkdir()

    def put(name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)

    chance = random.Random(SEED)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"):
        content = encoded(format, noise())
        put(f"good {format}.jpg", content)  # the wrong extension does not matter
        put(f"good no suffix {format}", content)
        for tenth in range(1, 10):
            put(f"any cut {format} {tenth}.jpg", content[: len(content) * tenth // 10])
        for number in range(5):
            flipped = bytearray(content)
            for _ in range(1 + number):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            put(f"any flipped {format} {number}.jpg", bytes(flipped))
    put("bad empty.jpg", b"")
    put("bad zeros.png", bytes(1000))
    put("bad text.jpg", b"this is text\n")
    put("bad web page.webp", b"<!doctype html><html></html>")
    put("bad bomb.png", png_of_size(60_000, 60_000))
    put("bad archive.tif", b"PK\x03\x04" + bytes(100))
    put("good 1x1.png", encoded("PNG", Image.new("RGB", (1, 1))))
    put("good 1x30000.png", encoded("PNG", Image.new("RGB", (1, 30_000), (200, 200, 200))))
    put("good 16-bit.png", encoded("PNG", Image.fromarray(np.full((9, 9), 40_000, np.uint16))))
    put("good CMYK.jpg", encoded("JPEG", Image.new("CMYK", (16, 16), (9, 9, 9, 9))))
    put("good palette.png", encoded("PNG", Image.fromarray(gradient()).quantize(8), transparency=2))
    frames = [Image.new("RGB", (16, 16), (index * 80,) * 3) for index in range(3)]
    for format in ("GIF", "WEBP", "TIFF"):
        put(f"good frames {format}.gif", encoded(format, frames[0], save_all=True, append_images=frames[1:]))
    put("good exif rubbish.jpg", encoded("JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40))
    put("good icc rubbish.jpg", encoded("JPEG", icc_profile=b"\xfe" * 999))
    put("good xmp rubbish.jpg", encoded("JPEG", xmp=b"<x:xmpmeta" * 20))
    put("good turned.jpg", encoded("JPEG", exif=with_orientation(8)))
    put("good transparent.png", encoded("PNG", Image.fromarray(np.full((9, 9, 4), 200, np.uint8))))
    put("good 12 in 16 bits.tif", tiff(np.full((9, 9, 3), 3000, np.uint16), {}))
    put("good fractions.tif", tiff(np.full((9, 9, 3), 0.7, np.float32), {}))
    put("good profile.jpg", encoded("JPEG", noise(), icc_profile=ADOBE))
    put("bad fractions.tif", tiff(np.full((9, 9, 3), 0.7, np.float32), {})[:-20])
    put(
        "bad float bomb.tif",
        tiff(np.zeros((2, 2, 3), np.float32), {256: (LONG, [50_000]), 257: (LONG, [50_000])}),
    )
    put("bad bomb.jxl", b"\xff\x0a" + b"\xfe" * 12)
    put("bad.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60))
    put("bad.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(60))
    if importlib.util.find_spec("rawpy"):
        put("good raw.dng", dng(np.asarray(noise()), 6))
        put("bad raw.dng", dng(np.asarray(noise()))[:-200])
    put("notes.txt", b"not listed")
    put("drawing.psd", b"8BPS")
    (folder / "album.jpg").mkdir()
    put("album.jpg/good.png", encoded("PNG"))
    (folder / "bad link.jpg").symlink_to("bad link.jpg")
    (folder / "bad broken link.jpg").symlink_to("nowhere")
    (folder / "loop").symlink_to(".")
    (folder / "good twin.jpg").symlink_to("good CMYK.jpg")  # listed already: followed once, so not listed
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "bad pipe.jpg")


def test_every_file_gets_its_status_and_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus(Path("in"))
    sections: dict[str, dict[str, Any]] = {
        "input": {"paths": ["in"], "max_pixels": 1_000_000},
        "output": {"directory": "out"},
        "execution": {"executor": "serial"},
    }
    summary = run(
        Config.model_validate(sections),
        factory=stand_ins.bright,
        model_hashes=stand_ins.no_models,
    )
    records = [json.loads(line) for line in Path("out/manifest.jsonl").read_bytes().splitlines()]
    assert len(records) == summary.total
    assert "in/notes.txt" not in {record["photo"] for record in records}
    assert "1 .psd" in str(summary)
    assert "in/good twin.jpg" not in {record["photo"] for record in records}
    for record in records:
        kind = Path(record["photo"]).name.split()[0].partition(".")[0]
        failed = record["status"] == "failed"
        assert not (kind == "good" and failed), record["errors"]
        assert not (kind == "bad" and not failed), record["photo"]
        assert len(record["errors"]) == failed
        assert bool(record["files"]) != failed
        for error in record["errors"]:
            assert error["stage"] == "read"
            assert error["message"].startswith(record["photo"])
        for file in record["files"].values():
            width, height = Image.open(io.BytesIO(Path("out", file).read_bytes())).size
            assert [width, height] == record["size_wh"]
    reasons = {record["photo"]: error["type"] for record in records for error in record["errors"]}
    assert reasons["in/bad bomb.png"] == "ImageTooLargeError"
