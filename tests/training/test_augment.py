from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarks.geometry import Box
from pipeline.crop import crop_face
from tests.training.synthetic import draw_face, face_points, make_bank
from training.augment import AugmentOptions, augment, crop_box, damage, plain_crop, random_crop, relight
from training.data import Sample, make_sample


def sample(size: int = 128) -> Sample:
    image, labels = draw_face(size)
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    made = make_sample("drawn", "celebamask", image, face, np.full_like(face, 255), face_points(size))
    assert made is not None
    return made


def test_plain_crop_is_what_the_pipeline_cuts_out() -> None:
    drawn = sample()
    x, y, width, height = (int(value) for value in crop_box(drawn.extent, (128, 128), clamp=True))
    cut = crop_face(drawn.image, Box(x, y, width, height)).pixels
    expected = cv2.resize(cut, (256, 256), interpolation=cv2.INTER_LINEAR)
    crop = plain_crop(drawn)
    assert np.abs(crop.image.astype(int) - expected.astype(int)).mean() < 1.0
    mask = cv2.resize(drawn.face[y : y + height, x : x + width], (256, 256), interpolation=cv2.INTER_LINEAR)
    assert ((crop.face > 127) != (mask > 127)).mean() < 0.005


def test_an_endless_frame_does_not_clamp_the_box() -> None:
    clamped, free = (crop_box(face_points(), (128, 128), clamp=clamp) for clamp in (True, False))
    assert clamped[1] >= 0 and clamped[1] + clamped[3] <= 128
    assert free[2] == free[3] and free[1] < 0


@pytest.mark.parametrize("window", [96, 192, 256])
def test_same_seed_same_crop(window: int) -> None:
    drawn, bank = sample(), make_bank(np.random.default_rng(0))
    options = AugmentOptions(window_px=window, occluder_share=1.0)
    first, second, other = (augment(drawn, bank, np.random.default_rng(seed), options) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.face, second.face)
    assert first.image.shape == (window, window, 3) and first.face.shape == first.weight.shape == (
        window,
        window,
    )
    assert (first.image != other.image).any()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_face_stays_in_view_and_its_mask_on_its_pixels(seed: int) -> None:
    drawn = sample()
    crop = random_crop(drawn, np.random.default_rng(seed), AugmentOptions(window_px=192))
    assert (crop.face > 127).mean() > 0.02
    inner = cv2.erode(crop.face, np.ones((7, 7), np.uint8)) > 200
    skin = np.abs(crop.image[inner].astype(int) - np.array([200, 150, 120])).max(1) < 40
    assert skin.mean() > 0.97


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_light_and_damage_keep_shape_and_type(seed: int) -> None:
    image, _ = draw_face(64)
    before = image.copy()
    changed = damage(relight(image, np.random.default_rng(seed)), np.random.default_rng(seed))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_grey_crops_occur() -> None:
    image, _ = draw_face(32)
    grey = 0
    for seed in range(200):
        changed = relight(image, np.random.default_rng(seed)).astype(int)
        grey += int((changed.max(2) == changed.min(2)).all())
    assert 15 <= grey <= 100
