from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.synthetic import HAIR, face_points, make_bank, make_crop, write_prepared
from training.cutouts import HairCutout, OccluderBank, read_hair, read_heads, read_occluders
from training.drawn import add_hat, over
from training.glasses import add_clear_glasses, reflect
from training.hair import MIRRORED_POINTS, fit_affine, wig_layer
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


def test_a_hat_covers_what_is_above_its_edge_and_shades_what_is_below() -> None:
    crop, bank = make_crop(), make_bank(np.random.default_rng(0))
    covered, shaded = 0, 0
    for seed in range(20):
        worn = add_hat(crop, bank, np.random.default_rng(seed))
        assert (worn.face <= crop.face).all()
        np.testing.assert_array_equal(worn.face[80:], crop.face[80:])
        assert worn.face[58, 58] or worn.face[70, 64], "eyes and nose are never both hidden"
        hidden = (worn.face == 0) & (crop.face > 0)
        assert (worn.weight[hidden] == 255).all()
        covered += int(hidden.sum() > 100)
        skin = worn.face > 127
        shaded += int((worn.image[skin].astype(int) < crop.image[skin].astype(int) - 20).any())
    assert covered >= 5 and shaded >= 5


def test_without_landmarks_no_hat_is_worn() -> None:
    crop = replace(make_crop(), points=None)
    assert add_hat(crop, make_bank(np.random.default_rng(0)), np.random.default_rng(1)) is crop


def test_veils_leave_eyes_free_and_hide_the_mouth() -> None:
    rng = np.random.default_rng(6)
    makers = {maker.__name__: maker for maker in MAKERS}
    crop, bank = make_crop(), make_bank(rng)
    for _ in range(12):
        layer = makers["veil_layer"](crop, bank, rng)
        assert layer is not None
        worn = composite(crop, layer)
        assert worn.face[90, 64] == 0 and worn.face[57, 50] and worn.face[57, 78]


def test_food_hides_the_mouth_more_often_than_the_brows() -> None:
    rng = np.random.default_rng(7)
    makers = {maker.__name__: maker for maker in MAKERS}
    crop, bank = make_crop(), make_bank(rng)
    hidden = np.zeros(2, int)
    for _ in range(30):
        layer = makers["food_layer"](crop, bank, rng)
        assert layer is not None
        face = composite(crop, layer).face
        hidden += [face[90, 64] == 0, face[48, 64] == 0]
    assert hidden[0] > 2 * hidden[1]


def test_a_layer_over_another_keeps_what_it_does_not_cover() -> None:
    below, above = np.zeros((2, 4, 4, 4), np.uint8)
    below[:, :3] = (10, 20, 30, 255)
    above[:, 2:] = (200, 100, 50, 255)
    laid = over(below, above)
    np.testing.assert_array_equal(laid[0], [(10, 20, 30, 255)] * 2 + [(200, 100, 50, 255)] * 2)


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


def test_hair_is_cut_out_with_the_landmarks_of_its_wearer(tmp_path: Path) -> None:
    write_prepared(tmp_path, ["a", "b", "c"], size=200)
    hair = read_hair(tmp_path, {"a", "c"}, 5, size_px=100)
    assert len(hair) == 2
    pixels, points = hair[0].pixels, hair[0].points
    solid = pixels[:, :, 3] > 250
    assert solid.any() and abs(pixels[solid][:, :3].astype(int) - HAIR).max() <= 2
    ys, xs = np.nonzero(pixels[:, :, 3])
    assert (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1) == (0, 0, *pixels.shape[:2])
    # the drawn hair begins 0.32 of the picture left of its middle, where the nose is, and 0.36 above 0.42
    nose = face_points(100)[27]
    np.testing.assert_allclose(points[27], [nose[0] - 18, nose[1] - 6], atol=1.5)


def test_hair_that_nobody_wears_is_not_cut_out(tmp_path: Path) -> None:
    write_prepared(tmp_path, ["a"])
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.ones((128, 128), np.uint8))
    assert read_hair(tmp_path, {"a"}, 5) == []


def test_a_wig_sits_on_the_head_as_it_sat_on_its_wearer() -> None:
    crop = make_crop()
    fringe = np.zeros((128, 128, 4), np.uint8)
    fringe[20:50, 30:98] = 255  # over the forehead of the drawn face, half of it above the brows
    tops = []
    for seed in range(20):
        bank = OccluderBank(hair=[HairCutout(fringe, face_points())])
        layer = wig_layer(crop, bank, np.random.default_rng(seed))
        assert layer is not None
        ys, xs = np.nonzero(layer[:, :, 3] > 127)
        tops.append(ys.min())
        assert abs(xs.mean() - 63.5) < 8 and ys.max() < 70
    assert 10 < min(tops) < max(tops) < 35


def test_mirrored_landmarks_are_those_of_the_mirrored_face() -> None:
    points = face_points()
    mirrored = points[list(MIRRORED_POINTS)] * [-1, 1] + [128, 0]
    assert sorted(MIRRORED_POINTS) == list(range(68))
    np.testing.assert_allclose(mirrored[:48], points[:48], atol=1e-3)


def test_a_wig_of_a_face_seen_from_the_side_is_not_stretched_over_another() -> None:
    flat = face_points() * np.array([0.2, 1.0], np.float32)
    bank = OccluderBank(hair=[HairCutout(np.full((60, 20, 4), 255, np.uint8), flat)])
    assert wig_layer(make_crop(), bank, np.random.default_rng(1)) is None


@given(values=st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_an_affine_map_is_found_from_what_it_did(values: list[float]) -> None:
    matrix = np.array(values).reshape(2, 3)
    source = face_points()
    found = fit_affine(source, (source @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))
    np.testing.assert_allclose(found, matrix, atol=1e-3)


def test_reflections_change_colours_but_not_what_is_covered() -> None:
    bank = make_bank(np.random.default_rng(0))
    layer = np.zeros((128, 128, 4), np.uint8)
    layer[40:60, 30:98] = (20, 20, 20, 255)
    changed = 0
    for seed in range(10):
        mirroring = reflect(layer, bank, np.random.default_rng(seed))
        np.testing.assert_array_equal(mirroring[:, :, 3], layer[:, :, 3])
        changed += int((mirroring[:, :, :3] > 40).any())
    assert changed >= 5
