"""Clips against the plain photograph path on the same frames: ``python -m benchmarks.video``.

A portrait of data/samples is filmed by a moving camera; its frames are written as a clip and as JPEGs. Both
go through the same program with the same outputs, with one worker and with two. What starting costs is taken
out: rates are those between a shorter and a longer clip, both of whole chunks. Where other programs share the
machine, processor time tells more than frames a second, and the best of some rounds more than one round.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine import describe_machine
from pipeline.config import load_config
from pipeline.files import path_argument
from pipeline.images import read_photo
from pipeline.runner import run
from pipeline.video.writer import Form, StreamWriter

RATE = Fraction(25)
FILM = Form("libx264", "yuv420p", ".nut", {"bf": "0", "crf": "22", "preset": "ultrafast"})
"""How the clip is coded: a key frame every 250 frames, as x264 does unless it is told otherwise."""

SIZES_WH = {"720p": (1280, 720), "1080p": (1920, 1080)}


def main() -> None:
    """Run the benchmark and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs=2, default=(240, 480), metavar=("FEW", "MANY"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1, help="of every run the best of so many counts")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES_WH), choices=list(SIZES_WH))
    parser.add_argument("--out", type=path_argument, default=Path("benchmarks/results/video.json"))
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            for frames in options.frames:
                film(Path(folder, size, str(frames)), SIZES_WH[size], frames)
            for workers in options.workers:
                figure = _compared(Path(folder, size), options.frames, workers, options.rounds)
                figures[f"{size}, {workers} worker(s)"] = figure
                alone = figures.get(f"{size}, 1 worker(s)", figure)["clip"]
                figure["times_one_worker"] = round(figure["clip"]["per_second"] / alone["per_second"], 2)
                print(f"{size:>6} {workers} worker(s): {_told(figure)}", flush=True)
    report = {
        "machine": describe_machine(),
        "frames": list(options.frames),
        "rounds": options.rounds,
        "figures": figures,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _compared(folder: Path, frames: tuple[int, int], workers: int, rounds: int) -> dict[str, Any]:
    """Rates of both, and how much quicker clips are: of every run the best of some rounds, taken by turns."""
    best = {(kind, count): (math.inf, math.inf) for kind in ("photographs", "clip") for count in frames}
    for _ in range(rounds):
        for (kind, count), before in best.items():
            seconds, cpu_seconds = _timed(folder, kind, count, workers)
            best[kind, count] = min(before[0], seconds), min(before[1], cpu_seconds)
    photographs, clip = (
        _rates(best[kind, frames[0]], best[kind, frames[1]], frames[1] - frames[0])
        for kind in ("photographs", "clip")
    )
    return {
        "photographs": photographs,
        "clip": clip,
        "ratio": round(clip["per_second"] / photographs["per_second"], 2),
        "cpu_ratio": round(photographs["cpu_ms"] / clip["cpu_ms"], 2),
    }


def _told(figure: dict[str, Any]) -> str:
    photographs, clip = figure["photographs"], figure["clip"]
    return (
        f"{photographs['per_second']:.1f} photographs/s, {clip['per_second']:.1f} frames/s, "
        f"{figure['ratio']:.2f} times; processor time {photographs['cpu_ms']:.1f} and "
        f"{clip['cpu_ms']:.1f} ms, {figure['cpu_ratio']:.2f} times; "
        f"{figure['times_one_worker']:.2f} times one worker's frames"
    )


def _timed(folder: Path, kind: str, count: int, workers: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of one run."""
    source = folder / str(count) / kind
    output = folder / f"out-{kind}-{count}"
    shutil.rmtree(output, ignore_errors=True)  # what a clip's first pass has found is used again
    config = load_config(
        "configs/default.yaml",
        [f"execution.workers={workers}", "engine.threads=1"],
        {"input": {"paths": [str(source)]}, "output": {"directory": str(output)}},
    )
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    summary = run(config, force=True)
    if summary.exit_code:
        raise SystemExit(f"{source}: the run failed: {summary.counts}")
    return time.perf_counter() - began, _cpu_seconds() - cpu_began


def _rates(few: tuple[float, float], many: tuple[float, float], more: int) -> dict[str, float]:
    """Frames a second, and processor time a frame, between the shorter and the longer clip."""
    return {
        "per_second": round(more / (many[0] - few[0]), 2),
        "cpu_ms": round(1000 * (many[1] - few[1]) / more, 2),
    }


def _cpu_seconds() -> float:
    """Processor time of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def film(folder: Path, size_wh: tuple[int, int], frames: int) -> None:
    """Write a clip and the same frames as JPEGs."""
    photograph = read_photo("data/samples/obama.jpg", max_pixels=10**8).pixels
    clip, photographs = folder / "clip", folder / "photographs"
    clip.mkdir(parents=True)
    photographs.mkdir()
    with StreamWriter(clip / "clip.nut", FILM, size_wh, 1 / RATE, RATE) as writer:
        for index in range(frames):
            at = 2 * np.pi * index / 100
            centre = (380 + 50 * np.sin(at), 260 + 20 * np.cos(2 * at))
            scale = size_wh[0] / (720 - 60 * np.cos(at))
            matrix = cv2.getRotationMatrix2D(centre, 6 * np.sin(at), scale)
            matrix[:, 2] += np.array(size_wh) / 2 - np.array(centre)
            picture = cv2.warpAffine(
                photograph, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            writer.write(index, picture)
            bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(photographs / f"{index:05}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])


if __name__ == "__main__":
    main()
