"""Make the picture at the top of the README: ``python -m data.readme.make_picture``, from the checkout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import load_config
from pipeline.images import read_photo
from pipeline.output_pictures import overlay
from pipeline.photo import PhotoSegmenter

ROOT = Path(__file__).parents[2]
PANEL_HEIGHT_PX = 420
LABEL_HEIGHT_PX = 30
GAP_PX = 10


def main() -> None:
    """Segment two samples and put photo, crop, mask and overlay side by side."""
    segmenter = PhotoSegmenter.from_config(load_config(ROOT / "configs" / "default.yaml"))
    rows = [
        _row(segmenter, ROOT / "data" / "samples" / name)
        for name in ("grace_hopper.jpg", "obama_microphone.jpg")
    ]
    segmenter.close()
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    picture = cv2.cvtColor(np.vstack(padded), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(Path(__file__).parent / "result.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])


def _row(segmenter: PhotoSegmenter, path: Path) -> NDArray[np.uint8]:
    photo = read_photo(path, max_pixels=10**8)
    result = segmenter.segment(photo.pixels)
    face = max(result.faces, key=lambda face: face.crop.box.area)
    mask = np.repeat(face.mask[:, :, None], 3, axis=2)
    panels = {"photo": photo.pixels, "crop": face.crop.pixels, "mask": mask}
    panels["overlay, uncropped"] = overlay(photo.pixels, result.mask)
    return np.hstack([_panel(name, pixels) for name, pixels in panels.items()])


def _panel(label: str, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ratio = PANEL_HEIGHT_PX / pixels.shape[0]
    panel = cv2.resize(pixels, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    canvas = np.full((PANEL_HEIGHT_PX + LABEL_HEIGHT_PX, panel.shape[1] + GAP_PX, 3), 255, np.uint8)
    canvas[:PANEL_HEIGHT_PX, : panel.shape[1]] = panel
    place = (2, PANEL_HEIGHT_PX + 21)
    cv2.putText(canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (60, 60, 60), 1, cv2.LINE_AA)
    return canvas


if __name__ == "__main__":
    main()
