"""Outlines are exact in both conventions, and one ring holds what many do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_api

from pipeline.exports.polygons import fill, fill_with_border, one_ring, outlines, without_needless_points
from pipeline.exports.values import MaskWindow

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Noise, or blots: pieces that touch at corners, holes, holes that touch the border."""
    width, height = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random((height, width))
    if draw(st.booleans()):
        values = np.asarray(cv2.GaussianBlur(values, (5, 5), 1.5), np.float64)
    return values > draw(st.sampled_from([0.3, 0.5, 0.7]))


@settings(max_examples=300, deadline=None)
@given(masks())
def test_rings_along_edges_hold_the_mask_exactly(mask: NDArray[np.bool_]) -> None:
    height, width = mask.shape
    window = MaskWindow.of(mask)
    pieces = outlines(window)
    rings = [ring for piece in pieces for ring in piece]
    assert fill(rings, (width, height)).same(window)
    if not rings:
        return
    assert fill([one_ring(rings)], (width, height)).same(window)
    flat = [one_ring(piece).ravel().astype(float).tolist() for piece in pieces]
    theirs = coco_api.decode(coco_api.merge(coco_api.frPyObjects(flat, height, width))) > 0
    assert np.array_equal(theirs, mask)
    for ring in rings:  # corners only: every step is straight, and turns
        steps = np.roll(ring, -1, axis=0) - ring
        assert ((steps == 0).sum(axis=1) == 1).all()


@settings(max_examples=300, deadline=None)
@given(masks())
def test_rings_along_centres_are_painted_as_the_mask_but_for_bridges(mask: NDArray[np.bool_]) -> None:
    height, width = mask.shape
    window = MaskWindow.of(mask)
    pieces = outlines(window, "centres")
    joined = np.zeros((height, width), bool)
    for piece in pieces:
        joined |= fill_with_border(one_ring(piece), (width, height)).frame((width, height))
    assert np.array_equal(joined, mask)
    if pieces:
        ring = one_ring([ring for piece in pieces for ring in piece])
        painted = fill_with_border(ring, (width, height)).frame((width, height))
        assert not (mask & ~painted).any()


def test_a_bridge_is_the_shortest_way() -> None:
    mask = np.zeros((20, 60), bool)
    mask[5:15, 0:10] = mask[5:15, 20:30] = mask[5:15, 50:60] = True
    ring = one_ring([piece[0] for piece in outlines(MaskWindow.of(mask), "centres")])
    painted = fill_with_border(ring, (60, 20)).frame((60, 20))
    assert (painted & ~mask).sum() == 10 + 20  # a line of the width of each gap


def test_a_literal_ring() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:4, 2:5] = True
    mask[2, 3] = False
    [[outer, hole]] = outlines(MaskWindow.of(mask))
    assert sorted(map(tuple, outer.tolist())) == [(2, 1), (2, 4), (5, 1), (5, 4)]
    assert sorted(map(tuple, hole.tolist())) == [(3, 2), (3, 3), (4, 2), (4, 3)]


def test_points_on_straight_lines_go() -> None:
    ring = np.array([[0, 0], [0, 0], [1, 1], [3, 3], [3, 0], [2, 0]], np.int32)
    assert without_needless_points(ring).tolist() == [[0, 0], [3, 3], [3, 0]]


def test_rings_that_leave_the_picture_are_cut() -> None:
    ring = np.array([[-5, -5], [3, -5], [3, 20], [-5, 20]])
    assert fill([ring], (10, 8)).frame((10, 8)).sum() == 3 * 8
    assert fill_with_border(ring, (10, 8)).frame((10, 8)).sum() == 4 * 8
    assert fill([ring - 50], (10, 8)).area_px == 0
    assert fill_with_border(ring - 50, (10, 8)).area_px == 0
    assert fill([ring[:2]], (10, 8)).area_px == 0
