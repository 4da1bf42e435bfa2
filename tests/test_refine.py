"""Clean-up of masks, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from pipeline.refine import refine_mask

masks = npst.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 255])
)


def drawing(*rows: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.array([[255 if mark == "#" else 0 for mark in row] for row in rows], np.uint8)


def test_everything_off_changes_nothing() -> None:
    mask = drawing("#.#", "...", "###")
    refined = refine_mask(mask)
    assert refined.tolist() == mask.tolist()
    assert refined is not mask


def test_largest_component_joins_diagonals() -> None:
    mask = drawing("##...#", "..#...", ".....#")
    assert (
        refine_mask(mask, largest_component=True).tolist() == drawing("##....", "..#...", "......").tolist()
    )


def test_holes_are_filled_but_bays_are_not() -> None:
    mask = drawing("#####", "#.#..", "#####")
    assert refine_mask(mask, fill_holes=True).tolist() == drawing("#####", "###..", "#####").tolist()


def test_smoothing_removes_specks_and_closes_gaps() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[8:32, 8:32] = 255
    mask[2, 2] = 255
    mask[20, 20] = 0
    refined = refine_mask(mask, smooth=True)
    assert refined[2, 2] == 0
    assert refined[20, 20] == 255
    assert refined[12:28, 12:28].all()


@given(masks)
def test_largest_component_is_the_one_of_scipy(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> None:
    refined = refine_mask(mask, largest_component=True)
    labels, _ = ndimage.label(mask > 0, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    assert int((refined > 0).sum()) == (int(sizes.max()) if sizes.size else 0)
    assert not (refined > mask).any()


@given(masks)
def test_filled_holes_are_those_of_scipy(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> None:
    expected = ndimage.binary_fill_holes(mask > 0)
    assert (refine_mask(mask, fill_holes=True) > 0).tolist() == expected.tolist()


def test_arguments_are_kept_and_checked() -> None:
    mask = drawing("#.#")
    refine_mask(mask, largest_component=True, fill_holes=True, smooth=True)
    assert mask.tolist() == [[255, 0, 255]]
    with pytest.raises(ValueError, match="uint8"):
        refine_mask(np.zeros((2, 2), bool))


def test_specks_are_dropped_and_pieces_stay() -> None:
    mask = drawing("####...#", "####....", "####..##", "......##")  # pieces of 12, 4 and 1 pixels
    kept = refine_mask(mask, smallest_piece=0.3)
    assert kept.tolist() == drawing("####....", "####....", "####..##", "......##").tolist()
    assert refine_mask(mask, smallest_piece=0.05).tolist() == mask.tolist()
    assert (
        refine_mask(mask, smallest_piece=1.0).tolist() == refine_mask(mask, largest_component=True).tolist()
    )
    assert not refine_mask(np.zeros((3, 4), np.uint8), smallest_piece=0.5).any()


def test_an_island_in_a_hole_is_a_piece_of_its_own() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[2:28, 2:28] = 255
    mask[6:24, 6:24] = 0
    mask[14:16, 14:16] = 255
    without = mask.copy()
    without[14:16, 14:16] = 0
    assert np.array_equal(refine_mask(mask, smallest_piece=0.1), without)
    assert np.array_equal(refine_mask(mask, largest_component=True), without)
    assert np.array_equal(refine_mask(without, smallest_piece=0.1), without)


@pytest.mark.parametrize("dots", [3, 15, 16, 17, 40])
def test_few_specks_go_as_many_do(dots: int) -> None:
    face = np.zeros((60, 60), np.uint8)
    face[20:50, 10:50] = 255
    face[30:35, 20:30] = 0
    mask = face.copy()
    for dot in range(dots):
        mask[2 + 4 * (dot // 12), 4 * (dot % 12)] = 255
    mask[32, 24] = 255  # in the hole
    assert np.array_equal(refine_mask(mask, smallest_piece=0.1), face)
    assert np.array_equal(refine_mask(mask, smallest_piece=0.0005), mask)


@given(masks, st.floats(0.01, 1))
def test_specks_are_the_pieces_that_scipy_counts_fewer_pixels_of(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], share: float
) -> None:
    labels, _ = ndimage.label(mask > 0, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    kept = 1 + np.flatnonzero(sizes >= share * sizes.max(initial=0))
    expected = np.where(np.isin(labels, kept), mask, 0)
    assert np.array_equal(refine_mask(mask, smallest_piece=share), expected)


def test_pieces_in_the_hole_of_a_speck_count_for_themselves() -> None:
    mask = drawing("#####....", "#...#.###", "#.#.#.###", "#...#.###", "#####.###", "......###")
    ring_and_block = drawing("#####....", "#...#.###", "#...#.###", "#...#.###", "#####.###", "......###")
    assert np.array_equal(refine_mask(mask, smallest_piece=0.5), ring_and_block)
    larger = np.zeros((12, 9), np.uint8)
    larger[:6], larger[7:] = mask, 255
    larger[1:6, 6:] = 0
    without_ring = larger.copy()
    without_ring[:6] = 0
    assert np.array_equal(refine_mask(larger, smallest_piece=0.5), without_ring)
