"""Kill runs over a clip at random moments and resume them: ``python -m tests.video.kills --kills 10``."""

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
from pipeline.runner import run
from tests.stand_ins import tree
from tests.video.clips import astronaut, pan, write_clip

ROOT = Path(__file__).parents[2]


def config(executor: str, output: str) -> Config:
    """Paths are relative, so this is for a process that runs in the test's folder."""
    return Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": output, "crops": True},
            "video": {"chunk_frames": 4},
            "engine": {"threads": 1},
            "execution": {"executor": executor, "workers": 2},
        }
    )


def start(folder: Path, executor: str, output: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.video.kills", "--executor", executor, "--run", output]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})


def files(folder: Path) -> set[str]:
    work = folder / "out" / ".uncrop-clips"
    return (
        {str(path) for path in work.rglob("*") if not path.name.startswith(".")} if work.exists() else set()
    )


def kill_and_resume(folder: Path, executor: str, kills: int, seed: int) -> None:
    """Run until the clip is done, killed while parts of it are in hand; compare with an undisturbed run."""
    chance = random.Random(seed)
    write_clip(folder / "in" / "a.mp4", pan(6 * kills + 8) + astronaut(6), sound=True)
    kept: set[str] = set()
    for number in range(kills):
        process = start(folder, executor, "out")
        wanted = len(files(folder)) + chance.randrange(1, 4)
        while len(files(folder)) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        assert process.wait() == -9, f"kill {number} came too late: the run had ended"
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, f"workers outlive their parent: {alive}"
        now = files(folder)
        assert kept <= now, f"work was lost: {sorted(kept - now)}"
        kept = now
    for name, output in ((executor, "out"), ("serial", "calm")):
        assert start(folder, name, output).wait() == 0
    found, expected = tree(folder / "out"), tree(folder / "calm")
    assert "masks/in/a.mp4.mkv" in found
    assert found == expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", default="process")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", metavar="OUTPUT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        sys.exit(run(config(options.executor, options.run)).exit_code)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        kill_and_resume(Path(folder), options.executor, options.kills, options.seed)
        print(f"{options.kills} kills, {options.executor}: same bytes, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
