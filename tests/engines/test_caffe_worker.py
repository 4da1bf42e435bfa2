"""The worker's protocol and its failures, with interpreters and a module `caffe` made for the purpose."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import EngineConfig
from pipeline.engines.factory import create_engine
from pipeline.errors import EngineError, EngineUnavailableError, ModelFormatError
from pipeline.models.catalogue import ModelFiles
from tests.engines.conftest import picture

Settings = Callable[..., EngineConfig]
Command = Callable[..., list[str]]
Life = tuple[Path, Callable[[], None]]

SMALL_CAFFE = """
# As much of pycaffe as the worker uses. The "network" doubles its input; prints where C++ would.
import os, sys
import numpy
__version__ = "0.small"
TEST = 1
def set_mode_cpu():
    os.system("echo printed by a child to stdout")
class Blob(object):
    def __init__(self):
        self.data = numpy.zeros((1, 3, 8, 8), numpy.float32)
    def reshape(self, *shape):
        self.data = numpy.zeros(shape, numpy.float32)
class Net(object):
    inputs, outputs = ["data"], ["score"]
    def __init__(self, prototxt, caffemodel, phase):
        print("loading", prototxt)
        assert open(prototxt, "rb").read(5) == b"name:" and os.path.getsize(caffemodel) > 1000
        self.blobs = {"data": Blob()}
    def reshape(self):
        pass
    def forward(self):
        print("forward")
        data = self.blobs["data"].data
        if data.max() > 1000:
            sys.stderr.write("F1122 Check failed: too bright\\n")
            sys.stderr.flush()
            os.abort()
        if data.max() > 500:
            raise RuntimeError("bright")
        return {"score": data * 2}
"""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Make a command from the body of a Python script; it is given the worker's source and may ignore it."""

    def make(body: str) -> list[str]:
        path = tmp_path / "worker.py"
        path.write_text(textwrap.dedent(body), encoding="utf-8")
        return [sys.executable, str(path)]

    return make


