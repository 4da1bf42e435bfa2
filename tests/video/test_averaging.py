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


def turned(degrees: float) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]:
    """The texture turned about its middle: the crop, the margin of a bar in it, and four landmarks."""
    matrix = cv2.getRotationMatrix2D((79.5, 79.5), degrees, 1)
    matrix[:, 2] -= 16
    bar = np.full((160, 160), -4, np.float32)
    bar[70:90, 40:120] = 4
    shown = cv2.warpAffine(TEXTURE, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT)
    margin = cv2.warpAffine(bar, matrix, (128, 128), borderValue=-4)
    points = np.array([[40, 70], [120, 70], [40, 90], [120, 90]]) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(shown, np.uint8), np.asarray(margin, np.float32), np.array(points, np.float64)


def turned_face(degrees: float, *, knows_landmarks: bool) -> Scored:
    shown, margin, points = turned(degrees)
    crop = FaceCrop(shown, Box(0, 0, 128, 128), (128, 128))
    return scored(CropScores(margin, crop, (128, 128)), points if knows_landmarks else None)


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


def test_landmarks_lead_to_where_a_head_has_turned_quickly() -> None:
    ways = {
        knows: turned_face(0, knows_landmarks=knows).way_to(turned_face(40, knows_landmarks=knows))
        for knows in (True, False)
    }
    y, x = np.mgrid[:128, :128] - 63.5
    cos, sin = np.cos(np.radians(-40)), np.sin(np.radians(-40))
    true = np.stack([cos * x - sin * y - x, sin * x + cos * y - y], axis=-1)
    inside = np.hypot(x, y) < 45
    missed = {knows: np.linalg.norm(way - true, axis=2)[inside] for knows, way in ways.items()}
    assert np.percentile(missed[True], 95) < 1
    assert np.median(missed[False]) > 5  # the flow alone is lost


def test_a_quick_turn_is_averaged_where_it_has_gone() -> None:
    now, others = turned_face(0, knows_landmarks=True), (-40, 40)
    neighbours = {
        place: turned_face(at, knows_landmarks=True) for place, at in zip((-1, 1), others, strict=True)
    }
    now.scores.margin[58:70, 58:70] = -2  # seen by this frame alone
    steady = averaged(now, neighbours).margin
    middle = np.zeros((128, 128), bool)
    middle[40:88, 30:98] = True
    assert ((steady > 0) == (turned(0)[1] > 0))[middle].mean() > 0.98


def test_flicker_is_outvoted_by_neighbours_that_have_moved() -> None:
    hole = blob(40)
    hole[55:70, 55:70] = -2
    steady = averaged(face(0, hole), {-1: face(-6, blob(46)), 1: face(6, blob(34))})
    assert (steady.margin[56:69, 56:69] > 0).all()
    assert ((steady.margin > 0) == (blob(40) > 0)).mean() > 0.985


def test_frames_beyond_the_nearest_are_carried_as_exactly() -> None:
    """A hole that three frames have, and the four around them have not."""
    margins = {step: blob(40 - 5 * step) for step in range(-3, 4)}
    for step in (-1, 0, 1):
        margins[step][55:70, 55 - 5 * step : 70 - 5 * step] = -2
    faces = {step: face(5 * step, margin) for step, margin in margins.items()}
    now = faces.pop(0)
    steady = averaged(now, faces)
    assert ((steady.margin > 0) == (blob(40) > 0)).mean() > 0.985
    assert (steady.margin[56:69, 56:69] > 0).all()
    without = averaged(now, {step: faces[step] for step in (-1, 1)})
    assert (without.margin[57:68, 57:68] < 0).all()


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


def lying(one: Scored) -> Scored:
    """The same face, its crop a quarter turn further counter-clockwise."""
    pixels = np.ascontiguousarray(np.rot90(one.scores.crop.pixels))
    margin = np.ascontiguousarray(np.rot90(one.scores.margin))
    crop = FaceCrop(pixels, Box(0, 0, 128, 128), (128, 128), 1)
    points = None if one.points is None else np.column_stack([one.points[:, 1], 127 - one.points[:, 0]])
    return Scored(CropScores(margin, crop, (128, 128)), np.ascontiguousarray(np.rot90(one.grey)), points)


def test_a_crop_that_lies_otherwise_is_left_out_where_no_landmarks_lead_to_it() -> None:
    neighbour = lying(face(0, blob(80)))
    np.testing.assert_allclose(averaged(face(0, blob(40)), {1: neighbour}).margin, blob(40))


def test_landmarks_lead_to_a_crop_that_lies_otherwise() -> None:
    now, neighbour = turned_face(0, knows_landmarks=True), lying(turned_face(4, knows_landmarks=True))
    now.scores.margin[58:70, 58:70] = -2  # seen by this frame alone
    steady = averaged(now, {1: neighbour}).margin
    middle = np.zeros((128, 128), bool)
    middle[40:88, 30:98] = True
    assert ((steady > 0) == (turned(0)[1] > 0))[middle].mean() > 0.98
