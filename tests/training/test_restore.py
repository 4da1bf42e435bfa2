from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from pipeline.caffe_format import load_caffe
from pipeline.caffe_format.writer import write_caffe
from tests.training.test_export import settled_network
from training.export import to_caffe
from training.network import FaceNetwork, NetworkSpec
from training.restore import restore, settle_normalisation

SCORE_TOLERANCE = 1e-3


def export(network: FaceNetwork, folder: Path) -> tuple[Path, Path]:
    files = folder / "net.prototxt", folder / "net.caffemodel"
    write_caffe(to_caffe(network, 64), *files)
    return files


def scores(network: FaceNetwork, picture: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = network.eval()(picture)
        return result


def test_an_exported_network_comes_back_and_settling_changes_no_score(tmp_path: Path) -> None:
    original, picture = settled_network(), torch.randn(2, 3, 64, 96) * 60
    expected = scores(original, picture)
    torch.manual_seed(99)
    again = FaceNetwork()
    assert restore(again, *export(original, tmp_path)) == []
    torch.testing.assert_close(scores(again, picture), expected, atol=SCORE_TOLERANCE, rtol=1e-4)
    settle_normalisation(again, [torch.randn(4, 3, 64, 64) * 60 for _ in range(3)])
    torch.testing.assert_close(scores(again, picture), expected, atol=SCORE_TOLERANCE, rtol=1e-4)


def test_settled_statistics_are_those_of_the_crops(tmp_path: Path) -> None:
    original = settled_network()
    again = FaceNetwork()
    restore(again, *export(original, tmp_path))
    crops = [torch.randn(4, 3, 64, 64) * 60 for _ in range(3)]
    settle_normalisation(again, crops)
    seen = again.stem[0](torch.cat(crops)).double()
    norm = again.stem[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    torch.testing.assert_close(norm.running_mean.double(), seen.mean((0, 2, 3)), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(
        norm.running_var.double(), seen.var((0, 2, 3), unbiased=False), atol=1e-3, rtol=1e-3
    )


def test_a_network_without_refinements_gets_some_that_do_nothing(tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain, picture = FaceNetwork(NetworkSpec(refine=False)).eval(), torch.randn(1, 3, 64, 64) * 60
    refined = FaceNetwork()
    missing = restore(refined, *export(plain, tmp_path))
    assert len(missing) == 2 * len(refined.decoder)
    torch.testing.assert_close(
        scores(refined, picture), scores(plain, picture), atol=SCORE_TOLERANCE, rtol=1e-4
    )


def test_another_network_is_refused_by_name(tmp_path: Path) -> None:
    small = FaceNetwork(NetworkSpec(encoder_blocks=12))
    with pytest.raises(KeyError, match="block13_expand"):
        restore(FaceNetwork(), *export(small, tmp_path))


def test_the_shipped_network_scores_alike_in_pytorch_our_graph_and_opencv() -> None:
    stem = Path(__file__).resolve().parents[2] / "data" / "models" / "uncrop_256"
    prototxt, caffemodel = stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")
    network = FaceNetwork()
    assert restore(network, prototxt, caffemodel) == []
    torch.manual_seed(5)
    coarse = torch.empty(1, 3, 9, 9).uniform_(-110, 140)
    picture = torch.nn.functional.interpolate(coarse, (256, 256), mode="bicubic")
    expected = scores(network, picture).numpy()
    opencv = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    opencv.setInput(picture.numpy())
    graph = load_caffe(prototxt, caffemodel).to_onnx_model().SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(opencv.forward(), expected, atol=SCORE_TOLERANCE)
    (ours,) = session.run(None, {session.get_inputs()[0].name: picture.numpy()})
    np.testing.assert_allclose(ours, expected, atol=SCORE_TOLERANCE)
