"""How still the masks of clips stand, and how right they are: ``python -m benchmarks.steady``.

Photographs of data/samples are filmed by a camera that sways, turns and pans, with noise and as H.264: a head
that talks, a hand that passes over a mouth, quick turns. The masks are known: those of the photographs, moved
as the pictures are, less the hand. Every clip is done frame by frame, as photographs are, and as a clip, and
both are compared with what is known. The known masks' own consistency along the optical flow is the most
that right masks reach: pixels are whole, the flow errs, and a hand does cover and uncover a face.

Clips of your own (``--clips FOLDER``) are done likewise, without known masks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from landmarks.arrays import Float32Array, Pixels
from pipeline.config import load_config
from pipeline.evaluate.temporal import TemporalFigures, consistency, temporal_figures
from pipeline.files import path_argument
from pipeline.images import read_photo
from pipeline.manifest.journal import read_manifest
from pipeline.photo import PhotoSegmenter
from pipeline.runner import run
from pipeline.video.reader import probe, read_frames
from pipeline.video.writer import FFV1_GREY, H264_PREVIEW, StreamWriter

RATE = Fraction(25)
FRAME_BY_FRAME = ("video.steady=0", "video.average_frames=0", "video.search_every=1")
NOISE = 3.0
"""Standard deviation of the camera's noise, 0-255."""

_MOUTH, _MOUTH_PX = np.array((392.0, 280.0)), 45.0  # x, y and half its width in obama.jpg
_NO_LIMIT = 10**10


@dataclass(frozen=True, slots=True)
class Shot:
    """A clip to be made of obama.jpg.

    Attributes
    ----------
    size_wh
        Of the clip, pixels.
    frames
        Their number.
    way
        Of a frame's number gives what the camera sees: the centre x and y in the photograph, how many of its
        pixels wide, and degrees clockwise.
    talks
        The mouth opens and closes.
    has_hand
        A hand passes over the mouth, back and forth.
    """

    size_wh: tuple[int, int]
    frames: int
    way: Callable[[int], tuple[float, float, float, float]]
    talks: bool = False
    has_hand: bool = False


SHOTS = {
    "talking head, 1920x1080": Shot(
        (1920, 1080),
        50,
        lambda i: (385 + 12 * np.sin(i / 11), 245 + 5 * np.sin(i / 8), 620, 5 * np.sin(i / 15)),
        talks=True,
    ),
    "hand over the mouth, head of 90 px, 640x360": Shot(
        (640, 360),
        150,
        lambda i: (385 + 6 * np.sin(i / 11), 300 + 4 * np.sin(i / 8), 1150, 2 * np.sin(i / 15)),
        has_hand=True,
    ),
    "turn of 20 degrees a frame, 320x240": Shot(
        (320, 240), 25, lambda i: (390, 240, 480, 20.0 * abs((i + 3) % 12 - 6) - 60)
    ),
    "pan and turn, 320x240": Shot(
        (320, 240),
        25,
        lambda i: (390 + 40 * np.sin(i / 2), 240 + 25 * np.cos(i / 1.5), 480, 35 * np.sin(i / 2.5)),
    ),
}


def main() -> None:
    """Run the benchmark and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--clips", type=path_argument, help="a folder of clips of your own; none is made then"
    )
    parser.add_argument("--out", type=path_argument, default=Path("benchmarks/results/steady.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.clips is None:
            _make_all(folder)
        clips = sorted((options.clips or folder / "clips").iterdir())
        figures = _compared(clips, folder)
    print(json.dumps(figures, indent=2))
    report = {"machine": describe_machine(), "figures": figures}
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _compared(clips: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Clip -> its figures done both ways."""
    alone, steady = _done(clips, folder / "alone", FRAME_BY_FRAME), _done(clips, folder / "steady")
    compared: dict[str, Any] = {}
    for clip in clips:
        told = compared[clip.stem] = {
            "frame_by_frame": _told(alone[clip.name][1]),
            "as_a_clip": _told(steady[clip.name][1]),
            "iou_to_frame_by_frame": _iou(steady[clip.name][0], alone[clip.name][0]),
        }
        truth = folder / "truth" / clip.name
        if truth.exists():
            told["frame_by_frame"]["iou_to_known_masks"] = _iou(alone[clip.name][0], truth)
            told["as_a_clip"]["iou_to_known_masks"] = _iou(steady[clip.name][0], truth)
            warped, _ = consistency(clip, truth)
            told["known_masks"] = {
                "warped_iou_mean": round(float(np.mean(warped)), 4),
                "warped_iou_p5": round(float(np.percentile(warped, 5)), 4),
            }
    return compared


def _done(
    clips: Sequence[Path], output: Path, settings: Sequence[str] = ()
) -> dict[str, tuple[Path, TemporalFigures]]:
    """Name of the clip's file -> the masks, and how still they stand."""
    fixed = ["engine.threads=1", "execution.executor=serial", "output.overlays=false"]
    paths: dict[str, dict[str, Any]] = {
        "input": {"paths": [str(clip) for clip in clips]},
        "output": {"directory": str(output)},
    }
    run(load_config("configs/default.yaml", [*fixed, *settings], paths))
    masks = {record["name"]: record["files"]["masks"] for record in read_manifest(output)}
    return {Path(one.name).name: (output / masks[one.name], one) for one in temporal_figures(output)}


