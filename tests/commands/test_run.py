"""The command as a user meets it: exit codes, one clear message, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.stand_ins import write_photo

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
MODELS = ROOT / "data" / "models"


def command(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(f"extends: {ROOT / 'configs' / 'default.yaml'}\n{text}", encoding="utf-8")
    return path


def one_message(result: subprocess.CompletedProcess[str], exit_code: int) -> str:
    assert result.returncode == exit_code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_version_and_help() -> None:
    assert command("--version").stdout.startswith("uncrop ")
    text = command("--help").stdout
    for option in (
        "--config",
        "--set",
        "--input",
        "--output",
        "--workers",
        "--dry-run",
        "--quiet",
        "--verbose",
    ):
        assert option in text


def test_wrong_key_and_wrong_type_are_told_together(tmp_path: Path) -> None:
    path = config(tmp_path, "detector: {max_side: 3}\nengine: {threads: many}\n")
    message = one_message(command("--config", path), 2)
    assert f"error: {path}: detector.max_side: unknown key; did you mean 'max_side_px'?" in message
    assert f"error: {path}: engine.threads: expected" in message


def test_missing_folder(tmp_path: Path) -> None:
    message = one_message(command("--input", tmp_path / "nowhere", "--output", tmp_path / "out"), 2)
    assert "nowhere" in message
    assert not (tmp_path / "out").exists()


def test_missing_weights_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    message = one_message(command("--set", "network.model=fcn8s_500", "--output", tmp_path / "out"), 2)
    assert "python -m pipeline models fetch fcn8s_500" in message


def test_unknown_network(tmp_path: Path) -> None:
    message = one_message(command("--set", "network.model=uncrop_265", "--output", tmp_path / "out"), 2)
    assert "uncrop_256" in message


def test_truncated_caffemodel(tmp_path: Path) -> None:
    shutil.copy(MODELS / "uncrop_256.prototxt", tmp_path / "net.prototxt")
    whole = (MODELS / "uncrop_256.caffemodel").read_bytes()
    (tmp_path / "net.caffemodel").write_bytes(whole[: len(whole) // 2])
    arguments = ("--set", f"network.model={tmp_path / 'net.prototxt'}", "--output", tmp_path / "out")
    message = one_message(command(*arguments), 2)
    assert str(tmp_path / "net.caffemodel") in message
    assert not list((tmp_path / "out").glob("masks/**/*.png"))


def test_bad_photos_fail_alone(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(SAMPLES / "grace_hopper.jpg", photos / "good.jpg")
    (photos / "text.jpg").write_text("this is no picture")
    (photos / "cut.jpg").write_bytes((SAMPLES / "grace_hopper.jpg").read_bytes()[:9000])
    (photos / "empty.png").touch()
    result = command("--input", photos, "--output", tmp_path / "out", "--workers", "1")
    message = one_message(result, 1)
    for name in ("text.jpg", "cut.jpg", "empty.png"):
        assert name in message + result.stdout
    lines = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    status = {Path(line["photo"]).name: line["status"] for line in lines}
    assert status == {"good.jpg": "ok", "text.jpg": "failed", "cut.jpg": "failed", "empty.png": "failed"}
    (mask_path,) = (tmp_path / "out/masks").rglob("good*.png")
    mask, photo = cv2.imread(str(mask_path), cv2.IMREAD_UNCHANGED), cv2.imread(str(photos / "good.jpg"))
    assert mask is not None
    assert photo is not None
    assert mask.shape == photo.shape[:2]
    assert set(np.unique(mask)) == {0, 255}


def test_dry_run_lists_and_writes_nothing(tmp_path: Path) -> None:
    result = command("--dry-run", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "to do       data/samples/grace_hopper.jpg -> data/samples/grace_hopper.jpg" in result.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--nonsense", "--workers"])
def test_wrong_options(option: str) -> None:
    message = one_message(command(option), 2)
    assert option in message


@pytest.mark.parametrize("workers", ["", "0", "-1", "99999999", "9" * 5000, "two"])
def test_a_wrong_number_of_workers_is_refused(workers: str, tmp_path: Path) -> None:
    message = one_message(command("--dry-run", "--workers", workers, "--output", tmp_path / "out"), 2)
    assert "error: command line: execution.workers: expected " in message


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    result = command("--verbose", "--input", tmp_path / "nowhere", "--output", tmp_path / "out")
    assert result.returncode == 2
    assert "Traceback" in result.stderr


def test_any_name_may_be_given(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "\U0001f600 \u2028 'x'.png", 1)
    result = command("--input", photo, "--output", tmp_path / "\U0001f4c1", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "1 photograph, 0 done before (unless changed since)" in result.stdout


def test_a_name_that_is_no_text_goes_into_a_list(tmp_path: Path) -> None:
    message = one_message(command("--input", os.fsdecode(b"caf\xe9.jpg"), "--dry-run"), 2)
    assert "--input @list.txt" in message


def test_a_network_of_fixed_size_needs_scale(tmp_path: Path) -> None:
    message = one_message(
        command("--input", SAMPLES, "--output", tmp_path / "out", "--set", "network.scale=false"), 2
    )
    assert "network.scale" in message
    assert "set network.scale: true" in message


def test_a_network_with_a_number_of_classes_that_nobody_knows(tmp_path: Path) -> None:
    text = (MODELS / "fcn8s_500.prototxt").read_text(encoding="utf-8")
    (tmp_path / "net.prototxt").write_text(text.replace("num_output: 21", "num_output: 19"), encoding="utf-8")
    (tmp_path / "net.caffemodel").write_bytes((MODELS / "uncrop_256.caffemodel").read_bytes())
    model = tmp_path / "net.prototxt"
    message = one_message(
        command("--input", SAMPLES, "--output", tmp_path / "out", "--set", f"network.model={model}"), 2
    )
    assert "has 19 classes" in message
