"""Ruined photographs keep their truth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.synthetic import draw_face
from training.conditions import CONDITIONS, GROUPS, HARD, TURNS, Photograph, ruin


def photograph() -> Photograph:
    image, labels = draw_face()
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    return Photograph("drawn", image, face, np.full_like(face, 255), np.full_like(face, 255))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_ruined_photographs_keep_their_truth_aligned(condition: str) -> None:
    before = photograph()
    after = ruin(before, condition)
    assert after.image.shape[:2] == after.face.shape == after.weight.shape == after.sure.shape
    assert after.image.dtype == np.uint8
    np.testing.assert_array_equal(after.image, ruin(before, condition).image)
    face = (after.face > 0).sum() / (before.face > 0).sum()
    if condition == "phone":
        assert 0.3 < face < 0.9
    else:
        assert face == pytest.approx(1, rel=0.02)
    if condition.startswith(("tilt", "turn")):
        assert after.face.shape[0] * after.face.shape[1] >= before.face.size
    elif condition != "phone":
        np.testing.assert_array_equal(after.face, before.face)
    if condition not in HARD:
        inside, outside = after.image[after.face > 0].mean(), after.image[after.face == 0].mean()
        assert inside > outside + 20


def test_turns_are_clockwise_and_by_quarters_exact() -> None:
    before = photograph()
    np.testing.assert_array_equal(ruin(before, "turn 90").image, np.rot90(before.image, -1))
    np.testing.assert_array_equal(ruin(before, "turn 270").face, np.rot90(before.face))
    back = ruin(ruin(before, "turn 30"), "tilt 30")
    rows, columns = (np.flatnonzero((back.face > 127).any(axis=axis)) for axis in (1, 0))
    assert abs(rows.mean() - (back.face.shape[0] - 1) / 2) < 12
    assert abs(columns.mean() - (back.face.shape[1] - 1) / 2) < 12


def test_light_is_where_it_should_be() -> None:
    before = photograph()
    inside = before.face > 0
    backlit, night = ruin(before, "backlit").image, ruin(before, "night").image
    assert backlit[inside].mean() < 0.6 * before.image[inside].mean()
    assert backlit[~inside].mean() > before.image[~inside].mean()
    assert night.mean() < 0.5 * before.image.mean()


def test_what_the_phone_hides_is_not_face_and_sure_to_be_so() -> None:
    before = photograph()
    unsure = Photograph("drawn", before.image, before.face, before.weight * 0, before.sure * 0)
    after = ruin(unsure, "phone")
    hidden = (before.face > 0) & (after.face == 0)
    assert hidden.any()
    assert (after.weight[hidden] == 255).all()
    assert (after.image[hidden] != before.image[hidden]).any(axis=1).mean() > 0.9
    empty = Photograph("empty", before.image, before.face * 0, before.weight, before.sure)
    np.testing.assert_array_equal(ruin(empty, "phone").image, before.image)


def test_groups_name_conditions() -> None:
    assert {name for group in GROUPS.values() for name in group} == set(CONDITIONS)
    assert len(TURNS) == 23
