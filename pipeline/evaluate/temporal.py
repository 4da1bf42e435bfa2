"""How still the masks of clips stand: figures of mask videos that a run has written.

The temporal consistency is that of S. Varghese et al., "Unsupervised Temporal Consistency Metric for Video
Segmentation in Highly-Automated Driving", CVPR workshops 2020: a frame's mask is carried to the next frame
along the optical flow between the two and compared with the mask there. A mask that moves with its face
scores near 1.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.manifest.journal import read_manifest, read_run
from pipeline.manifest.records import recorded_path
from pipeline.video.flow import carried, flow_between
from pipeline.video.reader import probe, read_frames

_NO_LIMIT = 10**10


@dataclass(frozen=True, slots=True)
class TemporalFigures:
    """How still the masks of one clip stand.

    Attributes
    ----------
    name
        Of the clip.
    frames, pairs
        Frames of the clip, and pairs of neighbours with a mask in either that were compared; pairs across a
        cut are left out.
    warped_iou_mean, warped_iou_p5, warped_iou_worst
        Over the pairs: IoU (0-1) of a mask with the one before it, carried along the optical flow.
    iou_mean
        The same without carrying.
    centre_jitter_px, size_jitter_px, landmark_jitter_px
        Root mean square of second differences, in pixels: of the coordinates of the crops' centres, of their
        sizes (mean of width and height), and of the coordinates of the landmarks. Crops lie on whole pixels:
        one that moves evenly still has 0.7.
    coverage
        Share (0-1) of the frames between the first and the last of every track that have its mask.
    """

    name: str
    frames: int
    pairs: int
    warped_iou_mean: float
    warped_iou_p5: float
    warped_iou_worst: float
    iou_mean: float
    centre_jitter_px: float
    size_jitter_px: float
    landmark_jitter_px: float
    coverage: float


def temporal_figures(directory: Path) -> list[TemporalFigures]:
    """Figures of every clip of an output directory.

    Parameters
    ----------
    directory
        The output directory of a run whose clips are still where they were; masks lie upright.

    Raises
    ------
    UsageError
        There are no clips with masks and tracks in it.
    ClipReadError
        A clip or its masks can't be read.
    """
    start = Path(str(read_run(directory).get("working_directory", ".")))
    records = [record for record in read_manifest(directory) if record.get("clip")]
    records = [record for record in records if {"masks", "tracks"} <= set(record["files"])]
    if not records:
        raise UsageError(
            f"{directory}: holds no clips with masks; name the output directory of a run with clips"
        )
    return [_figures(directory, record, start) for record in records]


def write_clips_csv(path: Path, figures: Sequence[TemporalFigures]) -> None:
    """Write a line a clip.

    Raises
    ------
    UsageError
        The file can't be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([field.name for field in fields(TemporalFigures)])
            writer.writerows(astuple(one) for one in figures)
    except OSError as error:
        raise UsageError(f"--csv {path}: cannot be written ({error.strerror})") from error


def _figures(directory: Path, record: Mapping[str, Any], start: Path) -> TemporalFigures:
    clip, masks = start / recorded_path(record), directory / record["files"]["masks"]
    warped, plain = consistency(clip, masks, cuts=record["clip"]["cuts"])
    with (directory / record["files"]["tracks"]).open("rb") as file:
        lines = [json.loads(line) for line in file]
    centre, size, landmark = jitter(lines)
    return TemporalFigures(
        name=record["name"],
        frames=record["clip"]["decoded"],
        pairs=len(warped),
        warped_iou_mean=float(np.mean(warped)) if warped else 1.0,
        warped_iou_p5=float(np.percentile(warped, 5)) if warped else 1.0,
        warped_iou_worst=min(warped, default=1.0),
        iou_mean=float(np.mean(plain)) if plain else 1.0,
        centre_jitter_px=centre,
        size_jitter_px=size,
        landmark_jitter_px=landmark,
        coverage=coverage(lines),
    )


def consistency(clip: Path, masks: Path, *, cuts: Sequence[int] = ()) -> tuple[list[float], list[float]]:
    """IoU of every mask with the one before it, of pairs of which either is not empty.

    Parameters
    ----------
    clip
        The clip.
    masks
        A video of its masks: a frame belongs to the frame of the clip that has its place.
    cuts
        Frames before which there is a cut: such pairs are left out.

    Returns
    -------
    warped, plain
        IoU (0-1) with the earlier mask carried along the optical flow, and as it is.

    Raises
    ------
    ClipReadError
        One of them can't be read.
    """
    warped, plain = [], []
    for before, now in _pairs(str(clip), str(masks), cuts):
        if before[1].any() or now[1].any():
            flow = flow_between(now[0], before[0])
            warped.append(_iou(carried(before[1], flow) > 127, now[1] > 127))
            plain.append(_iou(before[1] > 127, now[1] > 127))
    return warped, plain


def jitter(lines: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """Root mean square of second differences within tracks, over rows of three neighbouring frames.

    Parameters
    ----------
    lines
        Of ``tracks/NAME.jsonl``.

    Returns
    -------
    centre, size, landmark
        Pixels; see `TemporalFigures`.
    """
    centres, sizes, points = [], [], []
    for track in _by_track(lines).values():
        for first, second, third in zip(track, track[1:], track[2:], strict=False):
            if third["frame"] - first["frame"] != 2:
                continue
            boxes = np.array([one["box_xywh"] for one in (first, second, third)], np.float64)
            shapes = np.array([one["landmarks"] for one in (first, second, third)], np.float64)
            centre = boxes[:, :2] + boxes[:, 2:] / 2
            centres += _second_difference(centre).tolist()
            sizes.append(float(_second_difference(boxes[:, 2:].mean(axis=1))))
            points.append(float(np.sqrt((_second_difference(shapes) ** 2).mean())))
    return _rms(centres), _rms(sizes), _rms(points)


def coverage(lines: Sequence[Mapping[str, Any]]) -> float:
    """Share of the frames between the first and the last of every track that have a line; 1 for no track."""
    tracks = _by_track(lines).values()
    spans = sum(track[-1]["frame"] - track[0]["frame"] + 1 for track in tracks)
    return len(lines) / spans if spans else 1.0


def _by_track(lines: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    tracks: dict[int, list[Mapping[str, Any]]] = {}
    for line in lines:
        tracks.setdefault(line["track"], []).append(line)
    return tracks


def _pairs(path: str, masks: str, cuts: Sequence[int]) -> Iterator[tuple[Any, Any]]:
    """Neighbouring frames as (grey picture, mask), those across a cut left out."""
    timeline = probe(path, max_pixels=_NO_LIMIT)
    mask_timeline = probe(masks, max_pixels=_NO_LIMIT)
    pictures = read_frames(path, timeline, 0, len(timeline), max_pixels=_NO_LIMIT)
    shapes = read_frames(masks, mask_timeline, 0, len(mask_timeline), max_pixels=_NO_LIMIT)
    before = None
    last = -2
    for picture, shape in zip(pictures, shapes, strict=False):
        grey = np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        now = grey, np.ascontiguousarray(shape.pixels[..., 0])
        if before is not None and picture.index == last + 1 and picture.index not in cuts:
            yield before, now
        before, last = now, picture.index


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def _second_difference(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values[0] - 2 * values[1] + values[2])


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else 0.0
