"""Ids last through misses, end at cuts, are never used twice, and crossing people keep theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from landmarks.geometry import Box
from landmarks.selection import main_score
from pipeline.video.choosing import census_of
from pipeline.video.finding import FrameFaces, SeenFace
from pipeline.video.tracks import LinkedFace, LinkedFrame, Linker, with_gaps_filled

RATE = 25
SHAPE = np.stack([np.linspace(-30, 30, 68), 25 * np.sin(np.linspace(0, 9, 68))], axis=1)
ANNA, BEN = np.resize([1.0, -1.0], 16), np.repeat([1.0, -1.0], 8)


@dataclass
class Even:
    """A clip of an even rate."""

    rate: float = RATE

    def seconds(self, index: int, /) -> float:
        return index / self.rate


def seen(x: float, y: float, look: np.ndarray = ANNA, side: int = 80) -> SeenFace:
    box = Box(round(x - side / 2), round(y - side / 2), side, side)
    return SeenFace(SHAPE * side / 80 + [x, y], box, 0.9, "blazeface", look)


def link(frames: list[FrameFaces], rate: float = RATE) -> list[LinkedFrame]:
    linked = list(Linker(Even(rate)).run(frames))
    assert [frame.index for frame in linked] == [frame.index for frame in frames]
    return linked


def ids(frames: list[LinkedFrame]) -> list[list[int]]:
    return [[face.track for face in frame.faces] for frame in frames]


def walk(count: int, missing: range = range(0)) -> list[FrameFaces]:
    return [FrameFaces(i, False, () if i in missing else (seen(100 + 4 * i, 100),)) for i in range(count)]


def test_a_face_that_moves_keeps_its_track() -> None:
    assert ids(link(walk(40))) == [[0]] * 40


def test_a_short_miss_is_filled_on_the_way() -> None:
    frames = link(walk(40, range(10, 20)))
    assert ids(frames) == [[0]] * 40
    filled = frames[14].faces[0]
    assert filled.is_filled
    assert not frames[9].faces[0].is_filled
    np.testing.assert_allclose(filled.points, SHAPE + np.array([100 + 4 * 14, 100]))
    assert filled.box.center[0] == pytest.approx(100 + 4 * 14, abs=1)


def test_a_long_absence_ends_the_track_and_fills_nothing() -> None:
    frames = link(walk(60, range(10, 30)))
    assert ids(frames) == [[0]] * 10 + [[]] * 20 + [[1]] * 30


def test_misses_are_measured_in_time_not_in_frames() -> None:
    assert ids(link(walk(40, range(10, 30)), rate=60))[29] == [0]
    assert ids(link(walk(40, range(10, 20)), rate=12))[35] == [1]


def test_a_slow_clip_links_neighbouring_frames_all_the_same() -> None:
    frames = [FrameFaces(i, False, (seen(100 + i, 100),)) for i in range(5)]
    assert ids(link(frames, rate=1)) == [[0]] * 5


def test_a_cut_ends_every_track() -> None:
    frames = walk(20, range(8, 10))
    frames[10] = FrameFaces(10, True, frames[10].faces)
    assert ids(link(frames)) == [[0]] * 8 + [[]] * 2 + [[1]] * 10


def test_frames_that_could_not_be_decoded_break_nothing() -> None:
    frames = [frame for frame in walk(30) if frame.index not in (7, 8, 9)]
    assert ids(link(frames)) == [[0]] * 27


@pytest.mark.parametrize("hidden", [range(0), range(17, 24)])
def test_two_people_who_cross_keep_their_ids(hidden: range) -> None:
    """Ben walks to the left behind Anna, who walks to the right; he may be hidden for a while."""
    frames = []
    for index in range(40):
        faces = [seen(60 + 8 * index, 100, ANNA)]
        if index not in hidden:
            faces.insert(index % 2, seen(380 - 8 * index, 106, BEN))
        frames.append(FrameFaces(index, False, tuple(faces)))
    linked = link(frames)
    ways = {
        track: [
            face.points.mean(axis=0)[0] for frame in linked for face in frame.faces if face.track == track
        ]
        for track in (0, 1)
    }
    assert all(len(way) == 40 for way in ways.values())
    right, left = sorted(ways.values(), key=lambda way: way[0])
    assert (np.diff(right) > 0).all()
    assert (np.diff(left) < 0).all()


def test_another_face_far_away_is_another_track() -> None:
    frames = [FrameFaces(0, False, (seen(100, 100),)), FrameFaces(1, False, (seen(300, 100),))]
    assert ids(link(frames)) == [[0], [1]]
    frames = [FrameFaces(0, False, (seen(100, 100),)), FrameFaces(1, False, (seen(100, 100, side=200),))]
    assert ids(link(frames)) == [[0], [1]]


def linked(track: int, x: float, y: float, side: int, *, is_filled: bool = False) -> LinkedFace:
    face = seen(x, y, side=side)
    return LinkedFace(track, face.points, face.box, 0.9, "hog", is_filled)


def test_the_main_face_of_one_frame_is_that_of_a_photograph() -> None:
    faces = (linked(0, 100, 100, 80), linked(1, 330, 170, 60))
    census = census_of([LinkedFrame(0, False, faces)], (640, 360))
    for face in faces:
        assert census.main_score(face.track) == pytest.approx(main_score(face.box, (640, 360)))
    assert census.wanted("main") == (1,)
    assert census.wanted("largest") == (0,)
    assert census.wanted("all") == (0, 1)


def test_small_tracks_are_left_out_by_their_mean() -> None:
    """One face grows from 20 to 60 pixels, one stays at 39, one is larger but only filled in there."""
    frames = []
    for index in range(5):
        faces = [
            linked(0, 100, 100, 20 + 10 * index),
            linked(1, 330, 170, 39),
            linked(2, 500, 170, 20 + 80 * (index == 2), is_filled=index == 2),
        ]
        frames.append(LinkedFrame(index, False, tuple(faces)))
    census = census_of(frames, (640, 360))
    assert census.wanted("all", min_side_px=20) == (0, 1, 2)
    assert census.wanted("all", min_side_px=39) == (0, 1)
    assert census.wanted("all", min_side_px=40) == (0,)
    assert (census.wanted("main"), census.wanted("main", min_side_px=40)) == ((1,), (0,))
    assert census.wanted("largest", min_side_px=41) == ()


def test_lasting_counts_in_a_sequence() -> None:
    """By hand: W 640, H 360, diagonal 734.3; one in the middle for 2 of 10 frames, one beside it for all."""
    frames = []
    for index in range(12):
        faces = [linked(0, 200, 180, 100)] if index < 10 else []
        if index < 2:
            faces.append(linked(1, 320, 180, 100))
        elif index < 10:
            faces.append(linked(1, 320, 180, 100, is_filled=True))
        frames.append(LinkedFrame(index, False, tuple(faces)))
    census = census_of(frames, (640, 360))
    assert census.frames_with_faces == 10
    assert census.main_score(0) == pytest.approx(((1 - 120 / 183.5756) + 1 + 100 / 250) / 3, abs=1e-4)
    assert census.main_score(1) == pytest.approx((1 + 0.2 + 0.4) / 3)
    assert census.wanted("main") == (0,)


def test_no_face_is_wanted_where_none_is() -> None:
    census = census_of([LinkedFrame(0, False, ())], (640, 360))
    assert census.wanted("main") == census.wanted("largest") == census.wanted("all") == ()


def numbered(places: dict[int, tuple[float, int]], count: int) -> list[LinkedFrame]:
    """Frames of a landmark file: place of the frame -> x of its face, and its number."""
    frames = []
    for index in range(count):
        faces = []
        if index in places:
            x, track = places[index]
            face = seen(x, 100)
            faces = [LinkedFace(track, face.points, face.box, 1.0, "lms")]
        frames.append(LinkedFrame(index, False, tuple(faces)))
    return frames


def test_gaps_of_a_landmark_file_are_filled_as_short_misses_are() -> None:
    seen_in = {index: (100.0 + 4 * index, 7) for index in range(40) if index not in range(10, 20)}
    frames = list(with_gaps_filled(numbered(seen_in, 40), Even()))
    assert ids(frames) == [[7]] * 40
    assert [frame.faces[0].is_filled for frame in frames] == [10 <= index < 20 for index in range(40)]
    np.testing.assert_allclose(frames[14].faces[0].points, SHAPE + np.array([100 + 4 * 14, 100]))


@pytest.mark.parametrize(("gap", "x"), [(range(10, 30), 100.0), (range(10, 14), 300.0)])
def test_long_gaps_and_numbers_that_go_elsewhere_stay(gap: range, x: float) -> None:
    seen_in = {i: (100.0 if i < gap.start else x, 0) for i in range(40) if i not in gap}
    frames = list(with_gaps_filled(numbered(seen_in, 40), Even()))
    assert ids(frames) == [[] if index in gap else [0] for index in range(40)]
    assert [frame.index for frame in frames] == list(range(40))


def test_nothing_is_filled_on_request() -> None:
    seen_in = dict.fromkeys((0, 2), (100.0, 0))
    assert ids(list(with_gaps_filled(numbered(seen_in, 3), Even(), lost_seconds=0))) == [[0], [], [0]]
