"""Scores of neighbours are carried to where their pixels have gone, and count where they show the same."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.crop import FaceCrop
from pipeline.scores import CropScores
from pipeline.video.averaging import Scored, averaged, scored
from pipeline.video.flow import carried, flow_between

TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(2).integers(0, 255, (160, 160, 3), dtype=np.uint8), (0, 0), 2
)
TEXTURE = cv2.normalize(TEXTURE, np.zeros_like(TEXTURE), 0, 255, cv2.NORM_MINMAX)


def face(shift: int, margin: NDArray[np.float32], pixels: NDArray[np.uint8] | None = None) -> Scored:
    shown = TEXTURE[16:144, 16 + shift : 144 + shift] if pixels is None else pixels
    crop = FaceCrop(np.ascontiguousarray(shown, np.uint8), Box(0, 0, 128, 128), (128, 128))
    return scored(CropScores(margin, crop, (128, 128)))


def blob(x: int, value: float = 4.0) -> NDArray[np.float32]:
    margin = np.full((128, 128), -value, np.float32)
    margin[40:90, x : x + 50] = value
    return margin


def test_the_flow_finds_where_pixels_have_gone() -> None:
    first, second = face(0, blob(40)), face(6, blob(34))
    flow = flow_between(first.grey, second.grey)
    assert np.median(flow[20:-20, 20:-20, 0]) < -5
    np.testing.assert_allclose(np.median(flow[20:-20, 20:-20], axis=(0, 1)), (-6, 0), atol=0.3)
    moved = carried(second.scores.margin, flow)
    assert np.abs(moved - first.scores.margin)[20:-20, 20:-20].mean() < 0.3


def test_flicker_is_outvoted_by_neighbours_that_have_moved() -> None:
    hole = blob(40)
    hole[55:70, 55:70] = -2
    steady = averaged(face(0, hole), {-1: face(-6, blob(46)), 1: face(6, blob(34))})
    assert (steady.margin[56:69, 56:69] > 0).all()
    assert ((steady.margin > 0) == (blob(40) > 0)).mean() > 0.985


def test_a_neighbour_that_shows_something_else_has_no_say() -> None:
    hand = np.array(TEXTURE[16:144, 16:144])
    hand[50:80, 50:80] = 255 - hand[50:80, 50:80]
    uncovered = blob(40)
    covered = blob(40)
    covered[50:80, 50:80] = -4
    steady = averaged(face(0, uncovered), {1: face(0, covered, np.asarray(hand, np.uint8))})
    assert (steady.margin[54:76, 54:76] > 0).mean() > 0.95


def test_the_way_to_the_second_neighbour_leads_through_the_first() -> None:
    now = face(0, blob(40))
    alone = averaged(now, {2: face(0, blob(80))})
    np.testing.assert_allclose(alone.margin, np.clip(blob(40), -8, 8))


def test_a_crop_that_lies_otherwise_is_left_out() -> None:
    other = face(0, blob(80))
    turned = FaceCrop(other.scores.crop.pixels, Box(0, 0, 128, 128), (128, 128), 1)
    neighbour = Scored(CropScores(other.scores.margin, turned, (128, 128)), other.grey)
    np.testing.assert_allclose(averaged(face(0, blob(40)), {1: neighbour}).margin, blob(40))
