"""The jaw line of the landmarks, against geometry."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.jaw import (
    DISBELIEF,
    DOUBT,
    REACH,
    TOLERANCE,
    beyond_jaw,
    from_jaw,
    jaw_evidence,
    jaw_trust,
    overstepping,
    small_crop_share,
)


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
    nowhere = np.full((68, 2), 7.0)
    assert not beyond_jaw(nowhere, (20, 30)).any()
    assert np.isinf(from_jaw(nowhere, (20, 30))).all()
    assert not jaw_evidence(nowhere, beyond_jaw(nowhere, (20, 30)), penalty=80, support=1).any()


def test_the_distance_from_the_jaw_line_is_the_same_on_both_sides() -> None:
    centre, radius = (100.0, 90.0), 40.0
    found = from_jaw(round_face(centre, radius), (200, 220))
    y, x = np.mgrid[:200, :220].astype(float)
    lower = y > centre[1] + 4
    expected = np.abs(np.hypot(x - centre[0], y - centre[1]) - radius) / (2 * radius)
    assert found.dtype == np.float32
    assert np.abs(found - expected)[lower].max() < 0.02


def test_a_jaw_line_outside_of_the_map_says_nothing_for_the_face() -> None:
    far = round_face((500.0, 500.0), 40.0)
    assert np.isinf(from_jaw(far, (60, 80))).all()
    assert (jaw_evidence(far, beyond_jaw(far, (60, 80)), penalty=0, support=1) == 0).all()


def test_evidence_is_for_the_face_on_the_line_and_against_it_beyond() -> None:
    face = round_face((100.0, 90.0), 40.0)
    shape = (200, 220)
    beyond, off = beyond_jaw(face, shape), from_jaw(face, shape)
    evidence = jaw_evidence(face, beyond, penalty=80, support=1.5)
    assert evidence[130, 100] == pytest.approx(1.5, abs=0.1)  # the chin
    assert (evidence[(off < REACH / 2) & (beyond < TOLERANCE)] > 0.7).all()
    assert (evidence[beyond > 2 * REACH] < -3).all()
    assert not evidence[60:80, 90:110].any()
    penalised = jaw_evidence(face, beyond, penalty=80, support=0)
    assert (penalised <= 0).all() and (penalised[beyond <= TOLERANCE] == 0).all()
    assert not jaw_evidence(face, beyond, penalty=0, support=0).any()


@pytest.mark.parametrize(("side", "share"), [(100, 1.0), (256, 1.0), (384, 0.5), (512, 0.0), (4000, 0.0)])
def test_small_crops_count_in_full_and_large_ones_not_at_all(side: int, share: float) -> None:
    assert small_crop_share((side, side // 2), (256, 256)) == share


def test_overstepping_is_the_share_of_the_face_beyond_the_line() -> None:
    face = round_face((100.0, 90.0), 40.0)
    margin = np.full((200, 220), -1, np.float32)
    margin[60:100, 80:120] = 1  # 1600 pixels inside
    beyond = beyond_jaw(face, (200, 220))
    assert overstepping(margin, beyond) == 0
    margin[150:160, 90:110] = 1  # 200 below the chin at 130
    assert overstepping(margin, beyond) == pytest.approx(200 / 1800)
    assert overstepping(np.full_like(margin, -1), beyond) == 0


@pytest.mark.parametrize(("share", "trust"), [(0, 1), (DOUBT, 1), (0.015, 0.5), (DISBELIEF, 0), (1, 0)])
def test_trust_falls_between_doubt_and_disbelief(share: float, trust: float) -> None:
    assert jaw_trust(share) == pytest.approx(trust)
