from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.caffe_format.writer import write_caffe
from training.export import export_checkpoint, fold_batch_norm, load_network, main, to_caffe
from training.network import ConvUnit, FaceNetwork, NetworkSpec
from training.records import save_checkpoint

SCORE_TOLERANCE = 1e-3
"""Largest difference of scores between the three runtimes: float32 sums in another order."""

MAX_CAFFEMODEL_BYTES = 16e6


def settled_network() -> FaceNetwork:
    """An untrained network whose normalisation statistics have seen data, so that folding them matters."""
    torch.manual_seed(7)
    network = FaceNetwork().train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, 3, 64, 64) * 60)
    return network.eval()


@pytest.mark.parametrize("shape_hw", [(64, 64), (96, 160)])
def test_pytorch_our_graph_and_opencv_agree(tmp_path: Path, shape_hw: tuple[int, int]) -> None:
    network = settled_network()
    prototxt, caffemodel = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    write_caffe(to_caffe(network, 64), prototxt, caffemodel)
    assert caffemodel.stat().st_size < MAX_CAFFEMODEL_BYTES
    batch = np.random.default_rng(1).uniform(-120, 130, (1, 3, *shape_hw)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch)).numpy()
    load_caffe(prototxt, caffemodel).to_onnx(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    ours = session.run(None, {session.get_inputs()[0].name: batch})[0]
    opencv = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    opencv.setInput(batch)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(ours, expected, atol=SCORE_TOLERANCE)
    np.testing.assert_allclose(opencv.forward(), expected, atol=SCORE_TOLERANCE)


def test_folding_keeps_the_values() -> None:
    torch.manual_seed(1)
    unit = ConvUnit(3, 5, 3, relu=False).eval()
    norm = unit[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    weight, bias = fold_batch_norm(unit)
    x = torch.randn(1, 3, 9, 9)
    with torch.inference_mode():
        folded = torch.nn.functional.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias), padding=1)
        torch.testing.assert_close(folded, unit(x), atol=1e-5, rtol=1e-5)


def test_the_averaged_weights_of_a_checkpoint_are_exported(tmp_path: Path) -> None:
    network = settled_network()
    other = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    save_checkpoint(tmp_path / "last.pt", {"network": other, "average": network.state_dict()})
    loaded = load_network(tmp_path / "last.pt")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)
    paths = export_checkpoint(tmp_path / "last.pt", tmp_path / "model")
    assert [path.name for path in paths] == ["model.prototxt", "model.caffemodel"]
    assert load_caffe(*paths).num_classes == 2


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load_network(tmp_path / "none.pt")


def test_mixing_averages_every_weight(tmp_path: Path) -> None:
    torch.manual_seed(3)
    save_checkpoint(tmp_path / "new.pt", {"average": settled_network().state_dict()})
    old_network = FaceNetwork().eval()
    old = write_pair(to_caffe(old_network, 64), tmp_path / "old")
    paths = export_checkpoint(tmp_path / "new.pt", tmp_path / "mixed", mix_with=old[1], share=0.25)
    new, before, after = (
        [blob for layer in network.layers for blob in layer.blobs]
        for network in (to_caffe(load_network(tmp_path / "new.pt")), load_caffe(*old), load_caffe(*paths))
    )
    assert any((a != b).any() for a, b in zip(new, before, strict=True))
    for one, other, mixture in zip(new, before, after, strict=True):
        np.testing.assert_allclose(mixture, 0.75 * one + 0.25 * other, rtol=1e-5, atol=1e-7)


def write_pair(network: CaffeNetwork, stem: Path) -> tuple[Path, Path]:
    paths = stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")
    write_caffe(network, *paths)
    return paths


@pytest.mark.parametrize(
    ("refine", "share", "message"), [(False, 0.5, "not the layers"), (True, 1.5, "0 to 1")]
)
def test_what_cannot_be_mixed_is_refused(tmp_path: Path, refine: bool, share: float, message: str) -> None:
    save_checkpoint(tmp_path / "new.pt", {"average": FaceNetwork().state_dict()})
    _, other = write_pair(to_caffe(FaceNetwork(NetworkSpec(refine=refine)).eval(), 64), tmp_path / "other")
    with pytest.raises(SystemExit, match=message):
        main(
            [str(tmp_path / "new.pt"), str(tmp_path / "out"), "--mix-with", str(other), "--share", str(share)]
        )
    assert not (tmp_path / "out.caffemodel").exists()
