"""Photographs of a run that people have accepted or corrected, as labelled samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from landmarks.geometry import Box
from pipeline.exports.reader import RunReader
from pipeline.exports.values import ExportPhoto, Instance
from pipeline.images import read_photo
from training.data import Sample, make_sample

REVIEWED_SOURCE = "reviewed"
"""Source of photographs that people have reviewed."""

MARGIN = 1.0
"""What is kept on each side of a face, in lengths of its mask's longer side: more than any crop shows."""

MAX_PIXELS = 200_000_000


def read_reviewed(output: Path, keep: Callable[[str], bool]) -> Iterator[Sample]:
    """Read the output directory of a run that people have reviewed: a sample a face.

    Only photographs that were accepted or corrected as a whole count (see `pipeline.corrections`); frames of
    clips do not. Pixels of a photograph's other faces count nowhere in a face's sample.

    Parameters
    ----------
    output
        The output directory; the photographs must still be where they were.
    keep
        Takes the stem of a photograph's file name, says whether it is wanted.

    Raises
    ------
    ValueError
        If no photograph there was accepted or corrected.
    UncropError
        If there is no run, or a photograph or mask cannot be read.
    """
    reader = RunReader(output, grid="upright")
    found = False
    for record in reader.records():
        if record["name"] not in reader.corrections:
            continue
        review = reader.corrections.review(record)
        if review.correction is None and review.verdict != "accept":
            continue
        found = True
        photo = reader.photo(record)
        if keep(Path(photo.file_name).stem):
            yield from _samples(photo)
    if not found:
        raise ValueError(
            f"{output}: no photograph there was accepted or corrected (frames of clips do not count); "
            "review it first"
        )


def _samples(photo: ExportPhoto) -> Iterator[Sample]:
    pixels = read_photo(photo.path, max_pixels=MAX_PIXELS).pixels
    frames = [(instance, instance.mask.frame(photo.size_wh)) for instance in photo.instances]
    for instance, mask in frames:
        part = _surroundings(instance, photo.size_wh)
        window = slice(part.y, part.y_max), slice(part.x, part.x_max)
        others = np.zeros(mask.shape, bool)
        for other, theirs in frames:
            if other is not instance:
                others |= theirs
        points = None
        if instance.landmarks is not None:
            points = (instance.landmarks - np.array([part.x, part.y])).astype(np.float32)
        sample = make_sample(
            Path(photo.file_name).stem,
            REVIEWED_SOURCE,
            pixels[window],
            np.where(mask[window], np.uint8(255), np.uint8(0)),
            np.where((others & ~mask)[window], np.uint8(0), np.uint8(255)),
            points,
        )
        if sample is not None:
            yield sample


def _surroundings(instance: Instance, size_wh: tuple[int, int]) -> Box:
    """The part of the photograph around a face, inside the frame."""
    x, y, width, height = instance.mask.xywh
    margin = round(MARGIN * max(width, height))
    return Box(x - margin, y - margin, width + 2 * margin, height + 2 * margin).clipped(size_wh)
