"""How long an export takes and how much memory, over many records.

::

    python -m benchmarks.exports
    python -m benchmarks.exports --records 90000 --sources clip --formats coco cvat \
        --output benchmarks/results/exports_clip.json
    python -m benchmarks.exports --records 20000 --formats coco yolo cvat label-studio voc huggingface csv \
        --sources instances --output benchmarks/results/exports_formats.json

The photographs have 640 x 480 pixels and one face each, but 1 in 1000 has 300. Masks come from the crops,
where a run has kept them (``output.crop_masks``), or from the instance maps; both are timed. Maps are coded
as a run codes them. Records share a few hundred files, so reading from the disk is not measured; decoding,
encoding and writing are. Memory is that of all processes of the export together, looked at ten times a
second. Of ``clip`` the records are the frames of one clip (90,000 are an hour at 25 a
second) with one face that walks; its map is a video as a run writes it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.machine import describe_machine
from pipeline.executors.children import family
from pipeline.files import path_argument
from pipeline.manifest.journal import MANIFEST_NAME, to_line
from pipeline.manifest.records import blank_record
from pipeline.output_pictures import encode_picture
from pipeline.video.joining import join_parts
from pipeline.video.writer import FFV1_GREY, StreamWriter

RESULTS = Path(__file__).with_name("results") / "exports.json"
SIZE_WH = (640, 480)
DISTINCT = 200
CROWD = 300
CROWD_EVERY = 1000
FORMATS = ("coco",)
SOURCES = ("crop_masks", "instances")
CLIP = "clip"
RATE = 25
REQUIRED_RECORDS = 100_000
WATCH_SECONDS = 0.1
SECONDS_LIMIT, MEMORY_LIMIT_MB = 60.0, 300.0


def main() -> None:
    """Parse the arguments, measure, print; fail where COCO goes beyond the limits."""
    parser = argparse.ArgumentParser(description="Time exports of many records.")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), metavar="FORMAT")
    parser.add_argument("--sources", nargs="+", choices=(*SOURCES, CLIP), default=list(SOURCES))
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "records": options.records,
        "size_wh": SIZE_WH,
    }
    for source in options.sources:
        with tempfile.TemporaryDirectory() as name:
            run = Path(name) / "out"
            if source == CLIP:
                results["faces"] = write_clip(run, options.records)
            else:
                results["faces"] = write_output(run, options.records, crop_masks=source == "crop_masks")
            results[source] = {}
            for kind in options.formats:
                results[source][kind] = measured(run, kind, options.records)
                print(source, kind, results[source][kind], flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for source in options.sources if options.records == REQUIRED_RECORDS else ():
        coco = results[source].get("coco")
        if coco and (coco["seconds"] > SECONDS_LIMIT or coco["peak_memory_mb"] > MEMORY_LIMIT_MB):
            raise SystemExit(f"too slow or too large from {source}: {coco}")


def write_output(run: Path, records: int, *, crop_masks: bool) -> int:
    """Write an output directory as a run leaves it; returns the number of faces."""
    for folder in ("instances", "crop_masks"):
        (run / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    kinds = [_photograph(run, f"{number}", rng, 1, crop_masks) for number in range(DISTINCT)]
    crowd = _photograph(run, "crowd", rng, CROWD, crop_masks)
    faces = 0
    with (run / MANIFEST_NAME).open("wb") as manifest:
        for number in range(records):
            entry = crowd if number % CROWD_EVERY == 0 else kinds[number % DISTINCT]
            name = f"photos/{number // 1000:05}/{number:08}.jpg"
            sha256 = hashlib.sha256(name.encode()).hexdigest()
            faces += len(entry["faces"])
            blank = blank_record(name=name, path=name, root="photos", digest="0" * 64, orientation="upright")
            manifest.write(to_line({**blank, "sha256": sha256, **entry}))
    (run / "run.json").write_text(json.dumps({"working_directory": "/photographs"}), encoding="ascii")
    return faces


def write_clip(run: Path, frames: int) -> int:
    """Write an output directory with one clip as a run leaves it; returns the number of faces."""
    for folder in ("instances", "tracks"):
        (run / folder).mkdir(parents=True)
    part, files = run / "part", {"instances": "instances/a.mkv", "tracks": "tracks/a.jsonl"}
    width, height = SIZE_WH
    pace = Fraction(1, RATE)
    with (
        StreamWriter(part, FFV1_GREY, SIZE_WH, pace, 1 / pace) as stream,
        (run / files["tracks"]).open("w", encoding="ascii") as lines,
    ):
        for index in range(frames):
            x, y = 150 + index % (width - 300), 150 + index // 7 % (height - 300)
            numbers = np.zeros((height, width), np.uint8)
            cv2.ellipse(numbers, (x, y), (80, 100), 10, 0, 360, (1,), -1)
            stream.write(index, numbers)
            box = [x - 110, y - 110, 220, 220]
            line = {
                "frame": index,
                "pts": index,
                "track": 0,
                "box_xywh": box,
                "turn": 0,
                "detection": {"box_xywh": box, "score": 0.9, "detector": "blazeface"},
                "landmarks": [[x + 0.25, y - 34 + point] for point in range(68)],
                "score": 0.98,
                "confidence": 0.9731,
                "landmark_quality": 0.9126,
                "area_px": 25_000,
            }
            lines.write(json.dumps(line) + "\n")
    join_parts([part], run / files["instances"], container="matroska")
    part.unlink()
    track = {"track": 0, "first_frame": 0, "last_frame": frames - 1, "seen": frames, "filled": 0}
    clip = {
        **{"frames": frames, "decoded": frames, "with_faces": frames, "seconds": frames / RATE},
        **{"time_base": [1, RATE], "cuts": [], "seen": frames, "filled": 0, "missed": 0},
        **{"tracks": [track], "undecoded": []},
    }
    blank = blank_record(name="a", path="a.mp4", root="photos", digest="0" * 64, orientation="upright")
    shape = {"size_wh": SIZE_WH, "stored_size_wh": SIZE_WH, "stored_orientation": 1}
    record = {**blank, "status": "ok", "sha256": "0" * 64, **shape, "files": files, "clip": clip}
    (run / MANIFEST_NAME).write_bytes(to_line(record))
    (run / "run.json").write_text(json.dumps({"working_directory": "/photographs"}), encoding="ascii")
    return frames


def _photograph(
    run: Path, name: str, rng: np.random.Generator, count: int, crop_masks: bool
) -> dict[str, Any]:
    """The mask files of a photograph, and what is the same in all of its records."""
    width, height = SIZE_WH
    numbers = np.zeros((height, width), np.uint16 if count > 255 else np.uint8)
    faces = []
    for number in range(1, count + 1):
        radius = 10 if count > 1 else int(rng.integers(40, 110))
        x = 16 + 30 * (number % 20) if count > 1 else int(rng.integers(radius, width - radius))
        y = 16 + 30 * (number // 20) if count > 1 else int(rng.integers(radius, height - radius))
        painted = np.zeros((height, width), np.uint8)
        axes = (radius * 4 // 5, radius)
        cv2.ellipse(painted, (x, y), axes, float(rng.integers(-20, 20)), 0, 360, (1,), -1)
        numbers[painted > 0] = number
        box = [x - radius - 5, y - radius - 5, 2 * radius + 10, 2 * radius + 10]
        files = {}
        if crop_masks:
            files["crop_masks"] = f"crop_masks/{name}_{number}.png"
            padded = np.pad(painted, radius + 5)
            crop = padded[y : y + box[3], x : x + box[2]] * np.uint8(255)
            (run / files["crop_masks"]).write_bytes(encode_picture(".png", crop))
        points = rng.integers(-radius // 2, radius // 2, (68, 2)) + np.array([x, y])
        faces.append(
            {
                "number": number,
                "box_xywh": box,
                "turn_degrees": 0,
                "detection": {"box_xywh": [x, y, 9, 9], "score": 0.9, "detector": "blazeface"},
                "landmarks": points.tolist(),
                "score": 0.98,
                "confidence": 0.9731,
                "landmark_quality": 0.9126,
                "area_px": int(painted.sum()),
                "files": files,
            }
        )
    (run / f"instances/{name}.png").write_bytes(encode_picture(".png", numbers))
    return {
        "status": "ok",
        "format": "JPEG",
        "size_wh": list(SIZE_WH),
        "stored_size_wh": list(SIZE_WH),
        "stored_orientation": 1,
        "faces": faces,
        "files": {"instances": f"instances/{name}.png"},
        "seconds": {"total": 0.1},
    }


def memory_mb(pid: int) -> float:
    """What a process and its children hold in memory; what they share counts once."""
    total = 0
    for member in family(pid):
        try:
            total += member.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def measured(run: Path, kind: str, records: int) -> dict[str, float]:
    """Seconds, peak memory and size of one export as a command of its own; all records must be in it."""
    command = [sys.executable, "-m", "pipeline", "export", str(run), "--to", kind, "--images", "none"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak_mb = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak_mb = max(peak_mb, memory_mb(process.pid))
        time.sleep(WATCH_SECONDS)
    _, status, usage = ended
    seconds = time.perf_counter() - start
    said = process.stdout.read() if process.stdout else ""
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not said.startswith(
        (f"{records} photographs", f"0 photographs, {records} frames")
    ):
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}, {said}")
    size = sum(path.stat().st_size for path in (run / "exports" / kind).rglob("*") if path.is_file())
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mb": round(peak_mb, 1),
        "megabytes": round(size / 1e6, 1),
    }


if __name__ == "__main__":
    main()
