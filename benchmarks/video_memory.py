"""Whether the parent or a worker grows over a long clip: ``python -m benchmarks.video_memory --minutes 10``.

A few seconds of a filmed portrait are joined to a long clip at 720p, which one run does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.memory import Watch
from benchmarks.video import RATE, SIZES_WH, film
from pipeline.config import load_config
from pipeline.files import path_argument
from pipeline.runner import run
from pipeline.video.containers import import_av

RESULTS = Path(__file__).with_name("results") / "video_memory.json"
FILMED = 120
SETTLED_SECONDS = 60.0
LIMIT_MB = 30.0


def main() -> None:
    """Parse the arguments, run, print, and fail if memory grows beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    watch = _Sampled()
    with tempfile.TemporaryDirectory() as name:
        frames = _long_clip(Path(name), round(options.minutes * 60 * RATE))
        config = load_config(
            "configs/default.yaml",
            [f"execution.workers={options.workers}", "engine.threads=1"],
            {"input": {"paths": [f"{name}/long.mkv"]}, "output": {"directory": f"{name}/out"}},
        )
        with watch:
            summary = run(config)
    if summary.exit_code:
        raise SystemExit(f"the run failed: {summary.counts}")
    growth = watch.growth_mb()
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "frames": frames,
        "seconds": round(summary.seconds, 1),
        "growth_after_first_minute_mb": growth,
    }
    print(json.dumps(results, indent=2))
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if max(growth.values()) > LIMIT_MB:
        raise SystemExit(f"memory grows by more than {LIMIT_MB:g} MB: {growth}")


class _Sampled:
    """Resident memory of this process and its workers, noted every second."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._began = 0.0
        self._settled: dict[str, int] = {}

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def growth_mb(self) -> dict[str, float]:
        """How much more than after the first minute was ever held, MB, of the parent and of each worker."""
        if not self._settled:
            raise SystemExit("the run was over within a minute; give more --minutes")
        return {
            name: round(max(values[self._settled[name] :]) - values[self._settled[name] - 1], 1)
            for name, values in self._values().items()
            if name in self._settled
        }

    def _sample(self) -> None:
        while not self._over.wait(1):
            self._watch.note()
            if not self._settled and time.monotonic() - self._began >= SETTLED_SECONDS:
                self._settled = {name: len(values) for name, values in self._values().items()}
                self._watch.note()  # so that there is one after it

    def _values(self) -> dict[str, list[float]]:
        workers = {f"worker {pid}": values for pid, values in self._watch.workers_mb.items()}
        return {"parent": self._watch.parent_mb, **workers}


def _long_clip(folder: Path, frames: int) -> int:
    """Write ``long.mkv``, the same few seconds over and over; returns its number of frames."""
    av = import_av()
    film(folder, SIZES_WH["720p"], FILMED)
    written = 0
    with av.open(str(folder / "long.mkv"), "w") as target:
        stream: Any = None
        while written < frames:
            with av.open(str(folder / "clip" / "clip.nut")) as source:
                pictures = source.streams.video[0]
                stream = stream or target.add_stream_from_template(pictures)
                frame_units = int(Fraction(1, RATE) / pictures.time_base)
                for packet in source.demux(pictures):
                    if packet.size:
                        packet.pts = packet.dts = written * frame_units
                        packet.stream = stream
                        target.mux(packet)
                        written += 1
    return written


if __name__ == "__main__":
    main()
