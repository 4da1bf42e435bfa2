"""Engines x networks x precision x threads, against pycaffe in the same run.

::

    python -m benchmarks.engines --caffe-python .venv-caffe/bin/python
    python -m benchmarks.engines --width-divisor 8 --rounds 1     # a quick look whether everything works

Every variant runs in a process of its own (`benchmarks.engine_child`), one after the other, in several
rounds, so that a slow minute of the machine hits all of them. FCN-8s has random weights: the released ones
are the same work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import NetworkConfig
from pipeline.environment import usable_cores
from pipeline.errors import ModelMissingError
from pipeline.files import path_argument
from pipeline.models.catalogue import resolve_model
from pipeline.network import FACE_CHANNEL

RESULTS = Path(__file__).with_name("results") / "engines.json"


@dataclass(frozen=True, slots=True)
class Case:
    """A network and the size of its input.

    Attributes
    ----------
    network
        ``fcn8s_500``, ``fcn8s_300`` or ``uncrop_256``.
    shape_hw
        Height and width of one input in pixels.
    batch
        Pictures a prediction.
    """

    network: str
    shape_hw: tuple[int, int]
    batch: int = 1

    def __str__(self) -> str:
        height, width = self.shape_hw
        return f"{self.network} {height}x{width}" + (f" x{self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True, slots=True)
class Variant:
    """An engine as it is configured."""

    engine: str
    precision: str
    threads: int
    fast_convolutions: bool = False

    def __str__(self) -> str:
        fast = ", fast convolutions" if self.fast_convolutions else ""
        return f"{self.engine} {self.precision}{fast}, {self.threads} thread{'s' if self.threads > 1 else ''}"


CASES = (
    Case("fcn8s_500", (500, 500)),
    Case("fcn8s_500", (280, 350)),
    Case("fcn8s_300", (300, 300)),
    Case("uncrop_256", (256, 256)),
    Case("uncrop_256", (256, 256), 8),
)
ENGINES = (
    ("caffe", "f32", False),
    ("onnxruntime", "f32", False),
    ("onnxruntime", "f32", True),
    ("openvino", "f32", False),
    ("openvino", "bf16", False),
)
"""Engine, precision, and whether ``engine.fast_convolutions`` is on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines", description="Engines against pycaffe."
    )
    parser.add_argument("--networks", nargs="+", choices=sorted({case.network for case in CASES}))
    parser.add_argument("--engines", nargs="+", choices=sorted({name for name, *_ in ENGINES}))
    parser.add_argument("--threads", nargs="+", type=int, default=[usable_cores()])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="time spent predicting, a variant and round"
    )
    parser.add_argument("--width-divisor", type=int, default=1, help="narrower FCN-8s, for a quick look")
    parser.add_argument("--caffe-python", default=".venv-caffe/bin/python", help="interpreter with pycaffe")
    parser.add_argument("--models", type=path_argument, help="folder to keep the random FCN-8s in")
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    parser.add_argument(
        "--keep", action="store_true", help="keep the rows that the output has of other networks"
    )
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if options.networks is None or case.network in options.networks]
    variants = [
        Variant(engine, precision, threads, fast)
        for threads in options.threads
        for engine, precision, fast in ENGINES
        if options.engines is None or engine in options.engines
    ]
    with tempfile.TemporaryDirectory(prefix="uncrop-benchmark-") as scratch:
        folder = (options.models or Path(scratch)).resolve()
        machine = describe_machine()
        rows = _kept(options.output, cases, machine["processor"]) if options.keep else []
        report = {"machine": machine, "options": _plain(options), "rows": rows}
        for case in cases:
            model = _prepare(case.network, folder, options.width_divisor)
            if model is None:
                print(f"{case.network}: its files are not there, left out", file=sys.stderr)
                continue
            rows += measure(case, variants, model, Path(scratch), options)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report))
    return 0


