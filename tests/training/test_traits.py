from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.synthetic import draw_face, face_points
from training.traits import traits_of


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    image, labels = draw_face()
    labels = labels.copy()
    labels[:12] = 13
    image = image.copy()
    image[labels == 13] = (90, 40, 20)
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    image[face > 0] = (150, 130, 120)
    return image, face, labels, face_points()


def test_an_everyday_face_has_none() -> None:
    image, face, labels, points = drawn()
    labels[:40][labels[:40] == 0] = 13
    image[labels == 13] = (90, 40, 20)
    assert traits_of(image, face, labels, points, "celebamask") == ()


@pytest.mark.parametrize(("gain", "trait"), [(0.4, "dark"), (1.6, "bright")])
def test_light(gain: float, trait: str) -> None:
    image, face, labels, points = drawn()
    lit = np.clip(image * gain, 0, 255).astype(np.uint8)
    assert trait in traits_of(lit, face, labels, points, "celebamask")
    assert trait not in traits_of(image, face, labels, points, "celebamask")


def test_turned_and_tilted_heads() -> None:
    image, face, labels, points = drawn()
    turned = points.copy()
    turned[30, 0] = turned[0, 0] + 0.2 * (turned[16, 0] - turned[0, 0])
    assert traits_of(image, face, labels, turned, "celebamask").count("turned") == 1
    matrix = cv2.getRotationMatrix2D((64.0, 64.0), 25.0, 1.0)
    tilted = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    assert "tilted" in traits_of(image, face, labels, tilted, "celebamask")
    assert "tilted" not in traits_of(image, face, labels, None, "celebamask")


def test_glasses_and_hats_are_classes_of_celebamask_only() -> None:
    image, face, labels, points = drawn()
    labels[60, 50], labels[0, 0] = 3, 14
    assert not {"glasses", "hat"} & set(traits_of(image, face, labels, points, "celebamask")), "a stray pixel"
    labels[60:64, 50:60], labels[0:3] = 3, 14
    assert {"glasses", "hat"} <= set(traits_of(image, face, labels, points, "celebamask"))
    assert not {"glasses", "hat"} & set(traits_of(image, face, labels, points, "lfw"))


def test_grey_hair_and_hidden_hair() -> None:
    image, face, labels, points = drawn()
    labels[:40][labels[:40] == 0] = 13
    image[labels == 13] = (170, 170, 172)
    assert "grey or little hair" in traits_of(image, face, labels, points, "celebamask")
    labels[labels == 13] = 14
    assert "grey or little hair" not in traits_of(image, face, labels, points, "celebamask"), "under a hat"
