from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array, Pixels
from tests.training.synthetic import draw_face, face_points
from training.data import Sample
from training.public_data import LAPA_TO_68, lfw_mask, read_celebamask_hq, read_lapa, read_lfw_parts


def found(image: Pixels) -> Float32Array:
    return face_points(image.shape[0])


def test_celebamask_hq_layout(tmp_path: Path) -> None:
    image, labels = draw_face(64)
    parts = tmp_path / "CelebAMask-HQ-mask-anno" / "1"
    parts.mkdir(parents=True)
    (tmp_path / "CelebA-HQ-img").mkdir()
    for number in (2000, 2001):
        large = cv2.resize(image, (128, 128))
        cv2.imwrite(str(tmp_path / "CelebA-HQ-img" / f"{number}.jpg"), large[:, :, ::-1])
        for part, value in (("skin", 1), ("hair", 13), ("neck", 17)):
            drawn = np.where(labels == value, 255, 0).astype(np.uint8)
            cv2.imwrite(str(parts / f"{number:05d}_{part}.png"), np.dstack([drawn] * 3))
    (sample,) = read_celebamask_hq(tmp_path, lambda stem: stem == "2001", found)
    assert sample.name == "2001" and sample.image.shape == (64, 64, 3)
    np.testing.assert_array_equal(sample.face == 255, labels == 1)


def test_lapa_layout(tmp_path: Path) -> None:
    image, _ = draw_face(64)
    for name in ("images", "labels", "landmarks"):
        (tmp_path / name).mkdir()
    labels = np.zeros((64, 64), np.uint8)
    labels[20:50, 20:44] = 1
    labels[30:34, 25:30] = 4
    labels[:20] = 10
    points = np.arange(212, dtype=float).reshape(106, 2)
    cv2.imwrite(str(tmp_path / "images" / "7.jpg"), image[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "labels" / "7.png"), labels)
    lines = ["106", *(f"{x} {y}" for x, y in points)]
    (tmp_path / "landmarks" / "7.txt").write_text("\n".join(lines), encoding="utf-8")
    (sample,) = read_lapa(tmp_path, lambda stem: True)
    np.testing.assert_array_equal(sample.face == 255, (labels > 0) & (labels != 10))
    assert sample.points is not None
    np.testing.assert_array_equal(sample.points, points[list(LAPA_TO_68)])


def test_the_106_points_are_thinned_to_68_different_ones() -> None:
    assert len(LAPA_TO_68) == len(set(LAPA_TO_68)) == 68


def lfw_picture() -> Pixels:
    _, labels = draw_face()
    parts = np.zeros((128, 128, 3), np.uint8)
    parts[:, :, 2] = 255
    parts[labels == 13] = (255, 0, 0)
    parts[(labels == 1) | (labels == 17)] = (0, 255, 0)
    return parts


def test_lfw_mask_leaves_out_neck_and_hair_and_fills_the_beard() -> None:
    parts, points = lfw_picture(), face_points()
    parts[88:96, 58:70] = (255, 0, 0)
    mask = lfw_mask(parts, points)
    assert mask[60, 64] == 255
    assert mask[92, 64] == 255, "beard"
    assert mask[124, 64] == 0, "neck"
    assert mask[15, 64] == 0, "hair"


def test_lfw_layout(tmp_path: Path) -> None:
    image, _ = draw_face()
    (tmp_path / "lfw_funneled" / "Ann_Lee").mkdir(parents=True)
    (tmp_path / "parts_lfw_funneled_gt_images").mkdir()
    for number in (1, 2):
        stem = f"Ann_Lee_{number:04d}"
        cv2.imwrite(str(tmp_path / "lfw_funneled" / "Ann_Lee" / f"{stem}.jpg"), image[:, :, ::-1])
        cv2.imwrite(str(tmp_path / "parts_lfw_funneled_gt_images" / f"{stem}.ppm"), lfw_picture()[:, :, ::-1])
    samples = list(read_lfw_parts(tmp_path, lambda stem: stem.endswith("2"), found))
    assert [(sample.name, sample.person) for sample in samples] == [("Ann_Lee_0002", "Ann_Lee")]
    assert not list(read_lfw_parts(tmp_path, lambda stem: True, lambda image: None))


READERS: list[Callable[[Path], Iterator[Sample]]] = [
    lambda folder: read_lapa(folder, lambda stem: True),
    lambda folder: read_lfw_parts(folder, lambda stem: True, found),
    lambda folder: read_celebamask_hq(folder, lambda stem: True, found),
]


@pytest.mark.parametrize("read", READERS)
def test_a_folder_of_another_layout_is_refused(
    tmp_path: Path, read: Callable[[Path], Iterator[Sample]]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        list(read(tmp_path))
