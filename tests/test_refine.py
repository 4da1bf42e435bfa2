"""Clean-up of masks, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.refine import beyond_jaw, refine_mask

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


def round_face(centre: tuple[float, float], radius: float, turn_deg: float = 0.0) -> NDArray[np.float64]:
    """68 landmarks: the jaw on the lower half of a circle, brows half a radius above, the nose in between."""
    points = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([np.cos(angles), np.sin(angles)], 1)
    points[17:27] = np.stack([np.linspace(-0.7, 0.7, 10), np.full(10, -0.5)], 1)
    points[27:31] = np.stack([np.zeros(4), np.linspace(-0.3, 0.2, 4)], 1)
    turn = np.radians(turn_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ matrix.T * radius + np.array(centre), np.float64)


@pytest.mark.parametrize("turn_deg", [0, 30, 90, 180, -135])
def test_beyond_the_jaw_is_where_geometry_says(turn_deg: float) -> None:
    centre, radius = (100.0, 90.0), 40.0
    found = beyond_jaw(round_face(centre, radius, turn_deg), (200, 220))
    assert found.dtype == np.float32
    y, x = np.mgrid[:200, :220].astype(float)
    turn = np.radians(turn_deg)  # into the face's own axes: across to the right, down to the chin
    across = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
    down = -(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)
    below = (down > 4) & (np.abs(across) < 60)
    expected = np.maximum(np.hypot(across, down) - radius, 0) / (2 * radius)
    assert np.abs(found - expected)[below].max() < 0.03
    assert not found[down < -0.5 * radius - 2].any()
    beside = (np.abs(across) > radius + 4) & (np.abs(down + 8) < 4)
    assert (found[beside] > 0).all()


def test_a_mirrored_face_gives_the_mirrored_map() -> None:
    face = round_face((50.0, 40.0), 25.0, 20)
    mirrored = face * [-1, 1] + [99, 0]
    mirrored[:17] = mirrored[16::-1]
    found = beyond_jaw(face, (90, 100))
    assert np.abs(beyond_jaw(mirrored, (90, 100))[:, ::-1] - found).max() < 0.03


def test_landmarks_without_extent_have_no_beyond() -> None:
    assert not beyond_jaw(np.full((68, 2), 7.0), (20, 30)).any()


def test_specks_are_dropped_and_pieces_stay() -> None:
    mask = drawing("####...#", "####....", "####..##", "......##")  # pieces of 12, 4 and 1 pixels
    kept = refine_mask(mask, smallest_piece=0.3)
    assert kept.tolist() == drawing("####....", "####....", "####..##", "......##").tolist()
    assert refine_mask(mask, smallest_piece=0.05).tolist() == mask.tolist()
    assert (
        refine_mask(mask, smallest_piece=1.0).tolist() == refine_mask(mask, largest_component=True).tolist()
    )
    assert not refine_mask(np.zeros((3, 4), np.uint8), smallest_piece=0.5).any()
