"""One engine on one network in a process of its own, for `benchmarks.engines`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.machine import peak_memory_bytes
from landmarks.arrays import Float32Array
from pipeline.config import EngineConfig, NetworkConfig
from pipeline.engines.factory import create_engine
from pipeline.errors import UncropError
from pipeline.models.catalogue import resolve_model

CHECKED_BATCHES = 2


def pictures(count: int, shape: tuple[int, int, int, int], seed: int = 1) -> list[Float32Array]:
    """Batches of smooth coloured noise in a photograph's range, minus the mean."""
    size, channels, height, width = shape
    coarse = np.random.default_rng(seed).uniform(-110, 140, (count, size, 9, 9, channels)).astype(np.float32)
    return [
        np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in batch])
        .transpose(0, 3, 1, 2)
        .copy()
        for batch in coarse
    ]


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Start the engine, predict for some seconds; scores of the first batches go to the file ``scores``.

    Returns
    -------
    dict
        ``seconds`` of every prediction; ``start_seconds`` until the first scores, less one prediction;
        ``peak_memory_bytes`` of the process that holds the network; ``info``; or only ``error``.
    """
    batches = pictures(CHECKED_BATCHES, tuple(task["shape"]))
    begin = time.perf_counter()
    try:
        model = resolve_model(NetworkConfig(model=task["model"]))
        engine = create_engine(EngineConfig.model_validate(task["settings"]), model)
        engine.load()
        scores = [engine.predict(batches[0])]
    except UncropError as error:
        return {"error": str(error)}
    first_scores = time.perf_counter() - begin
    scores += [engine.predict(batch) for batch in batches[1:]]
    seconds: list[float] = []
    while sum(seconds) < task["seconds"] or len(seconds) < 2:
        start = time.perf_counter()
        engine.predict(batches[len(seconds) % len(batches)])
        seconds.append(time.perf_counter() - start)
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    peak = max(peak_memory_bytes(process.pid) for process in processes)
    np.save(task["scores"], np.concatenate(scores))
    info = asdict(engine.info)
    engine.close()
    return {
        "seconds": seconds,
        "start_seconds": max(first_scores - statistics.median(seconds), 0.0),
        "peak_memory_bytes": peak,
        "info": info,
    }


if __name__ == "__main__":
    cv2.setNumThreads(1)
    print(json.dumps(measure(json.loads(sys.argv[1]))))
