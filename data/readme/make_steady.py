"""Make the picture of clips in the README: ``python -m data.readme.make_steady``, from the checkout.

A sample is filmed by a shaking camera in poor light. Three frames that follow one another, every frame done
by itself above, as a clip below: the crop in yellow, the mask in red, and in white what of the mask came or
went since the frame before, the camera's motion taken out.
"""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data.readme.make_picture import GAP_PX, ROOT
from pipeline.config import load_config
from pipeline.images import read_photo
from pipeline.output_pictures import overlay
from pipeline.runner import run
from pipeline.video.flow import carried, flow_between
from pipeline.video.reader import probe, read_frames
from pipeline.video.writer import H264_LOSSLESS, StreamWriter

FRAMES, SHOWN = 24, (11, 12, 13)
SIZE_WH = (360, 300)
ALONE = ("video.steady=0", "video.average_frames=0", "video.search_every=1")
_NO_LIMIT = 10**9


def main() -> None:
    """Film, segment twice, and put the frames side by side."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.nut")
        _film(clip)
        rows = [
            _row(clip, Path(folder, name), label, settings)
            for name, label, settings in (
                ("alone", "every frame by itself", ALONE),
                ("clip", "as a clip", ()),
            )
        ]
    picture = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(Path(__file__).parent / "steady.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


def _film(path: Path) -> None:
    photo = read_photo(ROOT / "data" / "samples" / "obama_microphone.jpg", max_pixels=_NO_LIMIT).pixels
    rng = np.random.default_rng(7)
    with StreamWriter(path, H264_LOSSLESS, SIZE_WH, Fraction(1, 25), Fraction(25)) as writer:
        for index in range(FRAMES):
            x, y = 390 + rng.normal(0, 5), 250 + rng.normal(0, 5)
            matrix = cv2.getRotationMatrix2D((x, y), 8 * np.sin(index / 3), SIZE_WH[0] / 900)
            matrix[:, 2] += np.array(SIZE_WH) / 2 - (x, y)
            seen = cv2.warpAffine(photo, matrix, SIZE_WH, borderMode=cv2.BORDER_REFLECT)
            grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY) * 0.45 + rng.normal(0, 11, SIZE_WH[::-1])
            writer.write(index, np.clip(grey, 0, 255).astype(np.uint8))


def _row(clip: Path, output: Path, label: str, settings: tuple[str, ...]) -> NDArray[np.uint8]:
    options: dict[str, dict[str, Any]] = {
        "input": {"paths": [str(clip)]},
        "output": {"directory": str(output), "overlays": False},
        "execution": {"executor": "serial"},
    }
    run(load_config(ROOT / "configs" / "default.yaml", settings, options))
    record = json.loads((output / "manifest.jsonl").read_text("utf-8"))
    lines = (output / record["files"]["tracks"]).read_text("utf-8").splitlines()
    boxes = {line["frame"]: line["box_xywh"] for line in map(json.loads, lines)}
    pictures, masks = _frames(clip), _frames(output / record["files"]["masks"])
    panels = [_panel(pictures, masks, boxes[index], index) for index in SHOWN]
    title = np.full((30, sum(panel.shape[1] for panel in panels), 3), 255, np.uint8)
    cv2.putText(title, label, (2, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (60, 60, 60), 1, cv2.LINE_AA)
    return np.vstack([title, np.hstack(panels)])


def _frames(path: Path) -> list[NDArray[np.uint8]]:
    timeline = probe(str(path), max_pixels=_NO_LIMIT)
    frames = read_frames(str(path), timeline, 0, len(timeline), max_pixels=_NO_LIMIT)
    return [frame.pixels for frame in frames]


def _panel(
    pictures: list[NDArray[np.uint8]], masks: list[NDArray[np.uint8]], box: list[int], index: int
) -> NDArray[np.uint8]:
    mask, before = masks[index][..., 0].copy(), masks[index - 1][..., 0].copy()
    grey = [cv2.cvtColor(pictures[at], cv2.COLOR_RGB2GRAY) for at in (index, index - 1)]
    moved = carried(before, flow_between(*(np.asarray(one, np.uint8) for one in grey)))
    panel = overlay(pictures[index], mask)
    panel[(moved > 127) != (mask > 127)] = 255
    x, y, width, height = box
    cv2.rectangle(panel, (x, y), (x + width - 1, y + height - 1), (255, 220, 0), 1)
    return np.pad(panel, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
