"""Cuts are found; pans, turns, zooms and flashes are none."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from landmarks.arrays import Pixels
from pipeline.video.cuts import glance, is_cut
from tests.video.clips import sample, view

NAMES = ("astronaut", "grace_hopper", "group", "obama", "rocket", "biden_rotated")


def shown(name: str, x: float = 0, width: float = 400, degrees: float = 0) -> Pixels:
    picture = sample(name)
    height, whole = picture.shape[:2]
    return view(picture, (whole / 2 + x, height / 2), width, (320, 180), degrees)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(NAMES, 2)))
def test_another_photograph_is_a_cut(first: str, second: str) -> None:
    assert is_cut(glance(shown(first)), glance(shown(second)))


@pytest.mark.parametrize("name", NAMES)
def test_moving_cameras_and_flashes_are_no_cuts(name: str) -> None:
    before = glance(shown(name))
    for now in (shown(name, x=25), shown(name, degrees=9), shown(name, width=370)):
        assert not is_cut(before, glance(now))
    flash = cv2.convertScaleAbs(shown(name), alpha=1.5, beta=30)
    assert not is_cut(before, glance(np.asarray(flash, np.uint8)))


def test_pictures_of_any_size_can_be_glanced_at() -> None:
    for size in ((1, 1), (7, 3), (2000, 20), (20, 2000)):
        picture = np.full((size[1], size[0], 3), 90, np.uint8)
        assert not is_cut(glance(picture), glance(picture))
