"""Whether the parent or a worker grows over many photographs.

::

    python -m benchmarks.memory --photos 3000 --workers 2
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import describe_machine
from benchmarks.megapixels import write_photographs
from pipeline.config import Config
from pipeline.executors.worker import Outcome
from pipeline.files import path_argument
from pipeline.run_events import RunEvents
from pipeline.runner import run
from pipeline.summary import RunSummary

RESULTS = Path(__file__).with_name("results") / "memory.json"
DISTINCT = 40
SETTLED = 100
PARENT_LIMIT_MB = 20.0
WORKER_LIMIT = 1.10


class Watch:
    """Notes resident memory of this process and its workers as photographs get done."""

    def __init__(self) -> None:
        self.parent_mb: list[float] = []
        self.workers_mb: defaultdict[int, list[float]] = defaultdict(list)
        self._process = psutil.Process()

    def note(self) -> None:
        """Note the memory of now."""
        self.parent_mb.append(self._process.memory_info().rss / 1e6)
        for child in self._process.children():
            try:
                if "resource_tracker" not in " ".join(child.cmdline()):
                    self.workers_mb[child.pid].append(child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue


def main() -> None:
    """Parse the arguments, run, print, and fail if memory grows beyond the limits."""
    parser = argparse.ArgumentParser(description="Watch the memory of a long run.")
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        summary = watched_run(Path(name), options.photos, options.workers, watch)
    parent = watch.parent_mb
    workers = {
        str(pid): {"after_100": round(values[SETTLED - 1], 1), "largest": round(max(values), 1)}
        for pid, values in watch.workers_mb.items()
        if len(values) > SETTLED
    }
    if not workers:
        raise SystemExit(f"no worker did more than {SETTLED} photographs; give more with --photos")
    growth = max(parent[SETTLED:]) - parent[SETTLED - 1]
    ratio = max(worker["largest"] / worker["after_100"] for worker in workers.values())
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "photos": summary.total,
        "counts": dict(summary.counts),
        "seconds": round(summary.seconds, 1),
        "parent_growth_mb": round(growth, 2),
        "workers_mb": workers,
        "largest_worker_ratio": round(ratio, 4),
    }
    print(json.dumps(results, indent=2))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if growth > PARENT_LIMIT_MB or ratio > WORKER_LIMIT:
        raise SystemExit(f"memory grows: parent by {growth:.1f} MB, a worker {ratio:.3f}x")


def watched_run(folder: Path, photos: int, workers: int, watch: Watch) -> RunSummary:
    """Do many photographs, the same few over and over under different names."""
    distinct, many = folder / "distinct", folder / "many"
    distinct.mkdir()
    many.mkdir()
    sources = write_photographs(distinct, DISTINCT, (640, 480))
    for index in range(photos):
        shutil.copyfile(sources[index % DISTINCT], many / f"{index:06}.jpg")
    config = Config.model_validate(
        {
            "input": {"paths": [str(many)]},
            "output": {"directory": str(folder / "out")},
            "execution": {"workers": workers},
        }
    )

    class Noted(RunEvents):
        def done(self, outcome: Outcome, status: str) -> None:
            if outcome.record is not None:
                watch.note()

    return run(config, events=Noted())


if __name__ == "__main__":
    main()
