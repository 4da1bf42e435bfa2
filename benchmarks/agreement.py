"""How far the scores of fast convolutions are from pycaffe's, on crops of photographs and random weights.

::

    python -m benchmarks.agreement --caffe-python .venv-caffe/bin/python
    python -m benchmarks.agreement --sizes 300 --weights heavy --photos data/samples

Weights are random in two ways: normal with He's deviation, as the benchmarks' FCN-8s has them, and
heavy-tailed (Student's t with 2.1 degrees of freedom, of which single weights are hundreds of times the usual
one). Printed for each network, and written: the largest difference of a score, as a share of the range of
pycaffe's scores on that crop; the pixels whose decision differs; and, of those, the largest distance of the
two scores that were compared, as a share of that range.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from landmarks.arrays import Float32Array
from pipeline.caffe_format.fcn8s import random_fcn8s
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import Config, EngineConfig, NetworkConfig
from pipeline.crop import FaceCrop, crop_face
from pipeline.engines.base import Engine
from pipeline.engines.factory import create_engine
from pipeline.files import path_argument
from pipeline.framing import face_box
from pipeline.images import read_photo
from pipeline.loading import load_finder
from pipeline.models.catalogue import resolve_model
from pipeline.network import FACE_CHANNEL, FaceNetwork

RESULTS = Path(__file__).with_name("results") / "agreement.json"
CLASSES = {500: 21, 300: 2}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is measured of one network over all crops; shares are of the range of scores on a crop."""

    size: int
    weights: str
    engine: str
    crops: int
    largest_score_share: float
    differing_pixels: int
    pixels: int
    largest_margin_share: float

    def __str__(self) -> str:
        return (
            f"{self.size}x{self.size}, {self.weights}: {self.engine}: scores within "
            f"{self.largest_score_share:.1e} of their range; {self.differing_pixels} of {self.pixels} pixels "
            f"of {self.crops} crops differ, their two scores at most {self.largest_margin_share:.1e} apart"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement", description="Fast convolutions against pycaffe."
    )
    parser.add_argument("--sizes", nargs="+", type=int, choices=sorted(CLASSES), default=sorted(CLASSES))
    parser.add_argument("--weights", nargs="+", choices=("he", "heavy"), default=["he", "heavy"])
    parser.add_argument(
        "--photos", type=path_argument, default=Path("data/samples"), help="folder of photographs"
    )
    parser.add_argument("--crops", type=int, default=8, help="crops of them that are compared")
    parser.add_argument("--width-divisor", type=int, default=1, help="narrower FCN-8s, for a quick look")
    parser.add_argument("--caffe-python", default=".venv-caffe/bin/python", help="interpreter with pycaffe")
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args(arguments)
    crops = crops_of(options.photos)[: options.crops]
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        for weights in options.weights:
            network = random_fcn8s(CLASSES[size], (size, size), width_divisor=options.width_divisor, seed=11)
            if weights == "heavy":
                network = heavy_tailed(network, seed=11)
            for agreement in compare(network, size, weights, crops, options.caffe_python):
                print(agreement, flush=True)
                rows.append(asdict(agreement))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": describe_machine(), "rows": rows}
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def crops_of(folder: Path) -> list[FaceCrop]:
    """Crops of the faces that the default configuration finds in a folder's photographs."""
    config = Config()
    finder = load_finder(config)
    crops = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            image = read_photo(str(path), max_pixels=config.input.max_pixels).pixels
            for face in finder.find(image):
                box = face_box(face.points, (image.shape[1], image.shape[0]), config.crop)
                crops.append(crop_face(image, box))
    return crops


def heavy_tailed(network: CaffeNetwork, seed: int) -> CaffeNetwork:
    """A network with weights of a Student's t distribution (2.1 degrees of freedom), as large as before."""
    rng = np.random.default_rng(seed)
    blobs = [
        [
            (rng.standard_t(2.1, blob.shape) * (blob.std() / 3)).astype(np.float32)
            if blob.ndim == 4
            else blob
            for blob in layer.blobs
        ]
        for layer in network.layers
    ]
    return network.with_blobs(blobs)


def compare(
    network: CaffeNetwork, size: int, weights: str, crops: Sequence[FaceCrop], caffe_python: str
) -> list[Agreement]:
    """Scores of ONNX Runtime, with plain and with fast convolutions, against pycaffe's."""
    with tempfile.TemporaryDirectory(prefix="uncrop-agreement-") as name:
        prototxt = Path(name, f"fcn8s_{size}.prototxt")
        write_caffe(network, prototxt, prototxt.with_suffix(".caffemodel"))
        settings: dict[str, dict[str, Any]] = {
            "caffe": {"name": "caffe", "caffe": {"command": [caffe_python]}},
            "plain convolutions": {"fast_convolutions": False},
            "fast convolutions": {"fast_convolutions": True},
        }
        scores = {
            kind: _scores(
                EngineConfig.model_validate({"cache_directory": name, **values}), prototxt, size, crops
            )
            for kind, values in settings.items()
        }
    expected = scores.pop("caffe")
    return [_agreement(size, weights, kind, found, expected) for kind, found in scores.items()]


def _scores(
    settings: EngineConfig, prototxt: Path, size: int, crops: Sequence[FaceCrop]
) -> list[Float32Array]:
    engine = create_engine(settings, resolve_model(NetworkConfig(model=str(prototxt))))
    engine.load()
    keeper = _Keeper(engine)
    FaceNetwork(keeper, (size, size), max_side_px=350, batch_size=1).scores(crops)
    engine.close()
    return keeper.scores


class _Keeper:
    """An engine whose scores are kept: (classes, height, width) each."""

    def __init__(self, engine: Engine) -> None:
        self.scores: list[Float32Array] = []
        self.info = engine.info
        self.load, self.close, self._predict = engine.load, engine.close, engine.predict

    def predict(self, batch: Float32Array) -> Float32Array:
        scores = self._predict(batch)
        self.scores.extend(scores)
        return scores


def _agreement(
    size: int, weights: str, kind: str, found: Sequence[Float32Array], expected: Sequence[Float32Array]
) -> Agreement:
    largest = margin = 0.0
    differing = 0
    face = FACE_CHANNEL[CLASSES[size]]
    for ours, theirs in zip(found, expected, strict=True):
        span = float(np.ptp(theirs))
        largest = max(largest, float(np.abs(ours - theirs).max()) / span)
        differs = (ours[0] < ours[face]) != (theirs[0] < theirs[face])
        differing += int(differs.sum())
        margin = max(margin, float(np.abs(theirs[0] - theirs[face])[differs].max(initial=0)) / span)
    pixels = sum(scores[0].size for scores in expected)
    return Agreement(size, weights, kind, len(found), largest, differing, pixels, margin)


if __name__ == "__main__":
    sys.exit(main())
