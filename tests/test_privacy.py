"""Nothing leaves the machine, and nothing but the program's own cache is written in the user's home folder.

Whole runs in processes of their own, with a new home folder, each call that would reach another machine
refused and written down by a library that is loaded before the C library: compiled code is heard as well.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from landmarks import privacy

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "samples" / "grace_hopper.jpg"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("gcc") is None,
        reason="PRIVACY IS NOT TESTED: gcc on Linux is needed to build the recorder of connections",
    ),
]

API = """
from pipeline import PhotoSegmenter, load_config
import numpy as np
from PIL import Image
config = load_config({config!r}, {settings!r})
segmenter = PhotoSegmenter.from_config(config)
with Image.open({sample!r}) as photo:
    assert segmenter.segment(np.asarray(photo.convert("RGB"))).faces
segmenter.close()
"""

LANDMARKS = """
import numpy as np
from PIL import Image
from landmarks.blazeface import BlazeFace
with Image.open({sample!r}) as photo:
    assert BlazeFace().find_at_all_sizes(np.asarray(photo.convert("RGB")), 256, threshold=0.5)
"""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Watched:
    """Runs Python as a user with a new home folder would, without what hides a library's habits in CI."""

    def __init__(self, folder: Path, recorder: Path) -> None:
        self.folder, self.home, self.log = folder, folder / "home", folder / "connections"
        self.home.mkdir()
        hidden = ("CI", "TF_BUILD", "GITHUB_ACTIONS", *privacy.ENVIRONMENT)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in hidden and not name.startswith(("XDG_", "HF_", "RAY_", "ORT_"))
        }
        self.environment = {
            **kept,
            "HOME": str(self.home),
            "LD_PRELOAD": str(recorder),
            "UNCROP_TEST_CONNECTIONS": str(self.log),
            "PYTHONPATH": str(ROOT),
        }

    def python(self, *arguments: str | Path) -> None:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def connections(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    def written(self) -> set[str]:
        """Files in the home folder, each by the first two names of its path."""
        files = (path.relative_to(self.home) for path in self.home.rglob("*") if not path.is_dir())
        return {"/".join(file.parts[:2]) for file in files}


@pytest.fixture
def watched(tmp_path: Path, recorder: Path) -> Watched:
    return Watched(tmp_path, recorder)


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def sources() -> Iterator[Path]:
    """All Python files of the checkout: not what is hidden (but CI's own), built or installed."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(
            name
            for name in folders
            if (not name.startswith(".") or name == ".ci")
            and name not in ("build", "dist", "output", "shared")
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def entry_points() -> dict[str, Path]:
    """Every module that is run by itself (``python -m NAME``), by its name, and its file."""
    files = [file for file in sources() if any(map(_is_main_guard, ast.parse(file.read_text("utf-8")).body))]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}


ENTRY_POINTS = entry_points()
ALONE = {"check_output": {"numpy", "PIL"}, "caffe_worker": {"caffe", "numpy"}}
"""Entry points that load nothing of ours, by file name; all they load beside the standard library."""

ENTER = """
import importlib.abc, os, runpy, sys
from landmarks_privacy_values import BLOCKED, ENVIRONMENT, REPORTERS
def is_off():
    return all(os.environ.get(k) == v for k, v in ENVIRONMENT.items()) and all(
        name in sys.modules and sys.modules[name] is None for name in BLOCKED)
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        assert name not in REPORTERS or is_off(), f"{name} is loaded before its reports are switched off"
sys.meta_path.insert(0, Watch())
assert not is_off()
runpy.run_module({name!r}, run_name="entry", alter_sys=True)
assert is_off(), "nothing has switched reports off"
"""


def needs(module: str) -> pytest.MarkDecorator:
    packages = Path(sysconfig.get_path("platlib"))
    return pytest.mark.skipif(not (packages / module).is_dir(), reason=f"{module} is not installed")


@pytest.mark.parametrize(
    "settings",
    [
        ("execution.executor=serial",),
        ("execution.executor=process", "execution.workers=1", "detector.rescue=always"),
        pytest.param(("execution.executor=process", "engine.name=openvino"), marks=needs("openvino")),
        pytest.param(("execution.executor=ray", "execution.workers=1"), marks=needs("ray")),
    ],
    ids=["serial", "process", "openvino", "ray"],
)
def test_a_run_reaches_nobody_and_writes_nothing_but_the_cache(
    settings: tuple[str, ...], watched: Watched
) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    watched.python(ROOT / "run_pipeline.py", "--input", SAMPLE, "--output", "out", *options)
    assert list((watched.folder / "out" / "masks").rglob("*.png"))
    assert watched.connections() == []
    assert watched.written() == {".cache/uncrop"}


@pytest.mark.parametrize("settings", [[], pytest.param(["engine.name=openvino"], marks=needs("openvino"))])
def test_the_api_reaches_nobody(settings: list[str], watched: Watched) -> None:
    config = str(ROOT / "configs" / "default.yaml")
    watched.python("-c", API.format(config=config, settings=settings, sample=str(SAMPLE)))
    assert watched.connections() == []
    assert watched.written() == {".cache/uncrop"}


def test_landmarks_alone_reach_nobody(watched: Watched) -> None:
    watched.python("-c", LANDMARKS.format(sample=str(SAMPLE)))
    assert (watched.connections(), watched.written()) == ([], set())


@pytest.mark.parametrize("package", ["landmarks", "pipeline", "training", "benchmarks"])
def test_every_package_switches_reports_off_first(package: str, watched: Watched) -> None:
    text = f"import os, sys; import {package}; from landmarks import privacy as p\n"
    text += "assert {name: os.environ[name] for name in p.ENVIRONMENT} == p.ENVIRONMENT\n"
    text += "assert all(sys.modules[name] is None for name in p.BLOCKED)\n"
    text += "assert not {'onnxruntime', 'openvino', 'ray', 'torch', 'cv2'} & set(sys.modules)"
    watched.python("-c", text)


@pytest.mark.parametrize("name", [name for name, file in ENTRY_POINTS.items() if file.stem not in ALONE])
def test_every_entry_point_switches_reports_off_first(name: str, watched: Watched) -> None:
    values = f"BLOCKED, ENVIRONMENT = {privacy.BLOCKED!r}, {privacy.ENVIRONMENT!r}\n"
    values += "REPORTERS = {'datasets', 'fiftyone', 'huggingface_hub', 'onnxruntime', 'openvino', 'ray'}\n"
    (watched.folder / "landmarks_privacy_values.py").write_text(values)
    loads_torch = "torch" in ENTRY_POINTS[name].read_text("utf-8") or name.startswith("training.")
    if loads_torch and not (Path(sysconfig.get_path("platlib")) / "torch").is_dir():
        pytest.skip("torch is not installed")
    watched.python("-c", ENTER.format(name=name))
    assert (watched.connections(), watched.written()) == ([], set())


@pytest.mark.parametrize("name", [name for name, file in ENTRY_POINTS.items() if file.stem in ALONE])
def test_entry_points_that_stand_alone_load_nothing_that_reports(name: str) -> None:
    file = ENTRY_POINTS[name]
    loaded: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            loaded |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            loaded.add((node.module or "").partition(".")[0])
    assert loaded - sys.stdlib_module_names == ALONE[file.stem]


@needs("fastapi")
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["review", "out", "--no-browser"]])
def test_pages_reach_nobody(command: list[str], watched: Watched) -> None:
    watched.python("-m", "pipeline", "run", "--input", SAMPLE, "--output", "out", "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command],
        cwd=watched.folder,
        env=watched.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+)(\S*)", process.stderr.readline())
        assert found
        if command[0] == "serve":
            request = urllib.request.Request(f"{found[1]}/segment", SAMPLE.read_bytes(), {"Content-Type": ""})
        else:
            request = urllib.request.Request("".join(found.groups()))
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0
    assert watched.connections() == []
    assert watched.written() == {".cache/uncrop"}


def test_images_are_entered_where_that_is_tested() -> None:
    for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines():
        if not line.startswith("ENTRYPOINT"):
            continue
        words = json.loads(line.removeprefix("ENTRYPOINT"))
        if "-m" in words:
            name = f"{words[words.index('-m') + 1]}.__main__"
            assert name in ENTRY_POINTS
        else:
            (script,) = (word for word in words if word.endswith(".py"))
            assert Path(script).stem in {file.stem for file in ENTRY_POINTS.values()}


def test_tests_switch_reports_off_first(watched: Watched) -> None:
    (watched.folder / "test_it.py").write_text(
        "import os\nfrom landmarks import privacy\n\n\ndef test_it():\n"
        "    assert privacy.ENVIRONMENT.items() <= os.environ.items()\n"
    )
    (watched.folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text("utf-8"))
    watched.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")


def test_the_recorder_hears_python_and_compiled_code(watched: Watched) -> None:
    text = "import socket\n"
    text += "for call in (lambda: socket.create_connection(('192.0.2.1', 80), 1),\n"
    text += "             lambda: socket.getaddrinfo('example.invalid', 80),\n"
    text += "             lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'.', ('192.0.2.1', 53))):\n"
    text += "    try:\n        call()\n    except OSError:\n        continue\n"
    text += "    raise SystemExit('not refused')\n"
    watched.python("-c", text)
    heard = [line.split(maxsplit=1)[1] for line in watched.connections()]
    assert heard == ["connect 192.0.2.1", "getaddrinfo example.invalid", "sendto 192.0.2.1"]
