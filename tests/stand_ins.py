"""Segmenters for tests of the runner and the executors; they are built in workers, so they are a module."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import Config
from pipeline.crop import crop_face
from pipeline.errors import EngineError, EngineUnavailableError, SegmentationError
from pipeline.results import FaceResult, PhotoResult, StageError
from pipeline.stages import Stages
from pipeline.uncrop import uncrop_mask

ORDERS = (
    "crash",
    "hang",
    "allocate",
    "exit",
    "kill",
    "raise",
    "segmentation",
    "partial",
    "crash once",
    "sleep",
    "uncrop",
    "wait",
)
"""What the top left pixel of a photograph (250, 5 + index, 250) makes `Obedient` do."""


class Bright:
    """Takes every pixel brighter than the photograph's middle grey in the middle box for face."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        height, width = image.shape[:2]
        box = Box(width // 4, height // 4, width - width // 2, height - height // 2)
        mask = np.zeros((box.height, box.width), np.uint8)
        crop = crop_face(image, box)
        mask[crop.pixels.mean(axis=2) > 127] = 255
        if not mask.any():
            return PhotoResult("no_face", np.zeros((height, width), np.uint8), timings={"landmarks": 0.0})
        points = np.arange(136, dtype=np.int32).reshape(68, 2) % min(height, width)
        landmarks = FaceLandmarks(points, Detection(box, 0.5, "middle"))
        face = FaceResult(landmarks, crop, mask, None, 0.75)
        instances = (uncrop_mask(mask, crop) > 0).astype(np.uint8)
        return PhotoResult("ok", instances, None, (face,), (), {"landmarks": 0.001})

    def describe(self) -> dict[str, Any]:
        return {"engine": {"name": "bright", "precision": "f32", "threads": self.config.engine.threads}}

    def close(self) -> None:
        return


class Obedient(Bright):
    """Does what the top left pixel of a photograph tells it to."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        red, green, blue = (int(value) for value in image[0, 0])
        index = green - 5
        if (red, blue) == (250, 250) and 0 <= index < len(ORDERS):
            result = self._obey(ORDERS[index], image, stages)
            if result is not None:
                return result
        return super().segment(image, stages)

    def _obey(self, order: str, image: NDArray[np.uint8], stages: Stages | None) -> PhotoResult | None:
        if order == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif order == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif order == "exit":
            os._exit(3)
        elif order == "hang":
            time.sleep(600)
        elif order == "allocate":
            hoard = np.ones(500_000_000 // 8)
            time.sleep(600)
            del hoard
        elif order == "raise":
            raise ZeroDivisionError("division by zero")
        elif order == "uncrop":
            with (stages or Stages()).stage("uncrop"):
                raise MemoryError
        elif order == "segmentation":
            raise SegmentationError("the network refused")
        elif order == "partial":
            whole = super().segment(image, stages)
            error = StageError("network", "EngineError", "one face failed")
            return PhotoResult("partial", whole.instances, None, whole.faces, (error,), whole.timings)
        elif order == "crash once":
            marker = Path(str(self.config.engine.cache_directory), "crashed")
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        elif order == "sleep":
            time.sleep(0.3)
        elif order == "wait":
            while not Path(str(self.config.engine.cache_directory), "go on").exists():
                time.sleep(0.01)
        return None


def bright(config: Config) -> Bright:
    return Bright(config)


def obedient(config: Config) -> Obedient:
    return Obedient(config)


def at_limit(config: Config) -> "AtLimit":
    return AtLimit(config)


def slow(config: Config) -> "Slow":
    return Slow(config)


def patient(config: Config) -> "Patient":
    return Patient(config)


def refusing(config: Config) -> "Refusing":
    return Refusing(config)


def unavailable(config: Config) -> Bright:
    raise EngineUnavailableError("device 'moon' is not there. Use engine.device: cpu")


def broken(config: Config) -> Bright:
    raise RuntimeError("the library cannot say more")


def dying(config: Config) -> Bright:
    os._exit(7)


def no_models(config: Config) -> Mapping[str, str]:
    return {"network": "0" * 64}


class AtLimit(Bright):
    """Says of every face that others like it were probably missed."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        result = super().segment(image, stages)
        return replace(result, at_limit=len(result.faces))


class Slow(Bright):
    """Takes a twentieth of a second a photograph."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        time.sleep(0.05)
        return super().segment(image, stages)


class Patient(Obedient):
    """Obeys, and takes a twentieth of a second a photograph."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        time.sleep(0.05)
        return super().segment(image, stages)


class Refusing(Bright):
    """Fails in its engine."""

    def segment(self, image: NDArray[np.uint8], stages: Stages | None = None) -> PhotoResult:
        raise EngineError("scores of a wrong shape")


def write_photo(
    path: Path, seed: int, *, order: str | None = None, size_wh: tuple[int, int] = (48, 40)
) -> Path:
    """A small PNG of coloured noise: bright for odd seeds (one face), dark for even ones (none)."""
    rng = np.random.default_rng(seed)
    low = 100 if seed % 2 else 0
    pixels = rng.integers(low, low + 120, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    if order is not None:
        pixels[0, 0] = (250, 5 + ORDERS.index(order), 250)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(pixels).save(file, "PNG")
    return path


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below an output directory; of the manifest all but the seconds; without run.json."""
    import json

    files = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name != "run.json":
            content = path.read_bytes()
            if name == "manifest.jsonl":
                records = [json.loads(line) for line in content.splitlines()]
                content = "\n".join(json.dumps({**record, "seconds": {}}) for record in records).encode()
            files[name] = content
    return files
