"""Steady crops and landmarks: even motion is kept exactly, shaking goes, and nothing strays or lags."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.bbox import bbox_from_landmarks
from pipeline.video.smoothing import box_in_frame, extents_of, fit, median, steady_track

RNG = np.random.default_rng(3)
SHAPE = np.stack([np.linspace(-30, 30, 68), 25 * np.sin(np.linspace(0, 9, 68))], axis=1)
TIMES = np.cumsum(np.r_[0, np.where(np.arange(39) % 3, 0.04, 0.02)])


def test_straight_motion_of_a_varying_rate_is_kept_exactly() -> None:
    points = SHAPE + np.stack([100 + 300 * TIMES, 80 - 90 * TIMES], axis=1)[:, None, :]
    steady = steady_track(TIMES, points, steady=1)
    np.testing.assert_allclose(steady.points, points, atol=1e-6)
    np.testing.assert_allclose(steady.extents, extents_of(points), atol=1e-6)


def test_shaking_goes_and_most_of_all_from_the_size() -> None:
    points = SHAPE + 100 + RNG.normal(0, 1.5, (40, 68, 2))
    steady = steady_track(TIMES, points, steady=1)
    before, after = extents_of(points), steady.extents

    def shake(values: np.ndarray) -> float:
        return float(np.abs(np.diff(values, 2, axis=0)).mean())

    size = np.array([[-1, 0, 1, 0], [0, -1, 0, 1]]).T
    assert shake(steady.points) < shake(points) * 0.7
    assert shake(after @ size) < shake(before @ size) / 8
    assert np.abs(steady.points - points).max() <= 0.02 * (before[:, 2:] - before[:, :2]).mean(axis=1).max()


def test_strength_0_leaves_all_as_seen() -> None:
    points = SHAPE + 100 + RNG.normal(0, 1.5, (40, 68, 2))
    steady = steady_track(TIMES, points, steady=0)
    np.testing.assert_array_equal(steady.points, points)


def test_a_sudden_start_does_not_lag_by_more_than_a_share_of_the_face() -> None:
    offset = np.where(TIMES < 0.6, 0, 400 * (TIMES - 0.6))
    points = SHAPE + 100 + np.stack([offset, 0 * offset], axis=1)[:, None, :]
    steady = steady_track(TIMES, points, steady=3)
    size = float((extents_of(points)[0, 2:] - extents_of(points)[0, :2]).mean())
    centres = [(one[:, :2] + one[:, 2:]) / 2 for one in (steady.extents, extents_of(points))]
    assert np.abs(centres[0] - centres[1]).max() <= 0.04 * size + 1e-9


def test_frames_whose_landmarks_jump_do_not_pull_the_crop_along() -> None:
    points = np.repeat((SHAPE + 100)[None], 40, axis=0)
    expected = extents_of(points)
    size = float((expected[0, 2:] - expected[0, :2]).mean())
    points[20, 30:] += 0.3 * size
    points[27] = (points[27] - 100) * 1.25 + 100
    shaken = steady_track(TIMES, points, steady=1).extents
    assert np.abs(shaken - expected).max() < 0.03 * size


@pytest.mark.parametrize("rate", [5, 25, 60])
def test_the_median_keeps_even_motion_to_the_ends_of_a_track_at_any_rate(rate: int) -> None:
    seconds = np.arange(20) / rate
    values = np.stack([3 + 7 * seconds, 9 - 100 * seconds**2], axis=1)
    np.testing.assert_allclose(median(seconds, values), values)


def test_a_jump_to_another_place_is_not_bridged() -> None:
    points = SHAPE + np.where(TIMES < 0.6, 100, 400)[:, None, None]
    np.testing.assert_allclose(steady_track(TIMES, points, steady=1).points, points, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(40, 400), st.booleans())
def test_the_box_is_that_of_the_whole_pixels_but_for_rounding(seed: int, spread: int, square: bool) -> None:
    rng = np.random.default_rng(seed)
    frame = (int(rng.integers(200, 900)), int(rng.integers(200, 900)))
    centre = rng.uniform((0.3, 0.4), (0.7, 0.7)) * frame
    points = np.rint(centre + rng.uniform(-spread / 2, spread / 2, (68, 2))).astype(int)
    expected = np.array(bbox_from_landmarks(points, frame, square=square))
    box = box_in_frame(extents_of(points[None].astype(float))[0], frame, square=square)
    assert box is not None
    assert np.abs(np.array([box.x, box.y, box.width, box.height]) - expected).max() <= 5
    assert box.x >= 0
    assert box.y >= 0
    assert box.x_max <= frame[0]
    assert box.y_max <= frame[1]


def test_a_crop_off_the_frame_is_none() -> None:
    assert box_in_frame(np.array([-90.0, 10, -40, 60]), (100, 100), square=True) is None
    assert box_in_frame(np.array([120.0, 10, 140, 60]), (100, 100), square=True) is None


def test_one_frame_alone_is_itself() -> None:
    assert fit(np.array([0.3]), np.array([[7.0]]), 0.1, degree=2) == pytest.approx(7)
