"""A new engine, executor, export or subcommand is one new file and one line in a registry."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.registry import DETECTORS
from pipeline.cli import COMMANDS, Command, main
from pipeline.config import load_config
from pipeline.engines.registry import ENGINES
from pipeline.errors import ConfigError
from pipeline.executors.registry import EXECUTORS
from pipeline.exports.registry import FORMATS
from tests.exports.runs import write_run_of

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"

ENGINE = '''
import numpy as np
from pipeline.engines.base import EngineInfo

class Guessing:
    """Takes the middle of every crop for face."""

    info = EngineInfo("guessing", "1", "cpu", "f32", 1)

    def __init__(self, settings, model):
        self.model = model

    def load(self):
        assert self.model.name == "uncrop_256"

    def predict(self, batch):
        scores = np.full((len(batch), 2, *batch.shape[2:]), -1, np.float32)
        height, width = batch.shape[2:]
        scores[:, 1, height // 4 : -height // 4, width // 4 : -width // 4] = 1
        return scores

    def close(self):
        pass
'''

DETECTOR = '''
from landmarks.geometry import Box, Detection

class ToldWhere:
    """Knows one place."""

    def __init__(self, settings):
        self.settings = settings

    @staticmethod
    def model_files():
        return []

    def find(self, image):
        return [Detection(Box(284, 107, 217, 218), 0.5, "told")]
'''

EXECUTOR = '''
from pipeline.executors.worker import Worker

class Backwards:
    """Does the last photograph first."""

    def __init__(self, config):
        self.workers, self.threads, self.lost_workers = 1, 1, 0

    def run(self, settings, tasks):
        worker = Worker(settings)
        for task in reversed(list(tasks)):
            yield worker.process(task)
        worker.close()
'''

EXPORT = '''
from pipeline.exports.base import Format

class Names(Format):
    """A list of the photographs, with the number of faces of each."""

    def __init__(self, folder, settings):
        super().__init__(folder, settings)
        self.lines = []

    def add(self, photo, split, content):
        self.lines.append(f"{photo.file_name} {len(content)}")

    def finish(self):
        (self.folder / "names.txt").write_text("\\n".join(sorted(self.lines)))
'''

SUBCOMMAND = """
def add_arguments(parser):
    parser.add_argument("name")

def execute(options):
    print(f"Hello {options.name}")
    return 0
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules can be imported."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return folder


def test_an_engine(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugins / "guessing_engine.py").write_text(ENGINE)
    arguments = ["run", "--input", str(SAMPLES / "grace_hopper.jpg"), "--output", str(tmp_path / "out")]
    chosen = ["--quiet", "--set", "engine.name=guessing", "--set", "execution.executor=serial"]
    with pytest.raises(ConfigError, match=r"expected 'onnxruntime', .* or 'constant', got 'guessing'"):
        load_config(overrides=["engine.name=guessing"])
    monkeypatch.setitem(ENGINES, "guessing", "guessing_engine:Guessing")
    assert main([*arguments, *chosen]) == 0
    assert json.loads((tmp_path / "out/run.json").read_bytes())["engines"][0]["engine"]["name"] == "guessing"
    (mask,) = (tmp_path / "out/masks").rglob("*.png")
    picture = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert set(np.unique(picture)) == {0, 255}


def test_a_detector(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugins / "told_where.py").write_text(DETECTOR)
    with pytest.raises(ConfigError, match=r"expected 'joint', .* or 'cnn', got 'told'"):
        load_config(overrides=["detector.order=[told]"])
    monkeypatch.setitem(DETECTORS, "told", "told_where:ToldWhere")
    arguments = ["run", "--input", str(SAMPLES / "obama.jpg"), "--output", str(tmp_path / "out"), "--quiet"]
    chosen = ["--set", "detector.order=[told]", "--set", "detector.rescue=never"]
    assert main([*arguments, *chosen, "--set", "execution.executor=serial"]) == 0
    (line,) = (tmp_path / "out/manifest.jsonl").read_bytes().splitlines()
    (face,) = json.loads(line)["faces"]
    assert face["detection"] == {"box_xywh": [284, 107, 217, 218], "score": 0.5, "detector": "told"}
    assert face["area_px"] > 20_000


def test_an_executor(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugins / "backwards.py").write_text(EXECUTOR)
    monkeypatch.setitem(EXECUTORS, "backwards", "backwards:Backwards")
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((40, 40, 3), np.uint8))
    arguments = ["run", "--input", str(tmp_path), "--output", str(tmp_path / "out"), "--quiet"]
    chosen = ["execution.executor=backwards", "engine.name=constant", "detector.rescue=never"]
    assert main([*arguments, *(word for text in chosen for word in ("--set", text))]) == 0
    report = json.loads((tmp_path / "out/run.json").read_bytes())
    assert (report["executor"]["name"], report["counts"]["no_face"]) == ("backwards", 3)


def test_an_export(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugins / "names_format.py").write_text(EXPORT)
    monkeypatch.setitem(FORMATS, "names", "names_format:Names")
    run = write_run_of(tmp_path)
    assert main(["export", str(run), "--to", "names", str(tmp_path / "data")]) == 0
    written = (tmp_path / "data" / "names.txt").read_text().splitlines()
    assert "photos/empty.jpg 0" in written
    assert "photos/people/anna/1.jpg 1" in written


def test_a_subcommand(
    plugins: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (plugins / "greeting.py").write_text(SUBCOMMAND)
    monkeypatch.setitem(COMMANDS, "greet", Command("greeting", "say hello"))
    assert main(["greet", "Grace"]) == 0
    assert capsys.readouterr().out == "Hello Grace\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "say hello" in capsys.readouterr().out
