"""A small file system that really fills up, and one that really is read-only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError, OutputError
from pipeline.files import LEFTOVER_PREFIX
from pipeline.runner import run
from tests import stand_ins
from tests.stand_ins import tree, write_photo

PHOTOS = 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A memory disk of 128 KiB."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def do(folder: Path, output: Path, executor: str) -> None:
    config = Config.model_validate(
        {
            "input": {"paths": [str(folder / "in")]},
            "output": {"directory": str(output)},
            "execution": {"executor": executor, "workers": 1},
        }
    )
    run(config, factory=stand_ins.bright, model_hashes=stand_ins.no_models)


@pytest.mark.parametrize("executor", ["serial", "process"])
def test_full_disk(tmp_path: Path, small_disk: Path, executor: str) -> None:
    for index in range(PHOTOS):
        write_photo(tmp_path / "in" / f"{index:02}.png", index, size_wh=(120, 100))
    output = small_disk / "out"
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device\. Free some space"):
        do(tmp_path, output, executor)
    left = tree(output)
    assert not [name for name in left if LEFTOVER_PREFIX in name]
    do(tmp_path, tmp_path / "calm", "serial")
    calm = tree(tmp_path / "calm")
    whole = {name: content for name, content in left.items() if name != "manifest.jsonl"}
    assert 0 < len(whole) < len(calm)
    assert all(calm[name] == content for name, content in whole.items())
    assert set(left["manifest.jsonl"].splitlines()) < set(calm["manifest.jsonl"].splitlines())
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    do(tmp_path, output, executor)
    assert tree(output) == calm


def test_read_only_disk(tmp_path: Path, small_disk: Path) -> None:
    write_photo(tmp_path / "in" / "1.png", 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ConfigError, match=r"output\.directory: .*cannot be written: Read-only file system"):
        do(tmp_path, small_disk / "out", "serial")
