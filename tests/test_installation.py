"""Built, installed into an empty environment and used in a folder elsewhere, as a user has it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples" / "group.jpg"
PARTS = ("configs", "data/models", "docs", "landmarks", "pipeline")
"""Folders of the checkout that a build reads; the files beside them it reads all."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from the sdist."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "downloads")
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", ".", cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    return source / "dist"


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with the packages of this one behind it; a folder of programs."""
    folder = tmp_path_factory.mktemp("environment")
    assert run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder).returncode == 0
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages,) = folder.rglob("site-packages")
    (packages / "packages_of_the_tests.pth").write_text("\n".join(ours), encoding="utf-8")
    (wheel,) = built.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    done = run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    shutil.copy(SAMPLE, tmp_path / "photo.jpg")
    return tmp_path


def checkout_files(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "downloads" not in path.parts
    }


def test_the_wheel_holds_the_program_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    moved = {"configs/": "pipeline/shipped/configs/", "data/models/": "pipeline/shipped/models/"}
    expected = checkout_files("landmarks", "pipeline")
    for old, new in moved.items():
        expected |= {name.replace(old, new, 1) for name in checkout_files(old)}
    assert held == expected
    assert {"pipeline/py.typed", "landmarks/py.typed"} <= held


def test_the_sdist_holds_what_the_wheel_is_made_of_and_how_it_is_used(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert checkout_files("landmarks", "pipeline", "configs", "data/models") <= held
    assert {"LICENSE", "README.md", "run_pipeline.py", "requirements.lock", "setup.py"} <= held


def test_the_command_does_a_photograph_in_any_folder(environment: Path, elsewhere: Path) -> None:
    command = (environment / "uncrop", "run", "--input", "photo.jpg", "--output", "out", "--workers", "1")
    done = run(*command, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "1 with faces" in done.stderr
    assert (elsewhere / "out" / "masks" / "photo.jpg.png").is_file()
    done = run(environment / "uncrop", "manifest", "summary", "out", cwd=elsewhere)
    assert (done.returncode, "\n1 photograph, " in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("start", [("uncrop",), ("python", "-m", "pipeline")])
def test_help_names_every_subcommand(start: tuple[str, ...], environment: Path, elsewhere: Path) -> None:
    done = run(environment / start[0], *start[1:], "--help", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    for name in ("run", "models", "manifest", "evaluate"):
        assert re.search(rf"^ +{name} ", done.stdout, re.MULTILINE), done.stdout


def test_a_network_that_is_missing_is_fetched_by_the_command_that_was_typed(
    environment: Path, elsewhere: Path
) -> None:
    program, own = environment / "uncrop", {"XDG_DATA_HOME": str(elsewhere)}
    arguments = ("--input", "photo.jpg", "--set", "network.model=fcn8s_500")
    done = run(program, "run", *arguments, cwd=elsewhere, **own)
    assert done.returncode == 2
    assert f"{elsewhere / 'uncrop' / 'models' / 'fcn8s_500'}: the weights of fcn8s_500" in done.stderr
    assert "Run `uncrop models fetch fcn8s_500`" in done.stderr
    verified = run(program, "models", "verify", cwd=elsewhere, **own)
    assert (verified.returncode, verified.stdout) == (0, "uncrop_256: ok\n"), verified.stderr


def readme_blocks() -> list[str]:
    """The Python blocks of the README."""
    return re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("block", readme_blocks())
def test_python_of_the_readme_runs(block: str, environment: Path, elsewhere: Path) -> None:
    done = run(environment / "python", "-W", "error", "-c", block, cwd=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok" in done.stdout


def test_the_readme_shows_python() -> None:
    assert any("PhotoSegmenter" in block for block in readme_blocks())


def test_training_is_not_installed(environment: Path, elsewhere: Path) -> None:
    done = run(environment / "python", "-c", "import training", cwd=elsewhere)
    assert "No module named 'training'" in done.stderr
