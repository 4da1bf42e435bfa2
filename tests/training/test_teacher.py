from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from tests.training.synthetic import write_prepared
from training.data import Sample
from training.datasets import PSEUDO_SOURCE, load_training_data
from training.network import FaceNetwork
from training.teacher import ask, mix, mix_in_teacher


class Everywhere(FaceNetwork):
    """Is sure that everything is face, or that nothing is."""

    def __init__(self, *, face: bool) -> None:
        super().__init__()
        self.sign = 1.0 if face else -1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = torch.full(x.shape[:1] + x.shape[2:], 50.0 * self.sign)
        return torch.stack([-score, score], 1)


class LeftHalf(FaceNetwork):
    """Takes the left half of what it is shown for face: wrong in one of a picture and its mirror image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = torch.full(x.shape[:1] + x.shape[2:], -20.0)
        score[..., : x.shape[-1] // 2] = 20.0
        return torch.stack([-score, score], 1)


def sample_of(face: np.ndarray, weight: np.ndarray | None = None) -> Sample:
    image = np.zeros((*face.shape, 3), np.uint8)
    extent = np.array([[30, 30], [50, 50]], np.float32)
    full = np.full_like(face, 255)
    return Sample("name", "lfw", "name", image, face, full if weight is None else weight, None, extent)


def test_agreement_stays_and_contradiction_is_not_taught() -> None:
    face = np.zeros((200, 200), np.uint8)
    face[:, :40] = 255
    sample = sample_of(face)
    nothing, everything = np.zeros((256, 256), np.uint8), np.full((256, 256), 255, np.uint8)
    mixed = mix(sample, nothing, 0.4)
    assert mixed.face[40, 30] == 153 and mixed.weight[40, 30] == 0, "label face, teacher not"
    assert mixed.face[40, 50] == 0 and mixed.weight[40, 50] == 255
    mixed = mix(sample, everything, 0.4)
    assert mixed.face[40, 30] == 255 and mixed.weight[40, 30] == 255
    assert mixed.face[40, 50] == 102 and mixed.weight[40, 50] == 0
    unsure = mix(sample, np.full((256, 256), 100, np.uint8), 0.5)
    assert unsure.face[40, 50] == 50 and unsure.weight[40, 50] == 255
    for result in (mixed, unsure):
        assert result.face[190, 10] == 255 and result.weight[190, 10] == 255, (
            "the teacher never saw this place"
        )


def test_without_a_share_the_label_stays() -> None:
    face = np.random.default_rng(1).integers(0, 256, (200, 200), dtype=np.uint8)
    np.testing.assert_array_equal(mix(sample_of(face), np.full((256, 256), 128, np.uint8), 0.0).face, face)


def test_the_weights_there_were_stay() -> None:
    face = np.zeros((200, 200), np.uint8)
    weight = np.random.default_rng(2).integers(0, 256, (200, 200), dtype=np.uint8)
    mixed = mix(sample_of(face, weight), np.zeros((256, 256), np.uint8), 0.4)
    np.testing.assert_array_equal(mixed.weight, weight)


def test_the_teacher_sees_the_crop_and_its_mirror_image() -> None:
    samples = [sample_of(np.zeros((200, 200), np.uint8))] * 11
    for network, expected in ((Everywhere(face=True), 255), (LeftHalf(), 128)):
        answers = ask(network.eval(), samples)
        assert len(answers) == 11
        for answer in answers:
            assert answer.dtype == np.uint8 and answer.shape == (256, 256)
            assert (answer == expected).all()


def test_pseudo_labels_stay(tmp_path: Path) -> None:
    write_prepared(tmp_path / "celebamask_mini", [f"p{number}" for number in range(4)], size=64)
    write_prepared(tmp_path / "pseudo", [f"q{number}" for number in range(4)], size=64)
    data = load_training_data(tmp_path, pseudo=tmp_path / "pseudo", validation=False)
    before = list(data.training[PSEUDO_SOURCE])
    mix_in_teacher(data, Everywhere(face=False).eval(), 0.4)
    assert before and all(
        one is other for one, other in zip(before, data.training[PSEUDO_SOURCE], strict=True)
    )


def test_what_is_scored_keeps_its_labels(tmp_path: Path) -> None:
    write_prepared(tmp_path / "celebamask_mini", [f"p{number}" for number in range(20)], size=64)
    data = load_training_data(tmp_path)
    before = {name: [sample.face.copy() for sample in data.validation[name]] for name in data.validation}
    fit = [sample.face.copy() for sample in data.fit["fit celebamask"]]
    taught = data.training["celebamask"][0].face.copy()
    mix_in_teacher(data, Everywhere(face=False).eval(), 0.4)
    changed = data.training["celebamask"][0]
    assert (changed.face[taught == 255] == 153).all() and (changed.weight[taught == 255] == 0).any()
    for name, faces in before.items():
        for sample, face in zip(data.validation[name], faces, strict=True):
            np.testing.assert_array_equal(sample.face, face)
    for sample, face in zip(data.fit["fit celebamask"], fit, strict=True):
        np.testing.assert_array_equal(sample.face, face)
