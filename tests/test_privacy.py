"""Nothing leaves the machine, and nothing but the program's own cache is written in the user's home folder.

Whole runs in processes of their own, with a new home folder, each call that would reach another machine
refused and written down by a library that is loaded before the C library: compiled code is heard as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
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
