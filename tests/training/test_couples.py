"""Made couples: whose skin is where, and what is counted of it."""

from __future__ import annotations

import numpy as np
import pytest

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.crop import crop_face
from pipeline.results import FaceResult, PhotoResult
from tests.training.synthetic import draw_face, face_points
from training.couples import NOSE, Couple, Portrait, couples, shares, together


def portrait(size: int) -> Portrait:
    image, labels = draw_face(size)
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    person = np.where(labels > 0, 255, 0).astype(np.uint8)
    return Portrait(image, face, person, face_points(size).astype(np.float64))


@pytest.mark.parametrize("hair", [False, True])
def test_a_couple_is_cheek_to_cheek_and_its_masks_share_nothing(hair: bool) -> None:
    behind, front = portrait(400), portrait(300)
    couple = together(behind, front, np.random.default_rng(3), hair=hair)
    back, fore = (mask > 0 for mask in couple.faces)
    assert not (back & fore).any()
    for mask, nose in zip((back, fore), couple.noses, strict=True):
        assert mask[round(nose[1]), round(nose[0])]
    assert 0.7 < back.sum() / (behind.face > 0).sum() < 1
    rows = np.flatnonzero(back.any(axis=1) & fore.any(axis=1))
    gaps = [np.flatnonzero(fore[row])[0] - np.flatnonzero(back[row])[-1] for row in rows]
    assert min(gaps) == 1 if not hair else min(gaps) >= 1
    again = together(behind, front, np.random.default_rng(3), hair=hair)
    np.testing.assert_array_equal(couple.image, again.image)


def test_nobody_is_a_couple_alone() -> None:
    taken = [portrait(size) for size in (200, 220)]
    assert len(list(couples(taken, hair=False))) == 2
    assert list(couples(taken[:1], hair=False)) == []


def result_of(instances: np.ndarray, noses: list[tuple[int, int]]) -> PhotoResult:
    crop = crop_face(np.zeros((*instances.shape, 3), np.uint8), Box(0, 0, 4, 4))
    faces = []
    for nose in noses:
        points = np.zeros((68, 2), np.int32)
        points[NOSE] = nose
        landmarks = FaceLandmarks(points, Detection(Box(0, 0, 4, 4), 1.0, "x"))
        faces.append(FaceResult(landmarks, crop, np.zeros((4, 4), np.uint8), None, 1.0))
    return PhotoResult("ok", instances, None, tuple(faces))


def test_what_is_lost_given_away_and_too_much_is_counted() -> None:
    back, fore = np.zeros((1, 20), np.uint8), np.zeros((1, 20), np.uint8)
    back[0, :10], fore[0, 10:15] = 255, 255
    couple = Couple(np.zeros((1, 20, 3), np.uint8), (back, fore), (np.array([5.0, 0]), np.array([12.0, 0])))
    instances = np.zeros((1, 20), np.uint8)
    instances[0, :6], instances[0, 8:17] = 2, 1  # 6 of the face behind, 2 given away, 2 lost to nobody
    found = shares(result_of(instances, [(12, 0), (5, 0)]), couple)
    assert found is not None
    np.testing.assert_allclose(found, [[0.6, 0.4, 0.2, 0], [5 / 9, 0, 0, 0.4]])
    assert shares(result_of(instances, [(12, 0)]), couple) is None
    assert shares(result_of(instances, [(12, 0), (60, 0)]), couple) is None
