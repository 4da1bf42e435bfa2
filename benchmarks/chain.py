"""The whole chain from file to files: workers against each other, and against a plain loop with FCN-8s.

::

    python -m benchmarks.chain --caffe-python .venv-caffe/bin/python     # both parts
    python -m benchmarks.chain workers                                   # two workers against one
    python -m benchmarks.chain loop --photos 300 --loop-photos 8

The plain loop is what the task takes without this program: ``cv2.imread``, dlib's HOG detector on the full
photograph, its 68 landmarks, the crop of `find_face_landmarks`, FCN-8s at 500x500 in pycaffe, the mask
resized and pasted. FCN-8s has random weights: the released ones are the same work. Without
``--caffe-python`` its place is taken by ONNX Runtime, and the results say so. Parts are measured alternately,
in rounds, so that a slow minute of the machine meets all of them; ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from benchmarks.megapixels import write_photographs
from landmarks.bbox import bbox_from_landmarks
from landmarks.predictor import predictor_path
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import Config, EngineConfig, NetworkConfig, load_config
from pipeline.engines.base import Engine
from pipeline.engines.factory import create_engine
from pipeline.executors.process import ProcessExecutor
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, WorkerSettings
from pipeline.files import path_argument
from pipeline.loading import model_hashes
from pipeline.manifest.digest import result_digest
from pipeline.models.catalogue import resolve_model
from pipeline.photo import PhotoSegmenter

RESULTS = Path(__file__).with_name("results") / "chain.json"
MEAN_BGR = np.array((104.00698793, 116.66876762, 122.67891434), np.float32)
NETWORK_SIZE_PX = 500
PHOTO_SIZE_WH = (1160, 864)


def main() -> None:
    """Parse the arguments, measure, print and write the results."""
    parser = argparse.ArgumentParser(description="Time the whole chain.")
    parser.add_argument("part", nargs="?", choices=("all", "workers", "loop"), default="all")
    parser.add_argument(
        "--photos", type=int, default=200, help="photographs of one megapixel for the program"
    )
    parser.add_argument("--loop-photos", type=int, default=5, help="photographs a round for the plain loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--caffe-python", metavar="PATH", help="an interpreter that can import caffe")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the program's config"
    )
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": describe_machine(), "photo_size_wh": PHOTO_SIZE_WH}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        photos = write_photographs(folder / "photos", options.photos, PHOTO_SIZE_WH)
        if options.part in ("all", "workers"):
            results["workers"] = compare_workers(photos, folder, options.rounds, options.set)
        if options.part in ("all", "loop"):
            results["loop"] = compare_with_loop(photos, folder, options)
    print(json.dumps(results, indent=2))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def compare_workers(
    photos: Sequence[Path], folder: Path, rounds: int, overrides: Sequence[str]
) -> dict[str, Any]:
    """Photographs a second with one worker and with two, each with one thread."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, found in rates.items():
            config = make_config(folder, [*overrides, f"execution.workers={workers}", "engine.threads=1"])
            found.append(steady_rate(config, photos))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "photos": len(photos),
        "photos_a_second": {
            str(workers): [round(rate, 2) for rate in found] for workers, found in rates.items()
        },
        "ratio": round(statistics.median(ratios), 3),
    }


