"""Animated pictures as clips: frames as viewers show them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config import Config, InputConfig
from pipeline.video.animation import probe_animation, read_animation
from pipeline.video.task import clip_digests
from tests.test_colour import ADOBE, converted


def test_on_another_background_clips_are_searched_anew() -> None:
    digests = [clip_digests(Config(input=InputConfig(background=name)), {}) for name in ("white", "grey")]
    assert all(one != other for one, other in zip(*digests, strict=True))


@pytest.mark.parametrize("format", ["WEBP", "PNG"])
def test_hidden_pixels_stay_hidden_and_profiles_are_heeded(tmp_path: Path, format: str) -> None:
    rgba = np.full((12, 16, 4), (100, 200, 50, 255), np.uint8)
    rgba[:, 8:, 3] = 0
    frames = [Image.fromarray(rgba), Image.fromarray(np.roll(rgba, 4, axis=0) // 2 * 2)]
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    path = tmp_path / "clip"
    with path.open("wb") as file:
        frames[0].save(file, format, save_all=True, append_images=frames[1:], icc_profile=ADOBE, **options)
    timeline = probe_animation(str(path), max_pixels=10**6)
    [(_, first), *_] = read_animation(str(path), timeline, 0, 1, background_rgb=(0, 128, 255))
    assert (first[:, 8:] == (0, 128, 255)).all()
    assert first[5, 3].tolist() == converted(Image.new("RGB", (1, 1), (100, 200, 50)), ADOBE)[0].tolist()
