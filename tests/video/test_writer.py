"""What is written is read back exactly, joined from parts as if it were written in one go."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import EncodingError
from pipeline.video.joining import join_parts, sound_container
from pipeline.video.writer import (
    FFV1_GREY,
    FFV1_GREY_16,
    H264_LOSSLESS,
    H264_PREVIEW,
    PRORES_4444,
    Form,
    StreamWriter,
)
from tests.video.clips import write_clip

PTS = (500, 1501, 2502, 4000, 4504, 5505)
UNIT = Fraction(1, 30000)
CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


def written(folder: Path, form: Form, pictures: list[NDArray[Any]], cuts: tuple[int, ...] = (2,)) -> Path:
    parts = []
    edges = (0, *cuts, len(pictures))
    height, width = pictures[0].shape[:2]
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        parts.append(folder / f"part{number}")
        with StreamWriter(parts[-1], form, (width, height), UNIT, Fraction(30000, 1001)) as writer:
            for index in range(start, stop):
                writer.write(PTS[index], pictures[index])
    target = folder / f"joined{form.suffix}"
    join_parts(parts, target, container=CONTAINERS[form.suffix])
    return target


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def luma(frame: Any) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width]


@pytest.mark.parametrize("size_wh", [(64, 48), (33, 21)])
@pytest.mark.parametrize("form", [FFV1_GREY, H264_LOSSLESS])
def test_masks_come_back_to_the_bit(tmp_path: Path, form: Form, size_wh: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    masks: list[NDArray[Any]] = [rng.integers(0, 256, size_wh[::-1], dtype=np.uint8) for _ in PTS]
    found = frames_of(written(tmp_path, form, masks))
    assert len(found) == len(masks)
    for frame, mask in zip(found, masks, strict=True):
        np.testing.assert_array_equal(luma(frame), mask)
        np.testing.assert_array_equal(frame.to_ndarray(format="gray"), mask)  # as a reader sees it


def test_instances_beyond_a_byte_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    maps: list[NDArray[Any]] = [rng.integers(0, 400, (48, 64), dtype=np.uint16) for _ in PTS]
    for frame, instances in zip(frames_of(written(tmp_path, FFV1_GREY_16, maps)), maps, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(), instances)


def test_prores_keeps_the_mask_as_alpha(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    alpha = rng.integers(0, 256, (48, 64, 1), dtype=np.uint8)
    picture = np.dstack([np.full((48, 64, 3), (200, 120, 90), np.uint8), alpha])
    for frame in frames_of(written(tmp_path, PRORES_4444, [picture] * len(PTS))):
        back = frame.to_ndarray(format="rgba").astype(int)
        assert np.abs(back[..., 3] - picture[..., 3]).max() <= 1
        assert np.abs(back[..., :3] - picture[..., :3]).max() <= 4


@pytest.mark.parametrize("form", [FFV1_GREY, H264_LOSSLESS, H264_PREVIEW, PRORES_4444])
def test_times_are_kept_and_parts_do_not_show(tmp_path: Path, form: Form) -> None:
    channels: tuple[int, ...] = (3,) if form is H264_PREVIEW else (4,) if form is PRORES_4444 else ()
    pictures: list[NDArray[Any]] = [
        np.full((48, 64, *channels), 40 * index, np.uint8) for index in range(len(PTS))
    ]
    target = written(tmp_path, form, pictures)
    exact = form.suffix != ".mkv"  # Matroska counts milliseconds
    for frame, pts in zip(frames_of(target), PTS, strict=True):
        difference = abs(frame.pts * frame.time_base - pts * UNIT)
        assert difference == 0 if exact else difference <= Fraction(1, 2000)
    first = target.read_bytes()
    assert written(tmp_path, form, pictures).read_bytes() == first
    if form in (FFV1_GREY, PRORES_4444):
        assert written(tmp_path, form, pictures, cuts=(1, 3, 4)).read_bytes() == first


def test_sound_is_copied_packet_for_packet(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), 10 * index, np.uint8) for index in range(25)]
    clip = write_clip(tmp_path / "voice.mp4", pictures, sound=True)
    part = tmp_path / "part"
    with StreamWriter(part, H264_PREVIEW, (64, 48), Fraction(1, 25), Fraction(25)) as writer:
        for index, picture in enumerate(pictures):
            writer.write(index, picture)
    assert sound_container(str(clip)) == "mp4"
    join_parts([part], tmp_path / "with", container="mp4", sound_of=str(clip))

    def packets(path: Path) -> list[tuple[bytes, Fraction]]:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            return [
                (bytes(packet), packet.pts * packet.time_base)
                for packet in container.demux(stream)
                if packet.size and packet.pts is not None and packet.time_base is not None
            ]

    assert packets(tmp_path / "with") == packets(clip)
    assert len(frames_of(tmp_path / "with")) == 25


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        StreamWriter(tmp_path / "p", FFV1_GREY, (8, 8), UNIT, Fraction(25)) as writer,
        pytest.raises(ValueError, match="8 x 8 pixels is expected"),
    ):
        writer.write(0, np.zeros((8, 9), np.uint8))


def test_a_size_that_an_encoder_refuses_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match=r"libx264 refuses frames of 40000 x 2 pixels.*video.format"):
        StreamWriter(tmp_path / "p", H264_PREVIEW, (40000, 2), UNIT, Fraction(25))
