"""Every kind of clip comes in upright, with exact times, and in the same pixels wherever reading starts."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from landmarks.arrays import Pixels
from pipeline.errors import ClipReadError
from pipeline.images import to_stored_orientation
from pipeline.video import containers
from pipeline.video.containers import one_field
from pipeline.video.reader import Frame, clip_sha256, probe, read_frames
from pipeline.video.timeline import Timeline
from tests.video.clips import sample, write_clip


def numbered(count: int, size_wh: tuple[int, int] = (64, 48)) -> list[Pixels]:
    """Pictures whose brightness tells their number, with a white corner at the top left."""
    width, height = size_wh
    pictures = []
    for index in range(count):
        picture = np.full((height, width, 3), 20 + 5 * index, np.uint8)
        picture[: height // 4, : width // 4] = 255
        pictures.append(picture)
    return pictures


def number_of(pixels: Pixels) -> int:
    return round((float(pixels[pixels.shape[0] // 2 :, pixels.shape[1] // 2 :].mean()) - 20) / 5)


def read(path: Path, start: int = 0, stop: int = 10**6) -> tuple[Timeline, list[Frame]]:
    timeline = probe(str(path), max_pixels=10**6)
    return timeline, list(read_frames(str(path), timeline, start, stop, max_pixels=10**6))


def test_any_range_gives_the_same_pixels_as_reading_all(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", numbered(30), options={"g": "12", "bf": "2", "crf": "20"})
    timeline, frames = read(path)
    assert [frame.index for frame in frames] == list(range(30))
    assert [number_of(frame.pixels) for frame in frames] == list(range(30))
    for start, stop in ((0, 1), (5, 9), (12, 13), (17, 30), (29, 40)):
        part = list(read_frames(str(path), timeline, start, stop, max_pixels=10**6, threads=2))
        assert [frame.index for frame in part] == list(range(start, min(stop, 30)))
        for frame in part:
            np.testing.assert_array_equal(frame.pixels, frames[frame.index].pixels)


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    pts = [0, 1001, 2002, 5005, 5100, 30000]
    path = write_clip(tmp_path / "vfr.mp4", numbered(6), pts=pts, time_base=Fraction(1, 30000))
    timeline, frames = read(path)
    assert [timeline.seconds(index) for index in range(6)] == [float(Fraction(t, 30000)) for t in pts]
    assert [frame.index for frame in frames] == list(range(6))
    assert Timeline.from_json(timeline.to_json()) == timeline


@pytest.mark.parametrize(("rotation", "corner"), [(90, "bl"), (180, "br"), (270, "tr"), (-90, "tr")])
def test_side_data_turns_pictures_upright_as_opencv_does(tmp_path: Path, rotation: int, corner: str) -> None:
    path = write_clip(tmp_path / "r.mp4", numbered(3), rotation=rotation)
    timeline, frames = read(path)
    expected = (48, 64) if rotation % 180 else (64, 48)
    assert timeline.size_wh == expected
    pixels = frames[0].pixels
    assert (pixels.shape[1], pixels.shape[0]) == expected
    corners = {"tl": pixels[2, 2], "tr": pixels[2, -3], "bl": pixels[-3, 2], "br": pixels[-3, -3]}
    assert max(corners, key=lambda name: int(corners[name].sum())) == corner
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    _, theirs = capture.read()
    capture.release()
    assert theirs.shape == pixels.shape
    assert np.abs(cv2.cvtColor(theirs, cv2.COLOR_BGR2RGB).astype(int) - pixels).max() <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flips", [(True, False), (False, True), (True, True)])
def test_side_data_mirrors_pictures(tmp_path: Path, rotation: int, flips: tuple[bool, bool]) -> None:
    stored = np.random.default_rng(4).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stored = np.kron(stored, np.ones((8, 8, 1), np.uint8))
    path = write_clip(
        tmp_path / "m.mp4",
        [stored] * 2,
        rotation=rotation,
        flips=flips,
        codec="libx264rgb",
        pixel_format="rgb24",
        options={"crf": "0"},
    )
    timeline, frames = read(path)
    expected = np.rot90(stored, rotation // 90)
    expected = expected[:, ::-1] if flips[0] else expected
    expected = expected[::-1] if flips[1] else expected
    np.testing.assert_array_equal(frames[0].pixels, expected)
    np.testing.assert_array_equal(timeline.as_stored(expected), stored)
    np.testing.assert_array_equal(to_stored_orientation(expected.copy(), timeline.orientation), stored)
    assert Timeline.from_json(timeline.to_json()) == timeline


def test_ten_bits_come_in_as_eight(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "ten.mkv", numbered(4), codec="ffv1", pixel_format="yuv444p10le", options={"g": "1"}
    )
    _, frames = read(path)
    assert [number_of(frame.pixels) for frame in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize(("trc", "signal"), [(16, 0.58), (18, 0.75)])
def test_hdr_white_and_skin_come_in_sane(tmp_path: Path, trc: int, signal: float) -> None:
    """203 cd/m2, paper white, is PQ 0.58 and HLG 0.75 (BT.2408, table 1); plain conversion leaves it grey."""

    def as_hdr(frame: Any) -> Any:
        frame.color_trc = trc
        return frame

    pictures = [np.full((48, 64, 3), round(255 * signal), np.uint8)] * 2
    options = {"g": "1", "color_trc": str(trc)}
    path = write_clip(
        tmp_path / "hdr.mkv",
        pictures,
        codec="ffv1",
        pixel_format="yuv420p10le",
        options=options,
        prepare=as_hdr,
    )
    timeline, frames = read(path)
    assert timeline.transfer == {16: "pq", 18: "hlg"}[trc]
    value = float(frames[0].pixels.mean())
    assert 170 <= value <= 240
    assert value > 255 * signal + 5 or trc == 18


def test_fields_of_two_moments_are_not_combed() -> None:
    comb = np.zeros((8, 6, 3), np.uint8)
    comb[::2] = np.arange(4, dtype=np.uint8)[:, None, None] * 40
    comb[1::2] = 255
    woven = one_field(comb)
    assert woven[:, 0, 0].tolist() == [0, 20, 40, 60, 80, 100, 120, 120]


def test_numbered_pictures_are_a_clip(tmp_path: Path) -> None:
    for index, picture in enumerate(numbered(12), start=1):
        Image.fromarray(picture).save(tmp_path / f"img_{index:03}.png")
    (tmp_path / "img_007.png").write_bytes(b"text")
    Image.fromarray(numbered(1)[0]).save(tmp_path / "img_1.png")
    timeline, frames = read(tmp_path / "img_%03d.png")
    assert (len(timeline), timeline.size_wh, timeline.seconds(5)) == (12, (64, 48), 0.2)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert [number_of(frame.pixels) for frame in frames] == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    before = clip_sha256(str(tmp_path / "img_%03d.png"))
    (tmp_path / "img_012.png").write_bytes((tmp_path / "img_011.png").read_bytes())
    assert clip_sha256(str(tmp_path / "img_%03d.png")) != before


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_are_clips(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.fromarray(picture) for picture in numbered(5)]
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=[40, 80, 40, 200, 40], **options
    )
    timeline, frames = read(path, 1, 5)
    assert [round(timeline.seconds(index), 3) for index in range(5)] == [0, 0.04, 0.12, 0.16, 0.36]
    assert [number_of(frame.pixels) for frame in frames] == [1, 2, 3, 4]


def test_a_header_that_lies_about_its_frames_is_not_believed(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", numbered(20), codec="mpeg4", options={"qscale": "2"})
    content = bytearray(whole.read_bytes())
    place = content.index(b"avih") + 8 + 16
    content[place : place + 4] = (12345).to_bytes(4, "little")
    lying = tmp_path / "lying.avi"
    lying.write_bytes(content)
    timeline, frames = read(lying)
    assert len(timeline) == len(frames) == 20


def test_what_is_left_of_a_truncated_clip_is_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", numbered(30), options={"g": "10", "crf": "1", "bf": "0"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    timeline, frames = read(path)
    assert 5 < len(frames) < 30
    assert len(timeline) - len(frames) <= 1
    assert [number_of(frame.pixels) for frame in frames] == list(range(len(frames)))


def _sound_only(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))


def _no_frames(path: Path) -> None:
    whole = write_clip(path, numbered(1), codec="mpeg4", options={"qscale": "2"})
    content = whole.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])


def _cut_off(path: Path) -> None:
    whole = write_clip(path, numbered(5))  # its index stands at the end
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        (
            "text.mp4",
            lambda path: path.write_text("a text, not a clip\n" * 40),
            "is not a clip that can be read",
        ),
        ("empty.mp4", lambda path: path.write_bytes(b""), "is not a clip that can be read"),
        ("sound.mp4", _sound_only, "holds sound but no pictures"),
        ("zero.avi", _no_frames, "no frames|is not a clip"),
        ("cut.mp4", _cut_off, "cut off"),
        ("img_%03d.png", lambda path: None, "no pictures of such names"),
        ("missing.mp4", lambda path: None, "no such file"),
    ],
)
def test_files_that_are_no_clips_say_what_they_are(tmp_path: Path, name: str, make: Any, reason: str) -> None:
    make(tmp_path / name)
    with pytest.raises(ClipReadError, match=reason) as caught:
        probe(str(tmp_path / name), max_pixels=10**6)
    assert name in str(caught.value)


def test_frames_of_too_many_pixels_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", numbered(2))
    with pytest.raises(ClipReadError, match=r"64 x 48 pixels, more than input.max_pixels \(3000\)"):
        probe(str(path), max_pixels=3000)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", numbered(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipReadError, match=r"pip install 'uncrop\[video\]'"):
        probe(str(path), max_pixels=10**6)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_decoder_that_waits_goes_on_as_one_that_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_damaged: bool
) -> None:
    path = tmp_path / "a.mkv"
    pictures = [np.roll(sample("obama")[:96, :128], 3 * index, axis=1) for index in range(60)]
    write_clip(path, pictures, options={"g": "30", "keyint_min": "30", "sc_threshold": "0", "bf": "2"})
    if is_damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 4 : len(content) // 4 + 40] = bytes(40)
        path.write_bytes(content)
    timeline = probe(str(path), max_pixels=10**6)
    opened: list[str] = []
    really = containers._opened

    def counted(path: str, threads: int = 1) -> Any:
        opened.append(path)
        return really(path, threads)

    monkeypatch.setattr(containers, "_opened", counted)

    def read(start: int, stop: int, *, keep_open: bool) -> list[tuple[int, bytes, bool]]:
        frames = read_frames(str(path), timeline, start, stop, max_pixels=10**6, keep_open=keep_open)
        return [(frame.index, frame.pixels.tobytes(), frame.is_damaged) for frame in frames]

    ranges = [(0, 13), (7, 22), (22, 29), (28, 40), (34, 60), (10, 20), (3, 9), (9, 12)]
    anew = [read(*part, keep_open=False) for part in ranges]
    assert len(opened) == len(ranges)
    opened.clear()
    assert [read(*part, keep_open=True) for part in ranges] == anew
    # Anew: the beginning, behind the second key frame, twice further back than is kept.
    assert len(opened) == 4
    path.write_bytes(path.read_bytes() + b" ")
    read(12, 14, keep_open=True)
    assert len(opened) == 5  # another file by now
    containers.close_waiting()
    assert read(13, 15, keep_open=False) == read(13, 15, keep_open=True)
    assert len(opened) == 7
    containers.close_waiting()
