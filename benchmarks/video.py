"""Clips against the plain photograph path on the same frames: ``python -m benchmarks.video``.

A portrait of data/samples is filmed by a moving camera; its frames are written as a clip and as JPEGs. Both
go through the same program with the same outputs, with one worker and with two. What starting costs is taken
out: rates are those between a shorter and a longer clip.
"""

from __future__ import annotations

import argparse
import json
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
from pipeline.video.writer import H264_PREVIEW, StreamWriter

RATE = Fraction(25)
SIZES_WH = {"720p": (1280, 720), "1080p": (1920, 1080)}


def main() -> None:
    """Run the benchmark and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs=2, default=(40, 160), metavar=("FEW", "MANY"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES_WH), choices=list(SIZES_WH))
    parser.add_argument("--out", type=path_argument, default=Path("benchmarks/results/video.json"))
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            for frames in options.frames:
                _film(Path(folder, size, str(frames)), SIZES_WH[size], frames)
            for workers in options.workers:
                rates = {
                    kind: _rate(Path(folder, size), kind, options.frames, workers)
                    for kind in ("photographs", "clip")
                }
                ratio = rates["clip"] / rates["photographs"]
                figures[f"{size}, {workers} worker(s)"] = {**rates, "ratio": round(ratio, 2)}
                print(
                    f"{size:>6} {workers} worker(s): {rates['photographs']:6.1f} photographs/s, "
                    f"{rates['clip']:6.1f} frames/s, {ratio:.2f} times",
                    flush=True,
                )
    report = {"machine": describe_machine(), "frames": list(options.frames), "figures": figures}
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _rate(folder: Path, kind: str, frames: tuple[int, int], workers: int) -> float:
    """Frames a second between the shorter and the longer clip."""
    seconds = []
    for count in frames:
        source = folder / str(count) / kind
        config = load_config(
            "configs/default.yaml",
            [f"execution.workers={workers}", "engine.threads=1"],
            {"input": {"paths": [str(source)]}, "output": {"directory": str(folder / f"out-{kind}-{count}")}},
        )
        began = time.perf_counter()
        summary = run(config, force=True)
        seconds.append(time.perf_counter() - began)
        if summary.exit_code:
            raise SystemExit(f"{source}: the run failed: {summary.counts}")
    return round((frames[1] - frames[0]) / (seconds[1] - seconds[0]), 2)


def _film(folder: Path, size_wh: tuple[int, int], frames: int) -> None:
    """Write a clip and the same frames as JPEGs."""
    photograph = read_photo("data/samples/obama.jpg", max_pixels=10**8).pixels
    clip, photographs = folder / "clip", folder / "photographs"
    clip.mkdir(parents=True)
    photographs.mkdir()
    with StreamWriter(clip / "clip.nut", H264_PREVIEW, size_wh, 1 / RATE, RATE) as writer:
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
