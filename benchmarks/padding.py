"""How much time the padding saving saves: FCN-8s as a plain and as a specialised graph, in one run.

    python -m benchmarks.padding --size 500 --threads 2 --repeats 7

Both graphs run on ONNX Runtime in f32, alternately, so that whatever else the machine does meets both alike.
Printed are the arithmetic, seconds a picture, their ratio (median and quartiles over the pairs), the same in
CPU seconds, where the time goes, and the largest difference of scores.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.machine import describe_machine
from landmarks.arrays import Float32Array
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.padding import count_work, write_specialised

_STAGE = re.compile(r"(conv|pool|fc)(\d)|(score|upscore|fuse)")


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(description="Time FCN-8s with and without the padding saving.")
    parser.add_argument("--size", type=int, default=500, help="height and width in pixels")
    parser.add_argument("--classes", type=int, default=2, help="channels of the scores")
    parser.add_argument("--threads", type=int, default=2, help="threads of ONNX Runtime")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of runs")
    parser.add_argument("--batch", type=int, default=1, help="pictures in a run")
    parser.add_argument("--width-divisor", type=int, default=1, help="divides all channels, for a quick try")
    args = parser.parse_args()
    size_hw = args.size, args.size
    network = random_fcn8s(args.classes, size_hw, width_divisor=args.width_divisor, seed=1)
    work = count_work(network, *size_hw)
    print(f"machine: {json.dumps(describe_machine())}")
    print(f"FCN-8s {args.size}x{args.size}, {args.classes} classes, f32")
    print(f"batches of {args.batch}, {args.threads} threads, {args.repeats} pairs of runs")
    counts = f"{work.plain / 1e9:.1f} -> {work.specialised / 1e9:.1f} GMAC a picture"
    print(f"arithmetic: {counts}, {work.ratio:.3f}x less")
    with tempfile.TemporaryDirectory() as folder:
        plain, fast = Path(folder, "plain.onnx"), Path(folder, "fast.onnx")
        network.to_onnx(plain)
        start = time.perf_counter()
        write_specialised(network, *size_hw, fast, threads=args.threads)
        print(f"specialising took {time.perf_counter() - start:.1f} s")
        del network
        sessions = [_session(path, args.threads, Path(folder)) for path in (plain, fast)]
        batch = np.random.default_rng(0).uniform(-128, 128, (args.batch, 3, *size_hw)).astype(np.float32)
        scores = [_run(session, batch)[2] for session in sessions]
        difference = np.abs(scores[0] - scores[1]).max()
        mask_pixels = int((scores[0].argmax(1) != scores[1].argmax(1)).sum())
        times = np.array([[_run(session, batch)[:2] for session in sessions] for _ in range(args.repeats)])
        for number, name in enumerate(("wall", "CPU")):
            seconds = times[:, :, number] / args.batch
            low, ratio, high = np.percentile(seconds[:, 0] / seconds[:, 1], (25, 50, 75))
            medians = np.median(seconds, axis=0)
            print(
                f"{name} seconds a picture: plain {medians[0]:.3f}, specialised {medians[1]:.3f}, "
                f"ratio {ratio:.3f} (quartiles {low:.3f} to {high:.3f})"
            )
        print(
            f"largest score difference {difference:.3g} = {difference / np.ptp(scores[0]):.1e} of the range, "
            f"{mask_pixels} mask pixels differ"
        )
        profiles = [_profile(session) for session in sessions]
    print("milliseconds a run by stage, plain and specialised (mean of all runs):")
    runs = args.repeats + 1
    for stage in sorted(set(profiles[0]) | set(profiles[1])):
        before, after = (profile.get(stage, 0.0) / runs / 1000 for profile in profiles)
        print(f"  {stage:<8} {before:8.1f} {after:8.1f}")


def _session(path: Path, threads: int, folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # CPU seconds are then work, not waiting
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / path.stem)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, batch: Float32Array) -> tuple[float, float, Float32Array]:
    wall, cpu = time.perf_counter(), time.process_time()
    scores: Float32Array = session.run(None, {"data": batch})[0]
    return time.perf_counter() - wall, time.process_time() - cpu, scores


def _profile(session: ort.InferenceSession) -> dict[str, float]:
    """Microseconds of all operators by stage of the network."""
    events = json.loads(Path(session.end_profiling()).read_text())
    totals: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            match = _STAGE.match(event["name"])
            stage = (
                "other" if match is None else f"conv{match[2]}" if match[1] in {"conv", "pool"} else match[0]
            )
            totals["scores" if stage in {"score", "upscore", "fuse"} else stage] += event["dur"]
    return totals


if __name__ == "__main__":
    main()
