from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.synthetic import make_bank, make_crop, write_prepared
from training.cutouts import OccluderBank, read_heads, read_occluders
from training.glasses import add_clear_glasses
from training.layers import COVERED_ALPHA, composite
from training.occluders import LAYER_MAKERS, LayerMaker, paste_occluders

MAKERS = [maker for maker, _ in LAYER_MAKERS]


@pytest.mark.parametrize("maker", MAKERS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_occluder_pixel_is_left_as_face(maker: LayerMaker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = make_crop()
    layer = maker(crop, make_bank(rng), rng)
    assert layer is not None and layer.shape == (128, 128, 4)
    pasted = composite(crop, layer)
    covered = layer[:, :, 3] >= 255 * COVERED_ALPHA
    assert not pasted.face[covered].any()
    assert (pasted.weight[covered] == 255).all()
    untouched = layer[:, :, 3] == 0
    np.testing.assert_array_equal(pasted.face[untouched], crop.face[untouched])
    np.testing.assert_array_equal(pasted.image[untouched], crop.image[untouched])


@pytest.mark.parametrize("maker", MAKERS)
def test_every_kind_covers_part_of_the_face_now_and_then(maker: LayerMaker) -> None:
    rng = np.random.default_rng(11)
    crop, bank = make_crop(), make_bank(rng)
    hits = 0
    for _ in range(12):
        layer = maker(crop, bank, rng)
        assert layer is not None
        hits += int(composite(crop, layer).face.sum() < crop.face.sum())
    assert hits >= 3


@pytest.mark.parametrize("maker", MAKERS)
def test_without_face_or_landmarks_nothing_is_placed(maker: LayerMaker) -> None:
    crop = make_crop()
    bare = replace(crop, face=np.zeros_like(crop.face), points=None)
    assert maker(bare, make_bank(np.random.default_rng(1)), np.random.default_rng(2)) is None


def test_sunglasses_hide_the_eyes_and_medical_masks_the_mouth() -> None:
    rng = np.random.default_rng(5)
    makers = {maker.__name__: maker for maker in MAKERS}
    crop, bank = make_crop(), make_bank(rng)
    for name, at in (("sunglasses_layer", (58, 50)), ("medical_mask_layer", (90, 64))):
        layer = makers[name](crop, bank, rng)
        assert layer is not None
        assert composite(crop, layer).face[at] == 0 < crop.face[at]


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_clear_glasses_change_pixels_but_never_the_mask(seed: int) -> None:
    crop = make_crop()
    worn = add_clear_glasses(crop, np.random.default_rng(seed))
    np.testing.assert_array_equal(worn.face, crop.face)
    np.testing.assert_array_equal(worn.weight, crop.weight)
    assert (worn.image != crop.image).any()
    far = cv2.dilate(crop.face, np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(worn.image[far], crop.image[far])


def test_pasting_repeats_by_seed_and_leaves_its_argument_alone() -> None:
    crop, bank = make_crop(), make_bank(np.random.default_rng(0))
    before = crop.image.copy(), crop.face.copy()
    first, second = (paste_occluders(crop, bank, np.random.default_rng(9), share=1.0) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.face, second.face)
    np.testing.assert_array_equal(crop.image, before[0])
    np.testing.assert_array_equal(crop.face, before[1])


def test_share_zero_pastes_nothing() -> None:
    crop, bank = make_crop(), make_bank(np.random.default_rng(0))
    for seed in range(20):
        pasted = paste_occluders(crop, bank, np.random.default_rng(seed), share=0.0)
        np.testing.assert_array_equal(pasted.face, crop.face)


def write_cutout(path: Path, brightness: int, size_wh: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size_wh[1], size_wh[0], 4), brightness, np.uint8)
    pixels[:, :, 3] = 255
    pixels[0, 0, 3] = 0  # WebP drops an alpha channel without any transparent pixel
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])


def test_cutouts_are_sorted_and_glasses_that_show_the_eyes_left_out(tmp_path: Path) -> None:
    write_cutout(tmp_path / "skin" / "a_skin_1.webp", 180, (20, 60))
    write_cutout(tmp_path / "objects" / "a_bag_1.webp", 90, (30, 30))
    write_cutout(tmp_path / "objects" / "a_sunglasses_1.webp", 30, (60, 20))
    write_cutout(tmp_path / "objects" / "b_sunglasses_1.webp", 180, (60, 20))
    write_cutout(tmp_path / "medical_masks" / "cloth.webp", 20, (40, 30))
    write_cutout(tmp_path / "medical_masks" / "cloth_left.webp", 20, (40, 30))
    bank = read_occluders(tmp_path)
    counts = [len(kind) for kind in (bank.skin, bank.objects, bank.glasses, bank.medical_masks)]
    assert counts == [1, 1, 1, 1]
    assert bank.skin[0].shape == (60, 20, 4)


def test_a_missing_occluder_folder_gives_an_empty_bank(tmp_path: Path) -> None:
    assert read_occluders(tmp_path) == OccluderBank()


def test_heads_are_cut_along_skin_and_hair(tmp_path: Path) -> None:
    write_prepared(tmp_path, ["a", "b", "c"])
    heads = read_heads(tmp_path, {"a", "c"}, 1)
    assert len(heads) == 1 and heads[0].shape[2] == 4
    assert heads[0][0, 0, 3] < 128 < heads[0][110, 110, 3]
