"""Kill a run at random moments and resume it: ``python -m tests.kills --executor process --kills 30``."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pipeline.config import Config
from pipeline.files import LEFTOVER_PREFIX
from pipeline.runner import run
from tests import stand_ins
from tests.stand_ins import tree, write_photo

ROOT = Path(__file__).parents[1]
PHOTOS_A_KILL = 3


def config(executor: str, output: str) -> Config:
    """Paths are relative, so this is for a process that runs in the test's folder."""
    return Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": output, "cutouts": True},
            "execution": {"executor": executor, "workers": 2},
        }
    )


def start(folder: Path, executor: str, output: str = "out") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.kills", "--executor", executor, "--run", output]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})


def lines(folder: Path) -> int:
    path = folder / "out" / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_and_resume(folder: Path, executor: str, kills: int, seed: int) -> None:
    """Run until all is done, killed with photographs in hand; compare with an undisturbed run."""
    chance = random.Random(seed)
    photos = PHOTOS_A_KILL * kills + 40  # so many that none of the kills comes too late
    for index in range(photos):
        write_photo(folder / "in" / f"{index:03}.png", index)
    (folder / "in" / "broken.png").write_bytes(b"text")
    for number in range(kills):
        before = lines(folder)
        process = start(folder, executor)
        wanted = before + chance.randrange(PHOTOS_A_KILL)
        while lines(folder) <= wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.06))
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        assert process.wait() == -9, f"kill {number} came too late: the run had ended"
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, f"workers outlive their parent: {alive}"
    for name, output in ((executor, "out"), ("serial", "calm")):
        assert start(folder, name, output).wait() == 1  # the broken one
    found, expected = tree(folder / "out"), tree(folder / "calm")
    assert not [name for name in found if LEFTOVER_PREFIX in name]
    assert found == expected
    assert len([name for name in found if name.startswith("masks/")]) == photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", default="process")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", metavar="OUTPUT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        settings = config(options.executor, options.run)
        sys.exit(run(settings, factory=stand_ins.slow, model_hashes=stand_ins.no_models).exit_code)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        kill_and_resume(Path(folder), options.executor, options.kills, options.seed)
        print(f"{options.kills} kills, {options.executor}: same bytes, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
