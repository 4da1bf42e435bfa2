"""Pictures of a photograph lead back to its pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarks.candidates import Candidate
from landmarks.views import View, padded_view, reduced_view, scaled_view, turned_view, upright_patch


def _photo_with_spot(x: int, y: int, size_wh: tuple[int, int] = (120, 80)) -> np.ndarray:
    """Black, with a white square of 5 pixels around the pixel x, y; its middle is at x + 0.5, y + 0.5."""
    photo = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    photo[y - 2 : y + 3, x - 2 : x + 3] = 255
    return photo


def _spot(view: View) -> tuple[float, float]:
    """Middle of the light in the view, taken back to the photograph."""
    weights = view.pixels[:, :, 0].astype(float)
    rows, columns = np.indices(weights.shape)
    middle = [
        (weights * (columns + 0.5)).sum() / weights.sum(),
        (weights * (rows + 0.5)).sum() / weights.sum(),
    ]
    x, y = view.photo_points([middle])[0]
    return float(x), float(y)


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(25, 90),
    y=st.integers(25, 55),
    longest_px=st.sampled_from([40, 60, 120, 173, 240]),
    margin_px=st.integers(0, 30),
    degrees=st.floats(-180, 180),
)
def test_a_spot_is_found_where_it_is(x: int, y: int, longest_px: int, margin_px: int, degrees: float) -> None:
    photo = _photo_with_spot(x, y)
    before = photo.copy()
    view = turned_view(padded_view(scaled_view(photo, longest_px), margin_px, 32), degrees)
    assert _spot(view) == pytest.approx((x + 0.5, y + 0.5), abs=0.15 * max(view.scale, 1))
    np.testing.assert_array_equal(photo, before)


def test_scaled_view_of_the_same_size_is_the_photograph() -> None:
    photo = _photo_with_spot(30, 40)
    view = scaled_view(photo, 120)
    assert view.pixels is photo
    assert view.scale == 1.0


def test_scaled_view_keeps_a_pixel_of_thin_photographs() -> None:
    view = scaled_view(np.zeros((1, 3000, 3), np.uint8), 100)
    assert view.size_wh == (100, 1)


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(60, 400),
    height=st.integers(60, 400),
    share=st.floats(0.04, 1.4),
    seed=st.integers(0, 9),
)
def test_reduced_view_shows_what_scaled_view_shows(width: int, height: int, share: float, seed: int) -> None:
    rough = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    photo = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    quick, exact = (make(photo, max(width, height) * share) for make in (reduced_view, scaled_view))
    assert quick.size_wh == exact.size_wh
    np.testing.assert_array_equal(quick.to_photo, exact.to_photo)
    assert np.abs(quick.pixels.astype(int) - exact.pixels).mean() < 4


def test_padding_is_black_and_a_multiple() -> None:
    view = padded_view(scaled_view(np.full((80, 120, 3), 200, np.uint8), 120), 10, 32)
    assert view.size_wh == (160, 128)
    assert view.pixels[24:104, 20:140].min() == 200
    assert view.pixels.sum() == 200 * 80 * 120 * 3


def test_turned_view_holds_all_of_the_picture() -> None:
    photo = np.full((80, 120, 3), 255, np.uint8)
    view = turned_view(scaled_view(photo, 120), 30)
    assert view.pixels[:, :, 0].sum() / 255 == pytest.approx(80 * 120, rel=0.01)
    assert view.angle == pytest.approx(30)


def test_turning_by_90_degrees_is_exact() -> None:
    photo = np.random.default_rng(4).integers(0, 256, (7, 12, 3), np.uint8)
    np.testing.assert_array_equal(turned_view(scaled_view(photo, 12), 90).pixels, np.rot90(photo))


def test_candidates_turn_and_grow_with_the_way_back() -> None:
    photo = _photo_with_spot(60, 40)
    view = turned_view(scaled_view(photo, 60), 30)
    x, y = view.size_wh[0] / 2, view.size_wh[1] / 2
    back = view.to_photo_candidate(Candidate(x, y, 10, 12, -50.0, 0.5, "hog"))
    assert (back.x, back.y) == pytest.approx((60, 40))
    assert (back.width, back.height, back.angle) == pytest.approx((20, 24, -20))
    assert (back.score, back.detector) == (0.5, "hog")


@settings(max_examples=30, deadline=None)
@given(side=st.floats(4, 60), angle=st.floats(-180, 180))
def test_upright_patch_shows_the_neighbourhood(side: float, angle: float) -> None:
    photo = _photo_with_spot(64, 37)
    patch = upright_patch(photo, Candidate(62.0, 40.0, side, side, angle, 1.0, "hog"), 96, 0.3)
    assert patch.size_wh == (96, 96)
    assert patch.scale == pytest.approx(side / (96 * 0.3))
    assert math.cos(math.radians(patch.angle - angle)) == pytest.approx(1)
    if side > 16:  # the spot lies inside the patch
        assert _spot(patch) == pytest.approx((64.5, 37.5), abs=0.3 * max(patch.scale, 1))


def test_upright_patch_off_the_photograph_is_black() -> None:
    photo = np.full((50, 50, 3), 255, np.uint8)
    assert upright_patch(photo, Candidate(-500, 20, 30, 30, 10, 1.0, "hog"), 32, 0.3).pixels.max() == 0


def test_upright_patch_of_a_very_long_photograph() -> None:
    photo = np.zeros((20, 40_000, 3), np.uint8)
    photo[:, 39_000:] = 255
    patch = upright_patch(photo, Candidate(39_500, 10, 10, 10, 45, 1.0, "hog"), 32, 0.5)
    assert patch.pixels[16, 16].tolist() == [255, 255, 255]
