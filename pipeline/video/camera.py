"""Cameras as clips: ``camera:0`` is recorded first, for a live picture can be looked at only once.

Tracks, smoothing and averages look at frames before and after each, twice. So a camera becomes a file, and
the file a clip like any other: it stays, and the same command with its path makes the same results again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from pipeline.clip_files import is_camera
from pipeline.config import Config
from pipeline.errors import ClipReadError, ConfigError, Problem
from pipeline.video.containers import import_av
from pipeline.video.store import whole_output
from pipeline.video.writer import H264_RECORDING, StreamWriter

RECORDED_FOLDER = "recorded"
"""Folder of the output directory in which recordings stay."""

_UNIT = Fraction(1, 1000)
_RATE = Fraction(30)

OpenCamera = Callable[[int], Any]
"""Takes a camera's number; gives what reads as OpenCV's ``VideoCapture`` does."""


def with_recordings(
    config: Config,
    *,
    open_camera: OpenCamera = cv2.VideoCapture,
    seconds_now: Callable[[], float] = time.monotonic,
) -> Config:
    """Record every camera among the inputs for ``video.camera_seconds``.

    Parameters
    ----------
    config
        The whole configuration.
    open_camera
        Opens a camera.
    seconds_now
        A clock; frames are given the times at which they came.

    Returns
    -------
    Config
        The same with the recordings' paths in the cameras' places.

    Raises
    ------
    ConfigError
        PyAV is not installed, or a camera can't be opened or gives no picture.
    EncodingError, OutputError
        The recording can't be written.
    """
    paths = []
    for place, path in enumerate(config.input.paths):
        if not is_camera(path):
            paths.append(path)
            continue
        try:
            import_av()
        except ClipReadError as error:
            raise ConfigError([Problem("input", f"input.paths.{place}", f"{path}: {error}")]) from error
        number = int(path.partition(":")[2])
        name = f"camera-{number}-{datetime.now(UTC):%Y%m%dT%H%M%S}.mkv"
        target = Path(config.output.directory, RECORDED_FOLDER, name)
        with whole_output(target) as file:
            count = _record(open_camera(number), file, config.video.camera_seconds, seconds_now)
            if not count:
                message = (
                    f"{path}: gives no picture; is there such a camera, may this user read "
                    f"/dev/video{number}, and does no other program use it?"
                )
                raise ConfigError([Problem("input", f"input.paths.{place}", message)])
        paths.append(str(target))
    if tuple(paths) == config.input.paths:
        return config
    return config.model_copy(update={"input": config.input.model_copy(update={"paths": tuple(paths)})})


def _record(camera: Any, file: Path, seconds: float, seconds_now: Callable[[], float]) -> int:
    """Write what a camera shows until the time is over or nothing comes any more; returns the frames."""
    began, last_ms, count = seconds_now(), -1, 0
    writer: StreamWriter | None = None
    try:
        while True:
            came, bgr = camera.read()
            at = seconds_now() - began
            if not came or at > seconds:
                return count
            if writer is None:
                size_wh = (bgr.shape[1], bgr.shape[0])
                writer = StreamWriter(file, H264_RECORDING, size_wh, _UNIT, _RATE)
            last_ms = max(round(1000 * at), last_ms + 1)
            writer.write(last_ms, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
            count += 1
    finally:
        camera.release()
        if writer is not None:
            writer.close()
