"""Clips made of the sample photographs, with what is true of them: where faces are in every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from landmarks.arrays import Pixels
from pipeline.images import read_photo

ROOT = Path(__file__).parents[2]


@cache
def sample(name: str) -> Pixels:
    """A sample photograph, (H, W, 3) RGB."""
    return read_photo(ROOT / "data" / "samples" / f"{name}.jpg", max_pixels=10**8).pixels


def view(
    picture: Pixels,
    centre: tuple[float, float],
    width: float,
    size_wh: tuple[int, int],
    degrees: float = 0.0,
) -> Pixels:
    """What a camera sees that looks at ``centre``: so many pixels wide, turned clockwise."""
    scale = size_wh[0] / width
    matrix = cv2.getRotationMatrix2D(centre, degrees, scale)
    matrix[:, 2] += np.array(size_wh) / 2 - np.array(centre)
    shown = cv2.warpAffine(
        picture,
        matrix,
        size_wh,
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(shown, np.uint8)


def write_clip(
    path: Path,
    pictures: Iterable[Pixels],
    *,
    rate: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    flips: tuple[bool, bool] = (False, False),
    sound: bool = False,
    prepare: Callable[[Any], Any] = lambda frame: frame,
) -> Path:
    """Write a clip; ``pts`` in units of ``time_base`` for rates that vary.

    ``rotation``, and ``flips`` (across, down) after it, are side data.
    """
    pictures = list(pictures)
    height, width = pictures[0].shape[:2]
    unit = time_base or Fraction(1, rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=rate, options=options or {"crf": "12", "preset": "veryfast", "bf": "0"}
        )
        stream.codec_context.thread_count = 1
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.time_base = stream.codec_context.time_base = unit
        voice: Any = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        if rotation or any(flips):
            stream.set_display_rotation(rotation, *flips)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = prepare(frame)
            frame.pts = pts[index] if pts else index
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            tone = np.sin(np.arange(16000 * len(pictures) // rate) * 0.1).astype(np.float32)[None]
            for start in range(0, tone.shape[1], 1024):
                samples = av.AudioFrame.from_ndarray(
                    tone[:, start : start + 1024], format="fltp", layout="mono"
                )
                samples.sample_rate, samples.pts = 16000, start
                container.mux(voice.encode(samples))
            container.mux(voice.encode(None))
    return path


def portrait(
    name: str, count: int, way: Callable[[float], tuple[float, float, float, float]]
) -> list[Pixels]:
    """A camera that moves over a sample; ``way`` of 0-1 gives x, y, width seen and degrees."""
    pictures = []
    for index in range(count):
        x, y, width, degrees = way(index / max(count - 1, 1))
        pictures.append(view(sample(name), (x, y), width, (320, 240), degrees))
    return pictures


def pan(count: int) -> list[Pixels]:
    """Obama, the camera moving sideways."""
    return portrait("obama", count, lambda at: (340 + 110 * at, 260, 600, 0))


def astronaut(count: int) -> list[Pixels]:
    """The astronaut, the camera standing nearly still."""
    return portrait("astronaut", count, lambda at: (230 + 4 * at, 150, 300, 0))


def crossing(count: int) -> list[Pixels]:
    """Two heads of different people that cross; the astronaut passes in front."""
    wall = np.full((240, 480, 3), (96, 110, 120), np.uint8)
    obama = cv2.resize(sample("obama")[70:370, 270:520], (100, 120), interpolation=cv2.INTER_AREA)
    woman = cv2.resize(sample("astronaut")[50:230, 150:300], (100, 120), interpolation=cv2.INTER_AREA)
    pictures = []
    for index in range(count):
        picture = wall.copy()
        step = round(index * 340 / (count - 1))
        picture[70:190, 360 - step : 460 - step] = obama
        picture[60:180, 20 + step : 120 + step] = woman
        pictures.append(picture)
    return pictures
