"""Command lines, configurations and outputs of version 0.1.0 (made by commit 090fe2f) still work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config, load_config
from pipeline.former_keys import RENAMED, RENAMED_VALUES

ROOT = Path(__file__).resolve().parents[1]
OLD = Path(__file__).parent / "data" / "version_0_1_0"
SAMPLES = ROOT / "data" / "samples"


def command(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)


def value(config: Config, section: str, key: str) -> Any:
    """The value of a key as it was called in 0.1.0."""
    section, _, key = RENAMED.get(f"{section}.{key}", f"{section}.{key}").partition(".")
    return config.model_dump(mode="json")[section][key]


@pytest.mark.parametrize(
    ("name", "model"), [("default", "uncrop_256"), ("fcn8s", "fcn8s_500"), ("fcn8s_300", "fcn8s_300")]
)
def test_its_configurations_are_read(name: str, model: str) -> None:
    config = load_config(OLD / "configs" / f"{name}.yaml")
    assert config.network.model == model
    assert config.network.max_side_px == 350
    assert config.scores.jaw_penalty == (80.0 if name == "default" else 0.0)


def test_every_key_of_its_default_means_the_same() -> None:
    config = load_config(OLD / "configs" / "default.yaml")
    resolved = json.loads((OLD / "run.json").read_bytes())["config"]
    chosen = {("input", "paths"), ("output", "directory"), ("output", "cutouts"), ("execution", "workers")}
    for section, keys in resolved.items():
        for key, expected in keys.items():
            if (section, key) not in chosen:
                renamed = RENAMED_VALUES.get(f"{section}.{key}", {})
                assert value(config, section, key) == renamed.get(str(expected), expected), f"{section}.{key}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run_pipeline.py", "--config", "configs/default.yaml", "--dry-run"), "grace_hopper.jpg"),
        (("run_pipeline.py", "--version"), "uncrop "),
        (("-m", "pipeline.models", "list"), "uncrop_256  (here)"),
        (("-m", "pipeline.models", "verify", "uncrop_256"), "uncrop_256: ok"),
        (("-m", "pipeline.manifest", "summary", OLD), "5 photographs, 3 faces"),
        (("-m", "pipeline.manifest", "failed", OLD), "ImageReadError (read): 1"),
        (("-m", "pipeline.evaluate", "--help"), "--predictions"),
    ],
)
def test_its_command_lines_work(words: tuple[str | Path, ...], said: str) -> None:
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_a_run_goes_on_in_its_output(tmp_path: Path) -> None:
    for name in ("grace_hopper.jpg", "obama_microphone.jpg", "sub/biden_rotated.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / Path(name).name, tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    shutil.copy(OLD / "manifest.jsonl", tmp_path / "out")
    run = json.loads((OLD / "run.json").read_bytes()) | {"working_directory": str(tmp_path)}
    (tmp_path / "out" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    words = ["--config", str(OLD / "configs" / "default.yaml"), "--input", "in", "--output", "out"]
    done = command(ROOT / "run_pipeline.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_bytes().splitlines()]
    assert {line["name"]: line.get("schema") for line in lines} == {
        "in/broken.jpg": None,
        "in/grace_hopper.jpg": 2,
        "in/grey.png": None,
        "in/obama_microphone.jpg": 2,
        "in/sub/biden_rotated.jpg": 2,
    }
    assert [line["status"] for line in lines] == ["failed", "ok", "no_face", "ok", "ok"]
