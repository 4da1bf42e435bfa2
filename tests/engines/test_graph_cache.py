from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engines import graph_cache
from pipeline.engines.graph_cache import GraphCache
from pipeline.errors import EngineError
from pipeline.files import sha256_of
from pipeline.models.catalogue import ModelFiles
from tests.engines.conftest import CHECKOUT

BUILD_ONE = """
import sys
from pathlib import Path
from pipeline.config import NetworkConfig
from pipeline.engines import graph_cache
from pipeline.models.catalogue import resolve_model

load = graph_cache.load_caffe
def counting_load(*paths):
    with open(sys.argv[3], "a") as log:
        log.write("converted\\n")
    return load(*paths)
graph_cache.load_caffe = counting_load
Path(sys.argv[3]).with_name("ready-" + sys.argv[4]).touch()
while not Path(sys.argv[3]).with_name("go").exists():
    pass
model = resolve_model(NetworkConfig(model=sys.argv[1]))
print(graph_cache.GraphCache(model, sys.argv[2]).graph())
"""


def contents(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir()}


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_built_once(narrow_model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = GraphCache(narrow_model, str(tmp_path)).graph()
    written = first.stat().st_mtime_ns
    monkeypatch.setattr(graph_cache, "load_caffe", lambda *paths: pytest.fail("converted again"))
    assert GraphCache(narrow_model, str(tmp_path)).graph() == first
    assert first.stat().st_mtime_ns == written
    assert entries(tmp_path) == [first.parent.name]


def test_other_weights_are_another_entry(narrow_models: dict[int, ModelFiles], tmp_path: Path) -> None:
    paths = {GraphCache(model, str(tmp_path)).graph() for model in narrow_models.values()}
    assert len(paths) == 2
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "no graph", "no summary", "rubbish summary", "weights cut", "no weights"]
)
def test_damaged_entry_is_built_again(damage: str, narrow_model: ModelFiles, tmp_path: Path) -> None:
    path = GraphCache(narrow_model, str(tmp_path)).graph()
    whole = contents(path.parent)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "flipped":
        path.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    elif damage == "no graph":
        path.unlink()
    elif damage == "no summary":
        path.with_suffix(".json").unlink()
    elif damage == "rubbish summary":
        path.with_suffix(".json").write_bytes(b"\xff\xfe")
    elif damage == "weights cut":
        weights = max(path.parent.glob("*.weights"), key=lambda file: file.stat().st_size)
        weights.write_bytes(weights.read_bytes()[:-4])
    else:
        next(path.parent.glob("*.weights")).unlink()
    assert GraphCache(narrow_model, str(tmp_path)).graph() == path
    assert contents(path.parent) == whole


def test_concurrent_starts_convert_once(narrow_model: ModelFiles, tmp_path: Path) -> None:
    log = tmp_path / "log"
    cache = tmp_path / "cache"
    arguments = [sys.executable, "-c", BUILD_ONE, str(narrow_model.prototxt), str(cache), str(log)]
    processes = [
        subprocess.Popen([*arguments, number], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        for number in "12"
    ]
    while len(list(tmp_path.glob("ready-*"))) < 2:
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.01)
    (tmp_path / "go").touch()
    outputs = [process.communicate(timeout=200)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert log.read_text() == "converted\n"
    assert entries(cache) == [Path(outputs[0]).parent.name]


def test_a_killed_build_leaves_nothing_in_the_way(
    narrow_model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(graph_cache, "convert", killed)
        with pytest.raises(KeyboardInterrupt):
            GraphCache(narrow_model, str(tmp_path)).graph()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]
    assert GraphCache(narrow_model, str(tmp_path)).graph().is_file()


def test_a_full_disk_leaves_no_half_files(
    narrow_model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(EngineError, match=r"No space left on device\); set engine.cache_directory"):
            GraphCache(narrow_model, str(tmp_path)).graph()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_graphs_of_one_network_share_their_weights(narrow_model: ModelFiles, tmp_path: Path) -> None:
    cache = GraphCache(narrow_model, str(tmp_path))
    anywhere = cache.graph()
    before = {path for path in anywhere.parent.glob("*.weights") if path.stat().st_size > 100_000}
    fixed = cache.graph((72, 72))
    assert fixed.parent == anywhere.parent
    assert fixed.name == "72x72.onnx"
    assert {path for path in anywhere.parent.glob("*.weights") if path.stat().st_size > 100_000} == before
    assert before


def test_folder_that_cannot_be_written(
    narrow_model: ModelFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache = GraphCache(narrow_model, str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        path = cache.graph()
    assert path.is_file()
    assert str(tmp_path / "file") in caplog.text
    assert "engine.cache_directory" in caplog.text
    assert cache.graph() == path
    cache.close()
    assert not path.exists()


def test_whole_entry_in_a_read_only_folder_is_used(
    narrow_model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = GraphCache(narrow_model, str(tmp_path)).graph()
    monkeypatch.setattr(Path, "mkdir", lambda *arguments, **keywords: pytest.fail("written to"))
    assert GraphCache(narrow_model, str(tmp_path)).graph() == path
