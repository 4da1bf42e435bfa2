"""A broken installation stops a run before its first photograph, and costs no result that is there."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from landmarks import blazeface, centerface, model_files, predictor
from landmarks.model_files import BLAZEFACE_FULL_RANGE, BLAZEFACE_SHORT_RANGE, CENTERFACE, LANDMARKS_68
from pipeline import loading, runner
from pipeline.config import Config
from pipeline.errors import ModelError, ModelFormatError, ModelMissingError
from pipeline.files import FileHashes
from tests import stand_ins
from tests.stand_ins import tree, write_photo

ROOT = Path(__file__).parents[1]
NEEDED = (LANDMARKS_68, BLAZEFACE_SHORT_RANGE, BLAZEFACE_FULL_RANGE, CENTERFACE)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def changed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of all files of the detectors and the predictor, which are taken in place of those installed."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in NEEDED:
        own = name != LANDMARKS_68
        shutil.copy(model_files.own_file(name) if own else model_files.data_package_file(name), folder)

    def file(name: str) -> Path:
        return model_files.existing_file(folder / name, "install it again")

    for module in (blazeface, centerface):
        monkeypatch.setattr(module, "own_file", file)
    monkeypatch.setattr(predictor, "data_package_file", file)
    return folder


def test_the_files_that_are_installed_are_the_known_ones(files: Path) -> None:
    hashes = loading.landmark_hashes(Config())
    assert hashes == {
        "landmarks": model_files.SHA256[LANDMARKS_68],
        **{f"detector.{name}": model_files.SHA256[name] for name in NEEDED[1:]},
    }


@pytest.mark.parametrize("damage", [truncated, changed])
@pytest.mark.parametrize("name", NEEDED)
def test_every_damaged_file_is_noticed_before_the_first_photograph(
    name: str, damage: Callable[[Path], None], files: Path
) -> None:
    damage(files / name)
    for load in (loading.model_hashes, loading.load_finder):
        with pytest.raises(ModelFormatError, match=rf"{name}: is damaged or another file: SHA-256 .*install"):
            load(Config())


@pytest.mark.parametrize("name", NEEDED)
def test_every_missing_file_is_noticed_before_the_first_photograph(name: str, files: Path) -> None:
    (files / name).unlink()
    for load in (loading.model_hashes, loading.load_finder):
        with pytest.raises(ModelMissingError, match=rf"{name}: no such file"):
            load(Config())


def test_files_that_the_configuration_cannot_need_are_not_asked_for(files: Path) -> None:
    for name in NEEDED[1:]:
        (files / name).unlink()
    config = Config.model_validate({"detector": {"order": ["hog"], "rescue": "never"}})
    assert set(loading.landmark_hashes(config)) == {"landmarks"}


def test_what_a_run_has_read_its_workers_do_not_read_again(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FileHashes()
    loading.model_hashes(Config(), known)
    read = list[object]()
    monkeypatch.setattr("pipeline.files.hashlib.file_digest", lambda file, _: read.append(file.name))
    monkeypatch.setattr("landmarks.model_files.hashlib.file_digest", lambda file, _: read.append(file.name))
    loading.load_finder(Config(), known)
    cache = {"cache_directory": str(tmp_path / "cache")}
    config = Config.model_validate({"engine": cache})
    network = loading.load_network(config, pickle.loads(pickle.dumps(known)))
    assert network.model is not None
    assert network.model.caffemodel_sha256 == loading.model_hashes(Config(), known)["network.caffemodel"]
    assert [name for name in read if str(name).endswith((".dat", ".onnx", ".caffemodel", ".prototxt"))] == []


def test_a_run_with_a_damaged_detector_touches_nothing(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(Path("in/1.png"), 1)
    config = Config.model_validate({"input": {"paths": ["in"]}, "execution": {"executor": "serial"}})
    runner.run(config, factory=stand_ins.bright)
    before = tree(Path("output")), Path("output/run.json").read_bytes()
    truncated(files / BLAZEFACE_FULL_RANGE)
    with pytest.raises(ModelError) as caught:
        runner.run(config, factory=stand_ins.bright, force=True)
    assert caught.value.exit_code == 2
    assert (tree(Path("output")), Path("output/run.json").read_bytes()) == before


def test_a_predictor_of_the_users_own_is_loaded_to_see(tmp_path: Path) -> None:
    path = tmp_path / "own.dat"
    path.write_bytes(b"not a predictor")
    config = Config.model_validate({"landmarks": {"model": str(path)}})
    with pytest.raises(ModelFormatError, match=r"own\.dat: not a readable dlib shape predictor"):
        loading.model_hashes(config)
    points_5 = model_files.data_package_file("shape_predictor_5_face_landmarks.dat")
    config = Config.model_validate({"landmarks": {"model": str(points_5)}})
    with pytest.raises(ModelFormatError, match="predicts 5 points, not 68"):
        loading.model_hashes(config)


def test_weights_of_the_users_own_are_loaded_to_see(tmp_path: Path) -> None:
    whole = (ROOT / "data/models/uncrop_256.caffemodel").read_bytes()
    path = tmp_path / "own.caffemodel"
    path.write_bytes(whole[: len(whole) // 2])
    config = Config.model_validate({"network": {"weights": str(path)}})
    with pytest.raises(ModelFormatError, match=r"own\.caffemodel"):
        loading.model_hashes(config)


@pytest.mark.timeout(900)
def test_a_copy_of_the_program_with_a_truncated_detector_deletes_no_mask(tmp_path: Path) -> None:
    for part in ("landmarks", "pipeline", "configs", "data/models"):
        ignored = shutil.ignore_patterns("__pycache__", "downloads")
        shutil.copytree(ROOT / part, tmp_path / "copy" / part, ignore=ignored)
    shutil.copy(ROOT / "run_pipeline.py", tmp_path / "copy")
    shutil.copy(ROOT / "data/samples/grace_hopper.jpg", tmp_path / "photo.jpg")

    def run_copy() -> subprocess.CompletedProcess[str]:
        words = ("--input", "photo.jpg", "--force", "--workers", "1")
        command = (sys.executable, tmp_path / "copy/run_pipeline.py", *words)
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    done = run_copy()
    assert done.returncode == 0, done.stderr
    before = tree(tmp_path / "output")
    assert json.loads(before["manifest.jsonl"])["status"] == "ok"
    truncated(tmp_path / "copy/landmarks/models" / BLAZEFACE_FULL_RANGE)
    done = run_copy()
    assert done.returncode == 2, done.stderr
    assert f"{BLAZEFACE_FULL_RANGE}: is damaged or another file" in done.stderr
    assert tree(tmp_path / "output") == before
