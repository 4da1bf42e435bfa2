"""Chunks: all frames, none twice, and as little as possible decoded for nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import VideoConfig
from pipeline.video.chunks import LEAD_FRAMES, SLACK, chunks_of
from pipeline.video.reader import probe
from pipeline.video.timeline import Timeline
from tests.video.clips import sample, view, write_clip


def timeline(frames: int, keys: list[int]) -> Timeline:
    return Timeline(
        "video", "nut h264", tuple(range(frames)), Fraction(1, 25), tuple(sorted({0, *keys})), (64, 48)
    )


@given(st.integers(1, 400), st.lists(st.integers(0, 399)), st.integers(1, 130))
def test_chunks_are_all_frames_once_and_of_the_length_asked_for(
    frames: int, keys: list[int], length: int
) -> None:
    chunks = chunks_of(timeline(frames, [key for key in keys if key < frames]), length)
    assert [place for chunk in chunks for place in chunk] == list(range(frames))
    longest, shortest = length + int(SLACK * length), length - int(SLACK * length)
    assert all(len(chunk) <= longest for chunk in chunks)
    assert all(len(chunk) >= shortest for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("keys", "starts"),
    [
        ([], [0, 120, 240, 360]),
        ([250], [0, 120, 254, 374]),  # the second is too far from any
        ([100, 230, 231, 350], [0, 104, 234, 354]),
        (list(range(0, 500, 30)), [0, 124, 244, 364]),
        (list(range(500)), [0, 120, 240, 360]),
    ],
)
def test_chunks_begin_where_the_frames_before_them_are_decoded_from_a_key_frame(
    keys: list[int], starts: list[int]
) -> None:
    assert [chunk.start for chunk in chunks_of(timeline(500, keys), 120)] == starts


def test_the_lead_is_enough_for_every_look_back() -> None:
    (most,) = (part.le for part in VideoConfig.model_fields["average_frames"].metadata if hasattr(part, "le"))
    assert most <= LEAD_FRAMES


def test_chunks_of_a_file_begin_behind_its_key_frames(tmp_path: Path) -> None:
    clip = tmp_path / "a.mkv"
    shown = (view(sample("obama"), (300 + i, 250), 500, (96, 64)) for i in range(40))
    write_clip(clip, shown, options={"g": "9", "keyint_min": "9", "sc_threshold": "0"})
    found = probe(str(clip), max_pixels=10**6)
    assert [found.index_of(key) for key in found.key_pts] == [0, 9, 18, 27, 36]
    assert [chunk.start for chunk in chunks_of(found, 12)] == [0, 13, 22, 31]
    assert [found.key_before(chunk.start - LEAD_FRAMES) for chunk in chunks_of(found, 12)[1:]] == [
        found.pts[chunk.start - LEAD_FRAMES] for chunk in chunks_of(found, 12)[1:]
    ]
