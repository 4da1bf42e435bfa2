"""Kill runs at random moments and resume them: ``python -m tests.kills photographs --kills 30``.

``python -m tests.kills clip --kills 10`` kills runs over a clip.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import Config
from pipeline.files import LEFTOVER_PREFIX
from pipeline.runner import run
from tests import stand_ins
from tests.stand_ins import tree, write_photo
from tests.video.clips import astronaut, pan, write_clip

ROOT = Path(__file__).parents[1]
PHOTOS_A_KILL = 3
SPARE_PHOTOS = 40
"""So many that no kill comes too late, however slowly the one who kills gets his turn."""


class Killed(ABC):
    """What a run that is killed is about. Paths are relative: its process runs in the test's folder."""

    name: str
    exit_code: int
    """Of a run that was not disturbed."""

    @abstractmethod
    def prepare(self, folder: Path, kills: int) -> None:
        """Make the inputs, so many that each kill finds work in hand."""

    @abstractmethod
    def progress(self, folder: Path) -> set[str]:
        """What has been done and is to outlive a kill."""

    @abstractmethod
    def enough(self, chance: random.Random) -> int:
        """How much more is to be done before the next kill."""

    @abstractmethod
    def settings(self) -> dict[str, dict[str, Any]]:
        """Configuration beside input, output and executor."""

    @abstractmethod
    def do(self, config: Config) -> int:
        """The run itself, in a process of its own; returns its exit code."""

    @abstractmethod
    def check(self, found: dict[str, bytes], kills: int) -> None:
        """Assert that everything is there."""


class Photographs(Killed):
    """Small photographs and a broken one, with stand-ins for the models."""

    name = "photographs"
    exit_code = 1

    def prepare(self, folder: Path, kills: int) -> None:
        for index in range(PHOTOS_A_KILL * kills + SPARE_PHOTOS):
            write_photo(folder / "in" / f"{index:03}.png", index)
        (folder / "in" / "broken.png").write_bytes(b"text")

    def progress(self, folder: Path) -> set[str]:
        path = folder / "out" / "manifest.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return {line.decode() for line in lines if line.endswith(b"\n")}

    def enough(self, chance: random.Random) -> int:
        return 1 + chance.randrange(PHOTOS_A_KILL)

    def settings(self) -> dict[str, dict[str, Any]]:
        return {"output": {"cutouts": True}}

    def do(self, config: Config) -> int:
        return run(config, factory=stand_ins.slow, model_hashes=stand_ins.no_models).exit_code

    def check(self, found: dict[str, bytes], kills: int) -> None:
        masks = [name for name in found if name.startswith("masks/")]
        assert len(masks) == PHOTOS_A_KILL * kills + SPARE_PHOTOS


class OneClip(Killed):
    """A clip in many chunks, with the real models."""

    name = "clip"
    exit_code = 0

    def prepare(self, folder: Path, kills: int) -> None:
        write_clip(folder / "in" / "a.mp4", pan(6 * kills + 8) + astronaut(6), sound=True)

    def progress(self, folder: Path) -> set[str]:
        work = folder / "out" / ".uncrop-clips"
        paths = work.rglob("*") if work.exists() else ()
        return {str(path) for path in paths if not path.name.startswith(".")}

    def enough(self, chance: random.Random) -> int:
        return chance.randrange(1, 4)

    def settings(self) -> dict[str, dict[str, Any]]:
        return {
            "output": {"crops": True},
            "video": {"chunk_frames": 4},
            "faces": {"min_confidence": 0.5},  # its tracks are judged, too
            "engine": {"threads": 1},
        }

    def do(self, config: Config) -> int:
        return run(config).exit_code

    def check(self, found: dict[str, bytes], kills: int) -> None:
        assert "masks/in/a.mp4.mkv" in found


KINDS: dict[str, Killed] = {kind.name: kind for kind in (Photographs(), OneClip())}


def config(kind: Killed, executor: str, output: str) -> Config:
    sections = kind.settings()
    sections["output"]["directory"] = output
    return Config.model_validate(
        {**sections, "input": {"paths": ["in"]}, "execution": {"executor": executor, "workers": 2}}
    )


def start(kind: Killed, folder: Path, executor: str, output: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.kills", kind.name, "--executor", executor, "--run", output]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})


def kill_and_resume(kind: Killed, folder: Path, executor: str, kills: int, seed: int) -> None:
    """Run until all is done, killed with work in hand; compare with an undisturbed run."""
    chance = random.Random(seed)
    kind.prepare(folder, kills)
    kept: set[str] = set()
    for number in range(kills):
        process = start(kind, folder, executor, "out")
        wanted = len(kind.progress(folder)) + kind.enough(chance)
        while len(kind.progress(folder)) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        assert process.wait() == -9, f"kill {number} came too late: the run had ended"
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, f"workers outlive their parent: {alive}"
        now = kind.progress(folder)
        assert kept <= now, f"work was lost: {sorted(kept - now)}"
        kept = now
    for name, output in ((executor, "out"), ("serial", "calm")):
        assert start(kind, folder, name, output).wait() == kind.exit_code
    found, expected = tree(folder / "out"), tree(folder / "calm")
    assert not [name for name in found if LEFTOVER_PREFIX in name]
    assert found == expected
    kind.check(found, kills)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--executor", default="process")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", metavar="OUTPUT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kind = KINDS[options.kind]
    if options.run:
        sys.exit(kind.do(config(kind, options.executor, options.run)))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        kill_and_resume(kind, Path(folder), options.executor, options.kills, options.seed)
        print(f"{options.kills} kills, {options.executor}: same bytes, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