def compare_with_loop(photos: Sequence[Path], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Photographs a second of the program as configured, and of the plain loop."""
    prototxt = folder / "fcn8s.prototxt"
    network = random_fcn8s(2, (NETWORK_SIZE_PX, NETWORK_SIZE_PX), seed=1)
    write_caffe(network, prototxt, prototxt.with_suffix(".caffemodel"))
    del network
    settings: dict[str, Any] = {"name": "onnxruntime"}
    if options.caffe_python:
        settings = {"name": "caffe", "caffe": {"command": [options.caffe_python]}}
    engine = create_engine(
        EngineConfig.model_validate(settings), resolve_model(NetworkConfig(model=str(prototxt)))
    )
    engine.load()
    loop = PlainLoop(engine)
    loop.segment(photos[0])
    ours: list[float] = []
    plain: list[float] = []
    for index in range(options.rounds):
        first = index * options.loop_photos
        chosen = [photos[(first + offset) % len(photos)] for offset in range(options.loop_photos)]
        start = time.perf_counter()
        for photo in chosen:
            loop.segment(photo)
        plain.append(len(chosen) / (time.perf_counter() - start))
        ours.append(steady_rate(make_config(folder, options.set), photos))
    info = engine.info
    engine.close()
    ratios = [our / theirs for our, theirs in zip(ours, plain, strict=True)]
    return {
        "photos": len(photos),
        "loop_photos": options.loop_photos * options.rounds,
        "loop_engine": f"{info.name} {info.version} {info.precision}, {info.threads} threads",
        "loop_is_pycaffe": info.name == "caffe",
        "program_photos_a_second": [round(rate, 2) for rate in ours],
        "loop_photos_a_second": [round(rate, 4) for rate in plain],
        "loop_mean_seconds": {name: round(total / loop.photos, 4) for name, total in loop.seconds.items()},
        "ratio": round(statistics.median(ratios), 2),
    }


class PlainLoop:
    """One photograph after the other, as anyone would write it first.

    Parameters
    ----------
    engine
        Runs FCN-8s; loaded.
    """

    def __init__(self, engine: Engine) -> None:
        self.seconds = {"imread": 0.0, "hog": 0.0, "landmarks": 0.0, "network": 0.0, "paste": 0.0}
        self.photos = 0
        self._engine = engine
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(predictor_path(None)))

    def segment(self, path: Path) -> NDArray[np.uint8]:
        """Return the full-frame mask, (H, W) uint8, of all faces."""
        self.photos += 1
        with self._timed("imread"):
            bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if bgr is None:
                raise FileNotFoundError(path)
            rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        mask = np.zeros(rgb.shape[:2], np.uint8)
        with self._timed("hog"):
            faces = self._detector(rgb, 0)
        for face in faces:
            with self._timed("landmarks"):
                points = np.array([(point.x, point.y) for point in self._predictor(rgb, face).parts()])
            x, y, width, height = (int(v) for v in bbox_from_landmarks(points, (rgb.shape[1], rgb.shape[0])))
            with self._timed("network"):
                square = (NETWORK_SIZE_PX, NETWORK_SIZE_PX)
                crop = cv2.resize(bgr[y : y + height, x : x + width], square, interpolation=cv2.INTER_CUBIC)
                batch = (crop.astype(np.float32) - MEAN_BGR).transpose(2, 0, 1)[None]
                scores = self._engine.predict(np.ascontiguousarray(batch))
            with self._timed("paste"):
                decided = np.where(scores[0, 0] < scores[0, 1], 255, 0).astype(np.uint8)
                small = cv2.resize(decided, (width, height), interpolation=cv2.INTER_NEAREST)
                part = mask[y : y + height, x : x + width]
                np.maximum(part, small.astype(np.uint8), out=part)
        return mask

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


def make_config(folder: Path, overrides: Sequence[str]) -> Config:
    """The default configuration with keys set as a run's ``--set`` does; results go below ``folder``."""
    return load_config(None, overrides, {"output": {"directory": str(folder / "out")}})


def steady_rate(config: Config, photos: Sequence[Path]) -> float:
    """Photographs a second, from file to files, after the first two a worker (models are loaded)."""
    executor = ProcessExecutor(config)
    started = 2 * executor.workers
    if len(photos) <= started:
        raise SystemExit(f"more than {started} photographs are needed; give more with --photos")
    times: list[float] = []
    for outcome in outcomes(config, executor, photos):
        if outcome.record is None or outcome.record["status"] == "failed":
            raise RuntimeError(f"a photograph failed: {outcome.record}")
        times.append(time.perf_counter())
    return (len(times) - started) / (times[-1] - times[started - 1])


def outcomes(config: Config, executor: ProcessExecutor, photos: Sequence[Path]) -> Iterator[Outcome]:
    """Do photographs as the runner does, without a manifest."""
    engine = config.engine.model_copy(update={"threads": executor.threads})
    settings = WorkerSettings(
        config.model_copy(update={"engine": engine}),
        PhotoSegmenter.from_config,
        result_digest(config, model_hashes(config)),
        str(Path.cwd()),
    )
    tasks = (Task(str(photo), str(photo.parent), f"{index}") for index, photo in enumerate(photos))
    with closing(executor.run(settings, tasks)) as found:  # type: ignore[type-var]
        yield from found


if __name__ == "__main__":
    main()