def _told(figures: TemporalFigures) -> dict[str, float]:
    names = ("warped_iou_mean", "warped_iou_p5", "centre_jitter_px", "size_jitter_px")
    return {name: round(getattr(figures, name), 4 if "iou" in name else 2) for name in names}


def _iou(first: Path, second: Path) -> float:
    """Mean IoU of two videos of masks, frame by frame."""
    ious = []
    for one, other in zip(_masks(first), _masks(second), strict=True):
        either = np.count_nonzero(one | other)
        ious.append(np.count_nonzero(one & other) / either if either else 1.0)
    return round(float(np.mean(ious)), 4)


def _masks(path: Path) -> Iterator[NDArray[np.bool_]]:
    timeline = probe(str(path), max_pixels=_NO_LIMIT)
    for frame in read_frames(str(path), timeline, 0, len(timeline), max_pixels=_NO_LIMIT):
        yield frame.pixels[..., 0] > 127


def _make_all(folder: Path) -> None:
    """Write ``clips/NAME.nut`` and ``truth/NAME.nut`` of every shot."""
    photograph = read_photo("data/samples/obama.jpg", max_pixels=_NO_LIMIT).pixels
    with PhotoSegmenter.from_config(load_config("configs/default.yaml")) as segmenter:
        mask = segmenter.segment(photograph).mask
    for kind in ("clips", "truth"):
        (folder / kind).mkdir()
    for name, shot in SHOTS.items():
        rng = np.random.default_rng(4)
        clip, truth = (
            StreamWriter(folder / kind / f"{name}.nut", form, shot.size_wh, 1 / RATE, RATE)
            for kind, form in (("clips", H264_PREVIEW), ("truth", FFV1_GREY))
        )
        with clip, truth:
            for index in range(shot.frames):
                picture, true = _frame(shot, index, photograph, mask)
                noisy = picture + rng.normal(0, NOISE, picture.shape)
                clip.write(index, np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
                truth.write(index, true)


def _frame(shot: Shot, index: int, photograph: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """What the camera sees in a frame, and the face's mask in it."""
    if shot.talks:
        opening = 0.1 * _MOUTH_PX * (np.sin(1.1 * index) + np.sin(0.37 * index))
        photograph = _with_mouth_moved(photograph, opening)
    x, y, width, degrees = shot.way(index)
    scale = shot.size_wh[0] / width
    matrix = np.asarray(cv2.getRotationMatrix2D((x, y), degrees, scale), np.float64)
    matrix[:, 2] += np.array(shot.size_wh) / 2 - (x, y)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture, true = (
        cv2.warpAffine(array, matrix, shot.size_wh, flags=method, borderMode=cv2.BORDER_REFLECT)
        for array in (photograph, mask)
    )
    true = np.where(true > 127, 255, 0)
    if shot.has_hand:
        at = _MOUTH + np.array((120 * np.sin(index / 30), 30 + 12 * np.cos(index / 15)))
        hand = _hand(shot.size_wh, matrix[:, :2] @ at + matrix[:, 2], 1.2 * scale)
        skin = np.array((196, 150, 122)) * (0.8 + 0.2 * cv2.GaussianBlur(hand, (0, 0), 8 * scale))[..., None]
        picture = np.rint(picture * (1 - hand[..., None]) + skin * hand[..., None])
        true = np.where(hand > 0.5, 0, true)
    return picture.astype(np.uint8), true.astype(np.uint8)


def _with_mouth_moved(photograph: Pixels, opening: float) -> Pixels:
    """The chin and the lower lip so many pixels further down."""
    y, x = np.mgrid[: photograph.shape[0], : photograph.shape[1]].astype(np.float32)
    across, down = (x - _MOUTH[0]) / _MOUTH_PX, (y - _MOUTH[1]) / (0.7 * _MOUTH_PX)
    lower = opening * np.exp(-2 * (across**2 + down**2)) * (down > -0.3)
    moved = cv2.remap(photograph, x, (y - lower).astype(np.float32), cv2.INTER_CUBIC)
    return np.asarray(moved, np.uint8)


def _hand(size_wh: tuple[int, int], at: NDArray[Any], scale: float) -> Float32Array:
    """(h, w) float32 0-1: a palm with four fingers up, ``scale`` pixels a unit, to a part of a pixel."""
    finer = 4
    alpha = np.zeros((finer * size_wh[1], finer * size_wh[0]), np.uint8)
    unit = finer * scale

    def place(x: float, y: float) -> tuple[int, int]:
        across, down = (np.rint(finer * at + unit * np.array((x, y)))).astype(int).tolist()
        return across, down

    cv2.ellipse(alpha, place(0, 0), (round(34 * unit), round(46 * unit)), 0, 0, 360, 255, -1)
    for finger in range(4):
        x = 16 * (finger - 1.5)
        cv2.line(alpha, place(x, -20), place(1.5 * x, -75 + 4 * abs(finger - 1.5)), 255, round(13 * unit))
    small = cv2.resize(alpha, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, np.float32)


if __name__ == "__main__":
    main()
