"""A camera is recorded with the times at which its frames came, and is a clip from then on."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.planning import plan
from pipeline.runner import run
from pipeline.video.camera import with_recordings
from pipeline.video.reader import probe, read_frames
from tests import stand_ins
from tests.video.clips import write_clip


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(*paths: str, seconds: float = 0.5) -> Config:
    return Config.model_validate(
        {
            "input": {"paths": list(paths)},
            "output": {"directory": "out"},
            "engine": {"cache_directory": "."},
            "execution": {"executor": "serial"},
            "video": {"camera_seconds": seconds},
        }
    )


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((48, 64, 3), 10 * index, np.uint8) for index in range(count)]


def device(count: int) -> Callable[[int], Any]:
    """A device that OpenCV reads: number 3 shows so many pictures, there is no other."""
    write_clip(Path("device.mkv"), pictures(count))
    return lambda number: cv2.VideoCapture("device.mkv" if number == 3 else "none.mkv")


def clock(step: float) -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: 100 + step * next(ticks)


def test_frames_have_the_times_at_which_they_came() -> None:
    config = with_recordings(settings("camera:3"), open_camera=device(24), seconds_now=clock(0.04))
    (path,) = config.input.paths
    assert Path(path).parent == Path("out/recorded")
    timeline = probe(path, max_pixels=10**6)
    assert timeline.size_wh == (64, 48)
    assert [round(1000 * timeline.seconds(i)) for i in range(len(timeline))] == list(range(0, 461, 40))
    frames = read_frames(path, timeline, 0, len(timeline), max_pixels=10**6)
    shown = [float(frame.pixels.mean()) for frame in frames]
    np.testing.assert_allclose(shown, [10 * index for index in range(12)], atol=2)


def test_a_device_that_ends_early_gives_what_there_was() -> None:
    config = with_recordings(settings("camera:3"), open_camera=device(5), seconds_now=clock(0.0001))
    timeline = probe(config.input.paths[0], max_pixels=10**6)
    assert len(timeline) == 5
    assert len(set(timeline.pts)) == 5  # also where several came within a millisecond


def test_other_inputs_stay_in_their_places() -> None:
    config = with_recordings(settings("a", "camera:3", "b"), open_camera=device(5), seconds_now=clock(0.04))
    assert (config.input.paths[0], config.input.paths[2]) == ("a", "b")
    none = settings("a", "b")
    assert with_recordings(none) is none


def test_a_camera_that_shows_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"input\.paths\.1: camera:7: gives no picture.*/dev/video7"):
        with_recordings(settings("a", "camera:7"), open_camera=device(5))
    assert not list(Path("out").rglob("*.mkv"))


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    open_camera = device(5)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"camera:3: clips need PyAV.*pip install"):
        with_recordings(settings("camera:3"), open_camera=open_camera)


def test_a_recording_is_done_as_a_clip() -> None:
    config = with_recordings(settings("camera:3"), open_camera=device(12), seconds_now=clock(0.04))
    summary = run(config)
    assert summary.exit_code == 0
    (record,) = map(json.loads, Path("out/manifest.jsonl").read_bytes().splitlines())
    assert (record["photo"], record["clip"]["decoded"]) == (config.input.paths[0], 12)


def test_a_dry_run_records_nothing() -> None:
    planned = plan(settings("camera:3"), model_hashes=stand_ins.no_models)
    assert planned.photos == ()
    assert planned.left_out == ("camera:3 would be recorded for 0.5 s",)
    assert not Path("out/recorded").exists()
