from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array, Pixels
from tests.training.synthetic import draw_face, face_points, write_prepared
from training.data import (
    MAX_SIDE_PX,
    celeba_mask,
    edge_band,
    extent_of_mask,
    hair_frequency,
    hash_fraction,
    lens_verdict,
    make_sample,
    person_of,
    read_labels,
    read_prepared,
    read_rgb,
    soften_edges,
    split_people,
)


@pytest.mark.parametrize(
    ("stem", "person"),
    [
        ("George_W_Bush_0012", "George_W_Bush"),
        ("00129b5490b5459d", "00129b5490b5459d"),
        ("V2_Test_1", "V2_Test_1"),
        ("0001", "0001"),
    ],
)
def test_person_of_file_name(stem: str, person: str) -> None:
    assert person_of(stem) == person


def test_split_is_disjoint_complete_and_the_same_whoever_else_is_there() -> None:
    people = [f"Person_{number}" for number in range(400)]
    training, validation = split_people(people, 0.12)
    assert not training & validation
    assert training | validation == set(people)
    assert 20 <= len(validation) <= 80
    few = people[:50]
    assert split_people(few, 0.12)[1] == validation & set(few)


def test_hash_fraction_is_a_fixed_function_of_the_name() -> None:
    assert hash_fraction("Tony_Blair") == pytest.approx(hash_fraction("Tony_Blair"), abs=0)
    assert hash_fraction("Tony_Blair") != hash_fraction("Tony_Blaire")
    assert 0 <= hash_fraction("") < 1


def with_glasses(lens_colour: tuple[int, int, int]) -> tuple[Pixels, Pixels]:
    image, labels = draw_face()
    for x in (50, 78):
        cv2.circle(image, (x, 58), 11, lens_colour, -1)
        cv2.circle(labels, (x, 58), 11, 3, -1)
    return image, labels


def test_clear_glasses_are_face() -> None:
    image, labels = with_glasses((190, 145, 118))
    face, weight = celeba_mask(image, labels, face_points())
    assert lens_verdict(image, labels, face_points()) == "clear"
    assert face[58, 50] == face[58, 78] == 255
    assert weight[58, 50] == 255


def test_dark_glasses_are_not_face() -> None:
    image, labels = with_glasses((20, 20, 25))
    face, weight = celeba_mask(image, labels, face_points())
    assert face[58, 50] == face[58, 78] == 0
    assert weight[58, 50] == 255


@pytest.mark.parametrize("points", [None, face_points()])
def test_glasses_in_doubt_have_no_weight(points: Float32Array | None) -> None:
    image, labels = with_glasses((105, 80, 70))
    _, weight = celeba_mask(image, labels, points)
    assert weight[58, 50] == 0
    assert weight[100, 64] == 255


def test_eyes_labelled_behind_the_glasses_make_them_anything_but_dark() -> None:
    image, labels = with_glasses((20, 20, 25))
    labels[56:60, 48:52] = 4
    assert lens_verdict(image, labels, face_points()) == "unknown"


def test_soften_edges_touches_the_band_only() -> None:
    face = np.zeros((40, 40), np.uint8)
    face[10:30, 10:30] = 255
    weight = soften_edges(face, np.full_like(face, 200), radius_px=2, edge_weight=0.25)
    band = edge_band(face, 2)
    assert band[10, 20] and band[8, 20] and not band[15, 20] and not band[5, 20]
    assert set(np.unique(weight[band])) == {50}
    assert set(np.unique(weight[~band])) == {200}


def test_extent_of_a_mask_is_its_width_and_lower_two_thirds() -> None:
    face = np.zeros((100, 100), np.uint8)
    face[10:71, 20:61] = 255
    np.testing.assert_allclose(extent_of_mask(face), [[20, 30], [60, 70]])


def test_grey_and_missing_hair_is_drawn_more_often() -> None:
    image, labels = draw_face()
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    hair = labels == 13
    assert hair_frequency(image, hair, face) == 1.0
    image[hair] = (170, 168, 165)
    assert hair_frequency(image, hair, face) == 2.0
    assert hair_frequency(image, np.zeros_like(hair), face) == 2.0


def test_large_photographs_shrink_with_their_landmarks() -> None:
    image, labels = draw_face(800)
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    sample = make_sample("big", "lfw", image, face, np.full_like(face, 255), face_points(800))
    assert sample is not None and sample.points is not None
    assert max(sample.image.shape) == MAX_SIDE_PX
    assert sample.face.shape == sample.weight.shape == sample.image.shape[:2]
    np.testing.assert_allclose(sample.points, face_points(MAX_SIDE_PX), atol=1e-2)


def test_a_photograph_without_face_is_no_sample() -> None:
    image, labels = draw_face()
    empty = np.zeros_like(labels)
    assert make_sample("none", "lfw", image, empty, empty, None) is None


def test_prepared_folder_is_read_and_filtered(tmp_path: Path) -> None:
    write_prepared(tmp_path / "set", ["Ann_0001", "Ann_0002", "Bob_0001"])
    samples = list(read_prepared(tmp_path / "set", "lfw", lambda stem: person_of(stem) == "Ann"))
    assert [sample.name for sample in samples] == ["Ann_0001", "Ann_0002"]
    assert {sample.person for sample in samples} == {"Ann"}
    assert samples[0].weight.min() < 255 == samples[0].weight.max()
    assert samples[0].points is not None and samples[0].points.shape == (68, 2)


def test_pseudo_labels_give_the_weight(tmp_path: Path) -> None:
    write_prepared(tmp_path / "set", ["a"])
    labels = np.full((128, 128), 255, np.uint8)
    labels[:64] = 0
    cv2.imwrite(str(tmp_path / "set" / "labels" / "a.png"), labels)
    (sample,) = read_prepared(tmp_path / "set", "pseudo", lambda stem: True)
    np.testing.assert_array_equal(sample.weight, labels)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"landmarks68\.json"):
        list(read_prepared(tmp_path, "lfw", lambda stem: True))
    text = tmp_path / "text.jpg"
    text.write_text("no picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.jpg"):
        read_rgb(text)
    with pytest.raises(ValueError, match=r"text\.jpg"):
        read_labels(text)
