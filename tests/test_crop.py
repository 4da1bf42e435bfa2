"""Crops and their mapping back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.geometry import Box
from pipeline.crop import FaceCrop, crop_face
from pipeline.uncrop import uncrop_instances, uncrop_mask

sides = st.integers(1, 12)
offsets = st.integers(-20, 20)
turns = st.integers(0, 3)


def picture(width: int, height: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(7).integers(1, 256, (height, width, 3), np.uint8)


def test_crop_takes_the_pixels_of_the_box() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    crop = crop_face(image, Box(1, 2, 3, 2))
    assert crop.pixels.tolist() == image[2:4, 1:4].tolist()
    assert crop.frame_size_wh == (5, 4)
    crop.pixels[:] = 0
    assert image.max() == 59


def test_crop_is_black_outside_the_frame() -> None:
    image = np.full((2, 2, 3), 9, np.uint8)
    crop = crop_face(image, Box(-1, 1, 3, 3))
    assert crop.pixels[:, :, 0].tolist() == [[0, 9, 9], [0, 0, 0], [0, 0, 0]]


@given(sides, sides, offsets, offsets, sides, sides, turns)
def test_uncrop_of_crop_is_the_identity_inside_the_box(
    width: int, height: int, x: int, y: int, box_width: int, box_height: int, turn: int
) -> None:
    image = picture(width, height)
    box = Box(x, y, box_width, box_height)
    crop = crop_face(image, box, turn)
    back = uncrop_mask(crop.pixels[:, :, 0], crop)
    expected = np.zeros((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            if x <= column < x + box_width and y <= row < y + box_height:
                expected[row, column] = image[row, column, 0]
    assert back.tolist() == expected.tolist()


def test_a_turned_crop_is_the_box_turned_counter_clockwise() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    crop = crop_face(image, Box(1, 2, 3, 2), turn=1)
    assert crop.size_wh == (2, 3)
    assert crop.pixels.tolist() == np.rot90(image[2:4, 1:4]).tolist()
    assert crop.pixels.flags.c_contiguous


@given(sides, sides, offsets, offsets, sides, sides, turns)
def test_the_slices_say_where_every_pixel_lies(
    width: int, height: int, x: int, y: int, box_width: int, box_height: int, turn: int
) -> None:
    image = picture(width, height)
    crop = crop_face(image, Box(x, y, box_width, box_height), turn)
    inside = np.rot90(image[crop.frame_slices], turn)
    assert crop.pixels[crop.crop_slices].tolist() == inside.tolist()
    assert np.count_nonzero(crop.pixels) == inside.size  # all else is black


@given(sides, sides, offsets, offsets, sides, sides, turns)
def test_points_turn_with_the_pixels(
    width: int, height: int, x: int, y: int, box_width: int, box_height: int, turn: int
) -> None:
    image = picture(width, height)
    crop = crop_face(image, Box(x, y, box_width, box_height), turn)
    rows, columns = np.mgrid[crop.frame_slices]
    places = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for (column, row), place in zip(crop.to_crop(places).tolist(), places.tolist(), strict=True):
        assert crop.pixels[row, column].tolist() == image[place[1], place[0]].tolist()


@given(st.sampled_from(["uint8", "bool", "float32", "int64"]))
def test_uncrop_keeps_the_dtype(dtype: str) -> None:
    crop = crop_face(picture(4, 3), Box(1, 1, 2, 2))
    frame = uncrop_mask(np.ones((2, 2), dtype), crop)
    assert frame.dtype == np.dtype(dtype)
    assert frame.shape == (3, 4)
    assert frame.sum() == 4


def test_instances_number_faces_and_the_higher_score_wins() -> None:
    image = picture(6, 1)
    crops = [crop_face(image, Box(0, 0, 4, 1)), crop_face(image, Box(2, 0, 4, 1))]
    margins = [np.array([[1, 1, 1, 5]], np.float32), np.array([[3, 3, 0, -1]], np.float32)]
    assert uncrop_instances(margins, crops, (6, 1)).tolist() == [[1, 1, 2, 1, 0, 0]]


def test_on_equal_scores_the_earlier_face_keeps_the_pixel() -> None:
    crop = crop_face(picture(1, 1), Box(0, 0, 1, 1))
    margin = np.ones((1, 1), np.float32)
    assert uncrop_instances([margin, margin], [crop, crop], (1, 1)).tolist() == [[1]]


def test_instances_beyond_255_faces_need_sixteen_bits() -> None:
    image = picture(300, 1)
    crops = [crop_face(image, Box(x, 0, 1, 1)) for x in range(300)]
    instances = uncrop_instances([np.ones((1, 1), np.float32)] * 300, crops, (300, 1))
    assert instances.dtype == np.uint16
    assert instances.tolist() == [list(range(1, 301))]


def test_wrong_shapes_are_named() -> None:
    crop = crop_face(picture(4, 4), Box(0, 0, 2, 3))
    with pytest.raises(ValueError, match=r"mask_hw: expected shape \(3, 2\).*\(2, 3\)"):
        uncrop_mask(np.zeros((2, 3), np.uint8), crop)
    with pytest.raises(ValueError, match=r"margins\[0\]"):
        uncrop_instances([np.zeros((2, 3), np.float32)], [crop], (4, 4))
    with pytest.raises(ValueError, match="its frame is"):
        uncrop_instances([np.zeros((3, 2), np.float32)], [crop], (9, 4))
    with pytest.raises(ValueError, match=r"FaceCrop.pixels: expected \(3, 2, 3\) uint8"):
        FaceCrop(np.zeros((3, 2, 3), np.float32), Box(0, 0, 2, 3), (4, 4))
    with pytest.raises(ValueError, match=r"FaceCrop\.turn: expected 0, 1, 2 or 3 quarter turns, got 4"):
        FaceCrop(np.zeros((3, 2, 3), np.uint8), Box(0, 0, 2, 3), (4, 4), 4)
    with pytest.raises(ValueError, match=r"FaceCrop.pixels: expected \(2, 3, 3\) uint8"):
        FaceCrop(np.zeros((3, 2, 3), np.uint8), Box(0, 0, 2, 3), (4, 4), 1)
    with pytest.raises(ValueError, match=r"image: expected \(H, W, 3\) uint8"):
        crop_face(np.zeros((3, 2), np.uint8), Box(0, 0, 1, 1))
