"""What bfloat16 does to masks, on any CPU: every weight and every layer's output rounded to it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from pipeline.caffe_format import load_caffe
from pipeline.config import Config, EngineConfig, NetworkConfig
from pipeline.crop import FaceCrop
from pipeline.engines.factory import create_engine
from pipeline.errors import EngineError
from pipeline.models.catalogue import ModelFiles, resolve_model
from pipeline.network import FaceNetwork
from pipeline.photo import PhotoSegmenter

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
MOST_CHANGED = 0.002
"""Share of the mask pixels of real crops that bfloat16 may change."""


class RoundedNetwork:
    """The embedded network with every value between two layers rounded to bfloat16, computed in float32."""

    def __init__(self, model: ModelFiles) -> None:
        graph = load_caffe(model.prototxt, model.caffemodel).to_onnx_model()
        rounded_graph(graph)
        onnx.checker.check_model(graph)
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def predict(self, batch: Float32Array) -> Float32Array:
        name = self._session.get_inputs()[0].name
        return np.asarray(self._session.run(None, {name: batch})[0], np.float32)


def rounded_graph(model: onnx.ModelProto) -> None:
    """Put casts to bfloat16 and back behind every input, weight and node, in place."""
    graph = model.graph
    floats = [item.name for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
    sources = [graph.input[0].name, *floats]
    nodes = list(graph.node)
    result = graph.output[0].name
    rounded = {name: f"{name}/rounded" for name in [*sources, *(node.output[0] for node in nodes)]}
    del graph.node[:]
    for name in sources:
        add_casts(graph, name, rounded[name])
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = rounded.get(name, name)
        graph.node.append(node)
        if node.output[0] != result:
            add_casts(graph, node.output[0], rounded[node.output[0]])


def add_casts(graph: onnx.GraphProto, name: str, rounded: str) -> None:
    graph.node.append(onnx.helper.make_node("Cast", [name], [f"{name}/bf16"], to=onnx.TensorProto.BFLOAT16))
    graph.node.append(onnx.helper.make_node("Cast", [f"{name}/bf16"], [rounded], to=onnx.TensorProto.FLOAT))


@pytest.fixture(scope="module")
def crops() -> list[FaceCrop]:
    """Every face of the sample photographs."""
    segmenter = PhotoSegmenter.from_config(Config())
    found = []
    for path in sorted(SAMPLES.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert picture is not None
        image = np.ascontiguousarray(picture[:, :, ::-1], np.uint8)
        found += [face.crop for face in segmenter.segment(image).faces]
    segmenter.close()
    assert len(found) >= 10
    return found


def masks(engine: object, crops: list[FaceCrop]) -> NDArray[np.bool_]:
    network = FaceNetwork(engine, (256, 256))  # type: ignore[arg-type]
    return np.stack([scores.margin for scores in network.scores(crops)]) > 0


def exact_masks(crops: list[FaceCrop], model: ModelFiles, settings: EngineConfig) -> NDArray[np.bool_]:
    engine = create_engine(settings, model)
    engine.load()
    try:
        return masks(engine, crops)
    finally:
        engine.close()


def test_rounding_to_bfloat16_changes_hardly_a_mask_pixel(crops: list[FaceCrop]) -> None:
    model = resolve_model(NetworkConfig(model="uncrop_256"))
    exact = exact_masks(crops, model, EngineConfig(name="onnxruntime"))
    changed = np.mean(exact != masks(RoundedNetwork(model), crops))
    assert 0 < changed < MOST_CHANGED


def test_openvino_in_bfloat16_changes_hardly_a_mask_pixel(crops: list[FaceCrop]) -> None:
    model = resolve_model(NetworkConfig(model="uncrop_256"))
    exact = exact_masks(crops, model, EngineConfig(name="onnxruntime"))
    try:
        found = exact_masks(crops, model, EngineConfig(name="openvino", precision="bf16"))
    except EngineError as error:
        pytest.skip(f"this machine does not compute in bf16: {error}")
    assert np.mean(exact != found) < MOST_CHANGED