def measure(
    case: Case, variants: Sequence[Variant], model: str, scratch: Path, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Run every variant on one case, round by round; a row each, compared with pycaffe of as many threads."""
    runs: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for number in range(options.rounds):
        for variant in variants:
            print(f"round {number + 1}: {case}, {variant}", file=sys.stderr)
            runs[variant].append(_run_child(case, variant, model, scratch, options))
    rows = []
    for variant, results in runs.items():
        row: dict[str, Any] = {"case": str(case), **asdict(case), **asdict(variant)}
        failed = [result["error"] for result in results if "error" in result]
        if failed:
            rows.append(row | {"error": failed[0]})
            continue
        times = [seconds / case.batch for result in results for seconds in result["seconds"]]
        quartiles = statistics.quantiles(times, n=4)
        measured: dict[str, Any] = {
            "seconds_a_face": statistics.median(times),
            "seconds_quartiles": [quartiles[0], quartiles[2]],
            "predictions": len(times),
            "first_start_seconds": results[0]["start_seconds"],
            "start_seconds": statistics.median(result["start_seconds"] for result in results[1:] or results),
            "peak_memory_bytes": max(result["peak_memory_bytes"] for result in results),
            "peak_memory_later_bytes": max(result["peak_memory_bytes"] for result in results[1:] or results),
            "info": results[0]["info"],
        }
        rows.append(row | measured)
    for row, variant in zip(rows, variants, strict=True):
        base = next((r for r in rows if r["engine"] == "caffe" and r["threads"] == variant.threads), None)
        if base is not None and "error" not in base and "error" not in row:
            row["times_caffe"] = base["seconds_a_face"] / row["seconds_a_face"]
            reference = Variant("caffe", "f32", variant.threads)
            row.update(_compare(_scores_path(scratch, variant), _scores_path(scratch, reference)))
    return rows


def table(report: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "network and input | engine | seconds a face (quartiles) | pycaffe / it | start, first start (s) "
        "| peak memory (GB) | score difference / range | mask pixels that differ",
        "--- | --- | --- | --- | --- | --- | --- | ---",
    ]
    for row in report["rows"]:
        fast = row.get("fast_convolutions", False)
        name = f"{row['case']} | {Variant(row['engine'], row['precision'], row['threads'], fast)}"
        if "error" in row:
            lines.append(f"{name} | not here: {row['error'].splitlines()[0]} | | | | |")
            continue
        low, high = row["seconds_quartiles"]
        ratio = f"{row['times_caffe']:.2f}" if "times_caffe" in row else ""
        share = f"{row['score_difference_share']:.1e}" if "score_difference_share" in row else ""
        pixels = f"{row['mask_pixels']} of {row['mask_pixels_of']}" if "mask_pixels" in row else ""
        lines.append(
            f"{name} | {row['seconds_a_face']:.3f} ({low:.3f}-{high:.3f}) | {ratio} | "
            f"{row['start_seconds']:.1f}, {row['first_start_seconds']:.1f} | "
            f"{row['peak_memory_bytes'] / 1e9:.2f} | {share} | {pixels}"
        )
    return "\n".join(lines)


def _kept(path: Path, cases: Sequence[Case], processor: str) -> list[dict[str, Any]]:
    """Rows of an earlier report about other networks, if that was made on the same processor."""
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if earlier["machine"]["processor"] != processor:
        raise SystemExit(f"{path}: was made on {earlier['machine']['processor']}, this is {processor}")
    networks = {case.network for case in cases}
    return [row for row in earlier["rows"] if row["network"] not in networks]


def _plain(options: argparse.Namespace) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in ("caffe_python", "models", "output", "keep")
    }


def _prepare(network: str, folder: Path, width_divisor: int) -> str | None:
    """Value of network.model; None if the network is not there. Random FCN-8s are written once."""
    if network == "uncrop_256":
        try:
            return resolve_model(NetworkConfig(model=network)).name
        except ModelMissingError:
            return None
    classes, size = (21, 500) if network == "fcn8s_500" else (2, 300)
    prototxt = folder / f"{network}_{width_divisor}.prototxt"
    if not prototxt.with_suffix(".caffemodel").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        random = random_fcn8s(classes, (size, size), width_divisor=width_divisor, seed=7)
        write_caffe(random, prototxt, prototxt.with_suffix(".caffemodel"))
    return str(prototxt)


def _scores_path(scratch: Path, variant: Variant) -> Path:
    fast = "-fast" if variant.fast_convolutions else ""
    return scratch / f"{variant.engine}-{variant.precision}{fast}-{variant.threads}.npy"


def _run_child(
    case: Case, variant: Variant, model: str, scratch: Path, options: argparse.Namespace
) -> dict[str, Any]:
    task = {
        "model": model,
        "shape": [case.batch, 3, *case.shape_hw],
        "settings": {
            "name": variant.engine,
            "precision": variant.precision,
            "threads": variant.threads,
            "fast_convolutions": variant.fast_convolutions,
            "cache_directory": str(scratch / f"cache-{variant.engine}-{variant.fast_convolutions}"),
            "caffe": {"command": [options.caffe_python]},
        },
        "seconds": options.seconds,
        "scores": str(_scores_path(scratch, variant)),
    }
    command = [sys.executable, "-m", "benchmarks.engine_child", json.dumps(task)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _compare(found_path: Path, expected_path: Path) -> dict[str, Any]:
    """Scores and masks of two variants on the same pictures."""
    found, expected = np.load(found_path, mmap_mode="r"), np.load(expected_path, mmap_mode="r")
    face = FACE_CHANNEL[expected.shape[1]]
    differing = (found[:, 0] < found[:, face]) != (expected[:, 0] < expected[:, face])
    largest = float(np.abs(found - expected).max())
    return {
        "score_difference": largest,
        "score_range": [float(expected.min()), float(expected.max())],
        "score_difference_share": largest / float(np.ptp(expected)),
        "mask_pixels": int(differing.sum()),
        "mask_pixels_of": int(differing.size),
    }


if __name__ == "__main__":
    sys.exit(main())
