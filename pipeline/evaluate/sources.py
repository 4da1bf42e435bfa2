"""Faces from a run's output directory or from COCO, compared with true ones photograph by photograph.

Frames of clips are photographs like any other, known by the clip's name and the number of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.evaluate.comparison import PhotoScores
from pipeline.evaluate.instances import InstanceTotals
from pipeline.exports.clip_frames import frame_name
from pipeline.exports.coco import Coco
from pipeline.exports.grid import inverse, oriented_size
from pipeline.exports.matching import PhotoIndex
from pipeline.exports.reader import RunReader
from pipeline.exports.values import ExportPhoto, ImportedPhoto, MaskWindow
from pipeline.manifest.journal import MANIFEST_NAME
from pipeline.metrics import compare


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a photograph: its size, their masks, and their scores (1 where there is none)."""

    size_wh: tuple[int, int]
    masks: tuple[MaskWindow, ...]
    scores: tuple[float, ...]

    def union(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """(H, W) bool: the pixels of any face."""
        frame = np.zeros(self.size_wh[::-1], bool)
        for mask in self.masks:
            frame[mask.y : mask.box.y_max, mask.x : mask.box.x_max] |= mask.pixels
        return frame


@dataclass(frozen=True, slots=True)
class Source:
    """A photograph that is known by name and content; its faces are read when asked for."""

    name: str
    file_name: str
    sha256: str | None
    load: Callable[[], Faces]


def holds_faces(path: Path) -> bool:
    """Whether a path is a run's output directory or COCO, so that its faces can be told apart."""
    return path.suffix.lower() == ".json" or any((path / name).is_file() for name in _TELLING_FILES)


_TELLING_FILES = (MANIFEST_NAME, "instances.json", "labels.json")


def sources_of(path: Path, option: str, *, truth: bool) -> Iterator[Source]:
    """Photographs and frames of a run's output directory, of a COCO file, or of a folder with COCO files.

    Of a run that is the truth only photographs and frames count that a person has accepted or corrected, as
    they were left; of one that is compared with the truth all do, as the run has made them.

    Parameters
    ----------
    path
        See above.
    option
        Names it in errors.
    truth
        Whether it is the truth.

    Raises
    ------
    UsageError
        It is neither, or there is no photograph in it that counts.
    """
    if not path.exists():
        raise UsageError(f"{option} {path}: no such file or folder")
    if not holds_faces(path):
        raise UsageError(
            f"{option} {path}: is neither the output directory of a run nor COCO, so its faces cannot be "
            "told apart"
        )
    found = _of_run(path, truth) if (path / MANIFEST_NAME).is_file() else _of_coco(path)
    count = 0
    for count, source in enumerate(found, start=1):  # noqa: B007 - counts
        yield source
    if count == 0:
        reason = (
            "no photograph there was accepted or corrected in a review" if truth else "no photographs there"
        )
        raise UsageError(f"{option} {path}: {reason}")


def evaluate_faces(predictions: Path, truth: Path) -> tuple[list[PhotoScores], dict[str, float]]:
    """Compare faces with true ones, photograph by photograph.

    Photographs are matched by content, then by name. A photograph of the truth without predictions counts
    with no faces; one that the truth does not know counts nowhere.

    Parameters
    ----------
    predictions, truth
        See `sources_of`.

    Returns
    -------
    results
        Figures of the union of all faces, by photograph, in the order of the truth.
    figures
        See `pipeline.evaluate.instances.InstanceTotals.figures`.

    Raises
    ------
    UsageError
        One of them cannot be read, two predictions fit a truth, or their sizes differ.
    """
    wanted = list(sources_of(truth, "--truth", truth=True))
    index = PhotoIndex()
    for place, source in enumerate(wanted):
        index.add(str(place), source.file_name, source.sha256)
    found: dict[int, Source] = {}
    for source in sources_of(predictions, "--predictions", truth=False):
        match = index.find(source.file_name, source.sha256) or index.find(source.name, None)
        if match is None:
            continue
        place = int(match[0])
        if place in found:
            raise UsageError(
                f"--predictions: {found[place].file_name} and {source.file_name} both fit "
                f"{wanted[place].file_name}"
            )
        found[place] = source
    totals = InstanceTotals()
    results = []
    for place, source in enumerate(wanted):
        right = source.load()
        known = found.get(place)
        guess = known.load() if known else Faces(right.size_wh, (), ())
        if guess.size_wh != right.size_wh:
            raise UsageError(
                f"{source.file_name}: {guess.size_wh[0]} x {guess.size_wh[1]} pixels in --predictions, "
                f"{right.size_wh[0]} x {right.size_wh[1]} in --truth; does one lie on the stored pixel grid?"
            )
        totals.add(guess.masks, guess.scores, right.masks)
        scores = compare(guess.union(), right.union())
        results.append(PhotoScores(source.name, truth, predictions if known else None, scores))
    return results, totals.figures()


def _of_run(path: Path, truth: bool) -> Iterator[Source]:
    reader = RunReader(path, reviewed=truth)
    for record in reader.records():
        if truth and not _is_truth(reader, record):
            continue
        load = partial(_faces_of_run, reader, record)
        yield Source(record["name"], reader.file_name(record), record.get("sha256"), load)
    frames = _Frames(reader)
    for clip in reader.clips():
        for index in frames.reviewed(clip) if truth else range(clip["clip"]["frames"]):
            name, file_name = (frame_name(of, index) for of in (clip["name"], reader.file_name(clip)))
            yield Source(name, file_name, None, partial(frames.faces, clip, index))


class _Frames:
    """Frames of the clips of a run; one clip is open at a time, and goes by once if asked in order."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._clip = ""
        self._wanted = 0
        self._frames: Iterator[tuple[int, Mapping[str, Any], ExportPhoto]] = iter(())

    def reviewed(self, clip: Mapping[str, Any]) -> list[int]:
        """Frames of a clip that a person has accepted or corrected."""
        judged = {
            index
            for index in range(clip["clip"]["frames"])
            if frame_name(clip["name"], index) in self._reader.corrections
        }
        frames = self._reader.frames(clip, judged.__contains__) if judged else ()
        return [index for index, record, _ in frames if _is_truth(self._reader, record)]

    def faces(self, clip: Mapping[str, Any], index: int) -> Faces:
        """The faces of a frame; none in one that could not be decoded."""
        if clip["name"] != self._clip or index <= self._wanted:
            self._clip = clip["name"]
            self._frames = self._reader.frames(clip, lambda here: here >= self._wanted)
        self._wanted = index
        for found, _, photo in self._frames:
            if found == index:
                return _faces_of(photo)
            break
        self._clip = ""
        width, height = clip["size_wh"]
        return Faces(oriented_size((width, height), inverse(self._reader.grid_of(clip))), (), ())


def _is_truth(reader: RunReader, record: Mapping[str, Any]) -> bool:
    review = reader.corrections.review(record)
    return review.correction is not None or review.verdict == "accept"


def _faces_of_run(reader: RunReader, record: Mapping[str, Any]) -> Faces:
    return _faces_of(reader.photo(record))


def _faces_of(photo: ExportPhoto) -> Faces:
    scores = tuple(1.0 if one.score is None else one.score for one in photo.instances)
    return Faces(photo.size_wh, tuple(one.mask for one in photo.instances), scores)


def _of_coco(path: Path) -> Iterator[Source]:
    for photo in Coco.read(path):
        sha256 = None if photo.of_clip else photo.sha256
        yield Source(photo.file_name, photo.file_name, sha256, partial(_faces_of_coco, photo))


def _faces_of_coco(photo: ImportedPhoto) -> Faces:
    if photo.size_wh is None:
        raise UsageError(f"{photo.file_name}: has no size")
    try:
        faces = photo.faces(photo.size_wh)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{photo.file_name}: {error}") from error
    scores = tuple(1.0 if face.score is None else face.score for face in faces)
    return Faces(photo.size_wh, tuple(face.mask for face in faces), scores)
