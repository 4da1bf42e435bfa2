from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array, Pixels

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from tests.training.synthetic import write_prepared
from training import pseudo
from training.data import read_prepared
from training.export import load_network, to_caffe
from training.network import CAFFE_MEAN_BGR, FaceNetwork

HALF = 60


class Brightness(FaceNetwork):
    """Takes bright pixels for face: surely so above 200, surely not below 50, unsure between."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grey = (x + torch.tensor(CAFFE_MEAN_BGR)[None, :, None, None]).mean(1)
        face = (grey - 125) / 10
        return torch.stack([-face, face], 1)


class FixedFinder:
    def __call__(self, image: Pixels) -> Float32Array | None:
        if image.max() < 20:
            return None
        turns = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        return (np.stack([np.cos(turns), np.sin(turns)], 1) * 25 + HALF).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pseudo, "MainFaceFinder", FixedFinder)
    folder = tmp_path / "photos"
    folder.mkdir()
    sure = np.zeros((2 * HALF, 2 * HALF, 3), np.uint8)
    cv2.circle(sure, (HALF, HALF), 30, (230, 230, 230), -1)
    cv2.imwrite(str(folder / "sure.png"), sure)
    partly = sure.copy()
    partly[HALF - 5 : HALF + 5, HALF - 8 : HALF + 8] = 125
    cv2.imwrite(str(folder / "partly.png"), partly)
    doubtful = sure.copy()
    doubtful[HALF - 15 : HALF + 15] = np.where(sure[HALF - 15 : HALF + 15] > 0, 126, 0)
    cv2.imwrite(str(folder / "doubtful.png"), doubtful)
    cv2.imwrite(str(folder / "nobody.png"), np.zeros_like(sure))
    (folder / "notes.txt").write_text("not a photograph")
    return folder


def test_only_what_the_teacher_is_sure_of_is_taught(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pseudo.label_folder(Brightness().eval(), photos, out) == 2
    samples = {sample.name: sample for sample in read_prepared(out, "pseudo", lambda stem: True)}
    assert set(samples) == {"sure", "partly"}
    partly = samples["partly"]
    assert partly.face[HALF - 20, HALF] == 255 and partly.weight[HALF - 20, HALF] == 255
    assert partly.weight[HALF, HALF] == 0, "unsure"
    assert samples["sure"].weight[HALF, HALF] == 255
    assert partly.face[5, 5] == 0 and partly.weight[5, 5] == 255
    assert partly.points is not None and partly.points.shape == (68, 2)


def test_labels_that_are_there_stay(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_prepared(out, ["sure"], size=48)
    before = (out / "masks" / "sure.png").read_bytes()
    assert pseudo.label_folder(Brightness().eval(), photos, out) == 1
    assert (out / "masks" / "sure.png").read_bytes() == before
    assert set(json.loads((out / "landmarks68.json").read_text())) == {"sure", "partly"}


def test_a_teacher_is_a_checkpoint_or_an_exported_network(tmp_path: Path) -> None:
    from pipeline.caffe_format.writer import write_caffe

    torch.manual_seed(3)
    network = FaceNetwork().eval()
    torch.save({"average": network.state_dict()}, tmp_path / "last.pt")
    write_caffe(to_caffe(network), tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    x = torch.randn(1, 3, 64, 64) * 50
    with torch.inference_mode():
        expected = network(x)
        for name in ("last.pt", "net.caffemodel"):
            torch.testing.assert_close(load_network(tmp_path / name)(x), expected, atol=1e-3, rtol=1e-3)
