"""``engine.fast_convolutions``: who takes them, what is said of it, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import EngineConfig, NetworkConfig
from pipeline.engines.base import Engine
from pipeline.engines.factory import create_engine
from pipeline.engines.sessions import SPECIALISE_AFTER
from pipeline.models.catalogue import ModelFiles, resolve_model
from tests.engines.conftest import difference, picture

Settings = Callable[..., EngineConfig]


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Three layers, of which the second one is large enough."""
    rng = np.random.default_rng(5)
    layers = [Layer("data", "Input", [], ["data"], {"shape": (1, 3, 40, 40)})]
    for name, channels, outputs, size in (
        ("first", 3, 256, 3),
        ("second", 256, 256, 3),
        ("score", 256, 2, 1),
    ):
        weights = rng.standard_normal((outputs, channels, size, size), np.float32) / np.sqrt(channels * size)
        parameters = {"num_output": outputs, "kernel_size": size, "pad": size // 2}
        blobs = weights.astype(np.float32), rng.standard_normal(outputs, np.float32)
        layers.append(Layer(name, "Convolution", [layers[-1].tops[0]], [name], parameters, blobs))
    prototxt = tmp_path_factory.mktemp("wide") / "wide.prototxt"
    write_caffe(CaffeNetwork.from_layers(layers), prototxt, prototxt.with_suffix(".caffemodel"))
    return resolve_model(NetworkConfig(model=str(prototxt)))


def loaded(settings: EngineConfig, model: ModelFiles) -> Engine:
    engine = create_engine(settings, model)
    engine.load()
    return engine


def test_scores_and_what_is_said(wide_model: ModelFiles, settings: Settings, graph_folder: Path) -> None:
    fast = loaded(settings(), wide_model)
    plain = loaded(settings(fast_convolutions=False), wide_model)
    batch = picture(40, 40, count=3)
    assert difference(fast.predict(batch), plain.predict(batch)) < 1e-5
    assert not np.array_equal(fast.predict(batch), plain.predict(batch))
    assert (fast.info.fast_convolutions, plain.info.fast_convolutions) == (True, False)
    assert {path.name for path in graph_folder.glob("wide-*/40x40*.onnx")} == {
        "40x40.onnx",
        "40x40-fast.onnx",
    }


def test_a_batch_gives_what_its_pictures_give_alone(wide_model: ModelFiles, settings: Settings) -> None:
    engine = loaded(settings(), wide_model)
    batch = picture(40, 40, count=3)
    alone = np.concatenate([engine.predict(one) for one in np.split(batch, 3)])
    assert np.array_equal(engine.predict(batch), alone)


def test_another_size_gets_them_when_it_gets_its_own_session(
    wide_model: ModelFiles, settings: Settings
) -> None:
    engine = loaded(settings(), wide_model)
    batch = picture(33, 47)
    found = [engine.predict(batch) for _ in range(SPECIALISE_AFTER + 1)]
    assert np.array_equal(found[0], found[SPECIALISE_AFTER - 1])
    assert not np.array_equal(found[0], found[-1])
    assert difference(found[-1], found[0]) < 1e-5


def test_a_network_that_gains_nothing_is_left_as_it_is(narrow_model: ModelFiles, settings: Settings) -> None:
    fast, plain = loaded(settings(), narrow_model), loaded(settings(fast_convolutions=False), narrow_model)
    batch = picture(72, 72, count=2)
    assert np.array_equal(fast.predict(batch), plain.predict(batch))
    assert not fast.info.fast_convolutions


def test_openvino_does_without(wide_model: ModelFiles, settings: Settings) -> None:
    engine = loaded(settings("openvino"), wide_model)
    assert not engine.info.fast_convolutions
    assert (
        difference(engine.predict(picture(40, 40)), loaded(settings(), wide_model).predict(picture(40, 40)))
        < 1e-5
    )


def test_graphs_of_one_network_share_the_weights_that_are_not_transformed(
    wide_model: ModelFiles, settings: Settings, tmp_path: Path
) -> None:
    loaded(settings(cache_directory=str(tmp_path)), wide_model)
    loaded(settings(cache_directory=str(tmp_path), fast_convolutions=False), wide_model)
    sizes = sorted(path.stat().st_size for path in tmp_path.glob("wide-*/*.weights"))
    plain, transformed = 256 * 256 * 9 * 4, 256 * 256 * 36 * 4
    assert [size for size in sizes if size > 100_000] == [plain, transformed]