@pytest.fixture
def small_caffe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "caffe.py").write_text(SMALL_CAFFE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    return [sys.executable]


def refusal(settings: EngineConfig, model: ModelFiles) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        create_engine(settings, model).load()
    return str(caught.value)


def test_arrays_go_there_and_back_and_prints_do_no_harm(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles
) -> None:
    engine = create_engine(settings("caffe", caffe={"command": small_caffe}), narrow_model)
    engine.load()
    for batch in (picture(8, 8, count=2), picture(5, 11), picture(8, 8)):
        assert np.array_equal(engine.predict(batch), batch * 2)
    assert engine.info.version.startswith("0.small on Python 3.")
    engine.close()
    engine.close()


def test_an_error_of_caffe_leaves_the_worker_alive(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles
) -> None:
    engine = create_engine(settings("caffe", caffe={"command": small_caffe}), narrow_model)
    engine.load()
    with pytest.raises(EngineError, match="RuntimeError: bright"):
        engine.predict(np.full((1, 3, 8, 8), 600, np.float32))
    with pytest.raises(EngineError, match="takes 3 channels, not 2"):
        engine.predict(picture(8, 8)[:, :2])
    assert np.array_equal(engine.predict(picture(8, 8)), picture(8, 8) * 2)
    engine.close()


def test_a_worker_that_dies_says_its_last_lines_and_is_started_anew(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles
) -> None:
    engine = create_engine(settings("caffe", caffe={"command": small_caffe}), narrow_model)
    engine.load()
    with pytest.raises(EngineError, match=r"died \(exit code -6\)[\s\S]*Check failed: too bright"):
        engine.predict(np.full((1, 3, 8, 8), 1200, np.float32))
    assert np.array_equal(engine.predict(picture(8, 8)), picture(8, 8) * 2)
    engine.close()


def test_interpreter_without_caffe(settings: Settings, narrow_model: ModelFiles) -> None:
    message = refusal(settings("caffe", caffe={"command": [sys.executable]}), narrow_model)
    assert "No module named 'caffe'" in message
    assert "make caffe" in message


def test_no_such_command(settings: Settings, narrow_model: ModelFiles) -> None:
    message = refusal(settings("caffe", caffe={"command": ["/nowhere/python3.9"]}), narrow_model)
    assert "engine.caffe.command: /nowhere/python3.9: cannot be started" in message


def test_worker_that_exits_at_once(command: Command, settings: Settings, narrow_model: ModelFiles) -> None:
    body = """
        import sys
        for number in range(30):
            print("line", number, file=sys.stderr)
        sys.exit(7)
    """
    message = refusal(settings("caffe", caffe={"command": command(body)}), narrow_model)
    assert "(exit code 7)" in message
    assert "line 29" in message
    assert "line 17" not in message


def test_worker_that_prints_rubbish(command: Command, settings: Settings, narrow_model: ModelFiles) -> None:
    body = """
        import sys, time
        print("Welcome to the cluster! Your quota is used up.", flush=True)
        time.sleep(60)
    """
    message = refusal(settings("caffe", caffe={"command": command(body)}), narrow_model)
    assert "it printed 'Welcome to the cluster!" in message


def test_worker_that_answers_rubbish(command: Command, settings: Settings, narrow_model: ModelFiles) -> None:
    body = """
        import sys, time
        sys.stdout.buffer.write(b"UNCROPC1" + b"HTML" + b"\\xff" * 8)
        sys.stdout.flush()
        time.sleep(60)
    """
    message = refusal(settings("caffe", caffe={"command": command(body)}), narrow_model)
    assert "sent b'HTML' and 18446744073709551615 bytes where HELO was due" in message


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A pipe that a worker opens, and a reader of it that comes back when nobody has it open any more."""
    path = tmp_path / "life"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait_for_its_end() -> None:
        os.set_blocking(reader, True)
        while os.read(reader, 100):
            pass

    yield path, wait_for_its_end
    os.close(reader)


POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a shell and named pipes")


@POSIX
@pytest.mark.parametrize("magic", ["", "UNCROPC1"])
def test_worker_that_hangs(
    magic: str, life: Life, command: Command, settings: Settings, narrow_model: ModelFiles
) -> None:
    path, wait_for_its_end = life
    body = f"""
        import signal, sys
        life = open({str(path)!r}, "wb", 0)
        life.write(b"begun")
        sys.stdout.write({magic!r})
        sys.stdout.flush()
        signal.pause()
    """
    caffe = {"command": command(body), "start_timeout_seconds": 2}
    message = refusal(settings("caffe", caffe=caffe), narrow_model)
    assert "did not answer within 2 seconds (engine.caffe.start_timeout_seconds)" in message
    wait_for_its_end()


@POSIX
@pytest.mark.parametrize("said", ["", "hello world"])
def test_a_worker_behind_a_shell_that_hangs(
    said: str, life: Life, settings: Settings, narrow_model: ModelFiles
) -> None:
    path, wait_for_its_end = life
    speaks = f"echo {said}" if said else "true"
    shell = ["sh", "-c", f"exec 3>{path}; printf begun >&3; ({speaks}; tail -f /dev/null); true"]
    message = refusal(settings("caffe", caffe={"command": shell, "start_timeout_seconds": 2}), narrow_model)
    assert ("printed 'hello world'" if said else "did not answer within 2 seconds") in message
    wait_for_its_end()


def test_worker_of_another_protocol(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.engines.caffe_worker.PROTOCOL", 99)
    message = refusal(settings("caffe", caffe={"command": small_caffe}), narrow_model)
    assert "speaks protocol 1, not 99" in message


def test_weights_under_other_names_are_refused(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles, tmp_path: Path
) -> None:
    text = narrow_model.prototxt.read_text(encoding="utf-8").replace("score_fr", "score_fr_r")
    (tmp_path / "renamed.prototxt").write_text(text, encoding="utf-8")
    model = replace(narrow_model, prototxt=tmp_path / "renamed.prototxt")
    with pytest.raises(ModelFormatError, match="no weights for score_fr_r of"):
        create_engine(settings("caffe", caffe={"command": small_caffe}), model).load()


@pytest.mark.parametrize(("old", "new"), [("upscore2", "upscore2_r"), ("upscore8", "upscore8_r")])
def test_a_deconvolution_under_another_name_is_refused(
    old: str, new: str, small_caffe: list[str], settings: Settings, narrow_model: ModelFiles, tmp_path: Path
) -> None:
    text = narrow_model.prototxt.read_text(encoding="utf-8").replace(old, new)
    (tmp_path / "renamed.prototxt").write_text(text, encoding="utf-8")
    model = replace(narrow_model, prototxt=tmp_path / "renamed.prototxt")
    with pytest.raises(ModelFormatError, match=f"no weights for {new} of"):
        create_engine(settings("caffe", caffe={"command": small_caffe}), model).load()


def test_the_worker_ends_with_its_engine(
    small_caffe: list[str], settings: Settings, narrow_model: ModelFiles
) -> None:
    before = children_of(os.getpid())
    engine = create_engine(settings("caffe", caffe={"command": small_caffe}), narrow_model)
    engine.load()
    children = children_of(os.getpid()) - before
    assert children
    engine.close()
    assert not children & children_of(os.getpid())


def children_of(pid: int) -> set[int]:
    import psutil

    return {child.pid for child in psutil.Process(pid).children()}
