"""Merging of candidates that are one face."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from landmarks.candidates import Candidate, merge, same_face
from landmarks.geometry import Box, Detection


def _candidate(x: float, y: float, side: float, score: float = 1.0, detector: str = "hog") -> Candidate:
    return Candidate(x, y, side, side, 0.0, score, detector)


CANDIDATES = st.lists(
    st.builds(
        _candidate,
        st.floats(-20, 220),
        st.floats(-20, 220),
        st.floats(1, 120),
        st.floats(-1, 3),
    ),
    max_size=12,
)


def test_box_rounds_its_borders() -> None:
    assert Candidate(50.0, 60.0, 21.0, 20.0, 30.0, 1.0, "hog").box == Box(40, 50, 20, 20)
    assert Candidate(5.2, 5.2, 0.3, 0.3, 0.0, 1.0, "hog").box == Box(5, 5, 1, 1)


def test_detection_keeps_score_detector_turn_and_points() -> None:
    points = ((45.0, 55.0), (55.0, 55.0), (50.0, 60.0), (50.0, 65.0))
    candidate = Candidate(50, 60, 20, 20, 90.0, 0.25, "hog@clahe", points)
    assert candidate.detection() == Detection(Box(40, 50, 20, 20), 0.25, "hog@clahe", 90.0, points)


def test_the_network_is_told_whatever_was_done_to_the_photograph() -> None:
    names = ("centerface", "centerface@pad", "blazeface@rot+90", "hog")
    networks = [_candidate(1, 1, 9, detector=name).network for name in names]
    assert networks == ["centerface", "centerface", "blazeface", "hog"]


def test_overlapping_boxes_are_one_face() -> None:
    assert same_face(_candidate(50, 50, 40), _candidate(60, 55, 40))
    assert not same_face(_candidate(50, 50, 40), _candidate(90, 50, 40))


def test_a_small_box_in_the_middle_of_a_large_one_is_the_same_face() -> None:
    large, small = _candidate(100, 100, 200), _candidate(103, 104, 60)
    assert same_face(large, small)
    assert same_face(large, _candidate(150, 150, 60))
    assert not same_face(large, _candidate(205, 150, 60))


def test_highest_score_stays() -> None:
    weak, strong, other = (
        _candidate(50, 50, 40, 0.5),
        _candidate(52, 50, 42, 0.9),
        _candidate(200, 50, 40, 0.7),
    )
    assert merge([weak, strong, other]) == [strong, other]


def test_known_faces_are_not_found_again() -> None:
    known, repeated, new = (
        _candidate(50, 50, 40, 0.1),
        _candidate(51, 50, 40, 5.0),
        _candidate(200, 50, 40, 0.2),
    )
    assert merge([repeated, new], known=[known]) == [new]


@given(CANDIDATES)
def test_merged_are_distinct_sorted_and_cover_all(candidates: list[Candidate]) -> None:
    kept = merge(candidates)
    assert [item.score for item in kept] == sorted((item.score for item in kept), reverse=True)
    assert not any(same_face(a, b) for i, a in enumerate(kept) for b in kept[:i])
    for candidate in candidates:
        assert any(same_face(candidate, item) and item.score >= candidate.score for item in kept)
    assert merge(kept) == kept
