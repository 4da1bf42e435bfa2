"""The names of detectors and landmark models, and how a new one is added."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from landmarks import registry
from landmarks.arrays import Pixels
from landmarks.base import SearchSettings
from landmarks.finder import FaceFinder, model_files
from landmarks.geometry import Box, Detection
from landmarks.predictor import predictor_path
from landmarks.registry import DETECTORS, create_detector, create_landmark_model, detector_files


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_loads_finds_nothing_in_nothing_and_names_its_files(name: str) -> None:
    assert (
        create_detector(name, SearchSettings(cnn_max_side_px=90)).find(np.zeros((64, 48, 3), np.uint8)) == []
    )
    assert all(path.is_file() for path in detector_files(name))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="detector: one of joint, blazeface, centerface, hog, cnn is expected, got 'x'"
    ):
        create_detector("x", SearchSettings())
    with pytest.raises(ValueError, match="landmark model: one of dlib is expected"):
        create_landmark_model("x", Path("x"))


def test_a_detector_of_ones_own_is_a_class_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Middle:
        def __init__(self, settings: SearchSettings) -> None:
            self.scale = 2**settings.upsample

        def find(self, image: Pixels) -> list[Detection]:
            return [Detection(Box(10, 20, 30 * self.scale, 30), 0.5, "middle", 90.0)]

        @staticmethod
        def model_files() -> list[Path]:
            return []

    module: Any = ModuleType("a_detector_of_ones_own")
    module.Middle = Middle
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry.DETECTORS, "middle", "a_detector_of_ones_own:Middle")
    finder = FaceFinder.load(predictor=predictor_path(), order=["middle"], rescue="never", upsample=1)
    (face,) = finder.find(np.zeros((80, 90, 3), np.uint8))
    assert face.detection == Detection(Box(10, 20, 60, 30), 0.5, "middle", 90.0)


def test_files_of_a_search_are_named_once() -> None:
    names = [path.name for path in model_files(["joint", "blazeface", "hog"], "when_empty")]
    assert sorted(names) == ["blazeface_full_range.onnx", "blazeface_short_range.onnx", "centerface.onnx"]
    assert model_files(["hog"], "never") == []


@pytest.mark.parametrize(
    "settings", [{"max_side_px": 0}, {"upsample": -1}, {"upsample": 4}, {"cnn_max_side_px": 0}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}: "):
        SearchSettings(**settings)
