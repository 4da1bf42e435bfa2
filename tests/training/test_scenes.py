from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.synthetic import make_crop
from training.augment import AugmentOptions, augment
from training.cutouts import OccluderBank
from training.data import make_sample
from training.scenes import add_grain, backlit, dark, relight_scene


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_scene_repeats_by_seed_and_leaves_its_argument_alone(seed: int) -> None:
    crop = make_crop()
    before = crop.image.copy()
    first, second = (relight_scene(crop, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(crop.image, before)
    assert first.shape == before.shape and first.dtype == np.uint8 and (first != before).any()


def test_behind_the_head_it_is_brighter_than_on_the_face() -> None:
    crop = make_crop()
    face = crop.face > 127
    corners = np.zeros_like(face)
    corners[:20, :12] = corners[:20, -12:] = True
    gains = []
    for seed in range(40):
        picture = backlit(crop, np.random.default_rng(seed))
        brighter = [picture[part].mean() / crop.image[part].mean() for part in (corners, face)]
        gains.append(brighter[0] / brighter[1])
    assert np.median(gains) > 2 and np.mean(np.array(gains) > 1) > 0.9


def test_the_shadow_of_a_head_says_nothing_of_where_its_mask_ends() -> None:
    crop = make_crop()
    high, wide = np.zeros_like(crop.face), np.zeros_like(crop.face)
    high[34:94, 44:84] = wide[44:84, 34:94] = 255  # as large, about the same middle
    for seed in range(8):
        of_high, of_wide = (
            backlit(replace(crop, face=face), np.random.default_rng(seed)) for face in (high, wide)
        )
        np.testing.assert_array_equal(of_high, of_wide)


def test_without_a_face_there_is_no_head_to_stand_before_a_window() -> None:
    crop = make_crop()
    bare = replace(crop, face=np.zeros_like(crop.face))
    expected = dark(crop.image, np.random.default_rng(4))
    np.testing.assert_array_equal(backlit(bare, np.random.default_rng(4)), expected)


def test_dark_places_are_dark_and_noisy() -> None:
    crop = make_crop()
    flat = crop.image[:, :8]  # one colour, so that what varies is noise
    for seed in range(20):
        picture = dark(crop.image, np.random.default_rng(seed))
        assert picture.mean() < 0.75 * crop.image.mean()
        assert picture[:, :8].astype(float).std(axis=(0, 1)).max() > flat.std(axis=(0, 1)).max()


def test_there_is_more_noise_where_there_is_more_light() -> None:
    light = np.full((64, 128, 3), 10, np.float32)
    light[:, 64:] = 200
    for seed in range(10):
        grain = add_grain(light, np.random.default_rng(seed), 4.0).astype(float) - light
        assert 0 < grain[:, :64].std() < grain[:, 64:].std()


def test_crops_have_scenes_as_often_as_asked() -> None:
    crop = make_crop()
    drawn = make_sample("drawn", "celebamask", crop.image, crop.face, crop.weight, crop.points)
    assert drawn is not None
    settings_of = {
        share: AugmentOptions(occluder_share=0, damage_share=0, scene_share=share) for share in (0.0, 1.0)
    }
    for seed in range(8):
        plain, ruined = (
            augment(drawn, OccluderBank(), np.random.default_rng(seed), chosen)
            for chosen in settings_of.values()
        )
        np.testing.assert_array_equal(plain.face, ruined.face)
        assert (plain.image != ruined.image).any()
