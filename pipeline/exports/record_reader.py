"""One photograph or frame of a run by its record, with its faces as people have left them.

Masks of faces are taken from, in this order: the corrected map of a person; the masks of the crops, where the
run has kept them (``output.crop_masks``), which are whole even where faces overlap; the instance map, where a
pixel belongs to one face only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.corrections.judgements import PhotoReview
from pipeline.corrections.layer import Corrections
from pipeline.exports.file_names import FileNames
from pipeline.exports.grid import inverse, oriented_points, oriented_size, oriented_window
from pipeline.exports.run_masks import photo_masks
from pipeline.exports.values import ExportClip, ExportFrame, ExportPhoto, Instance, MaskWindow
from pipeline.manifest.journal import read_run

Grid = Literal["run", "upright", "stored"]
"""Which pixel grid an export lies on; ``run``: that of the run's own masks."""

_NEVER_JUDGED = PhotoReview("", None, {}, None, rebased=False, stale=False, shown="")

_Masks = Callable[[], tuple[dict[int, MaskWindow], bool]]


class RecordReader:
    """Reads what a record of one output directory tells of.

    Parameters
    ----------
    directory
        The output directory.
    root
        Folder that the photographs' names start from; None: see `pipeline.exports.file_names.FileNames`.
    grid
        See `Grid`.
    reviewed
        Whether what people have said and drawn counts; else faces are as the run has made them.

    Attributes
    ----------
    names
        What an export calls photographs and clips.
    corrections
        The review layer of the directory.
    """

    def __init__(
        self, directory: Path, *, root: Path | None = None, grid: Grid = "run", reviewed: bool = True
    ) -> None:
        self.directory = directory
        self.corrections = Corrections(directory)
        self.names = FileNames(str(read_run(directory).get("working_directory") or Path.cwd()), root)
        self._grid = grid
        self._reviewed = reviewed

    def grid_of(self, record: Mapping[str, Any]) -> int:
        """The grid that a photograph is exported on: 1 upright, else its orientation."""
        grid = record.get("orientation", "upright") if self._grid == "run" else self._grid
        return int(record.get("stored_orientation") or 1) if grid == "stored" else 1

    def review(self, record: Mapping[str, Any]) -> PhotoReview:
        """What people have said; most photographs have never been looked at, and cost nothing here."""
        judged = self._reviewed and record["name"] in self.corrections
        return self.corrections.review(record) if judged else _NEVER_JUDGED

    def photo(self, number: int, record: Mapping[str, Any]) -> tuple[ExportPhoto, Counter[str]]:
        """A photograph by its record, and what is to be counted of it (see `RunReader.counts`).

        Raises
        ------
        UsageError
            A mask has gone or is damaged, or the run wrote none that tell faces apart.
        """
        own = partial(photo_masks, self.directory, record)
        return self.assembled(number, record, own, record["name"], self.names.name(record), None)

    def assembled(
        self,
        number: int,
        record: Mapping[str, Any],
        own_masks: _Masks,
        name: str,
        file_name: str,
        frame: ExportFrame | None,
    ) -> tuple[ExportPhoto, Counter[str]]:
        """A photograph or frame of its parts, and what is to be counted of it.

        Parameters
        ----------
        number, name, file_name, frame
            As of `ExportPhoto`.
        record
            Of a photograph, or what would be a frame's.
        own_masks
            Gives the run's masks of its faces by number, upright, and whether they may have lost pixels to
            one another; asked only where no person has corrected them.

        Raises
        ------
        UsageError
            As of `photo`.
        """
        review = self.review(record)
        orientation = int(record.get("stored_orientation") or 1)
        target = self.grid_of(record)
        counts: Counter[str] = Counter(("photos" if frame is None else "frames",))
        for what, counted in (
            ("stale", review.stale),
            ("turned", orientation != 1),
            ("on_stored_grid", target != 1),
        ):
            counts[what] += counted
        upright_wh = (int(record["size_wh"][0]), int(record["size_wh"][1]))
        if review.correction is not None:
            masks = self._corrected_masks(review)
        else:
            masks, overlapping = own_masks()
            counts["overlapping"] += overlapping
        instances = []
        entries = {int(face["number"]): face for face in record["faces"]}
        for face_number, mask in sorted(masks.items()):
            if review.faces.get(face_number) == "reject":
                counts["rejected_faces"] += 1
            elif mask.pixels.size == 0:
                counts["no_pixels"] += 1
            else:
                entry = None if review.rebased else entries.get(face_number)
                track = None if frame is None else _track_id(frame.clip, face_number)
                instances.append(_instance(face_number, mask, entry, review, target, upright_wh, track))
        counts["faces"] = len(instances)
        taken = {*masks, *entries} if frame is None else {*masks, *range(1, frame.clip.tracks + 1)}
        photo = ExportPhoto(
            number=number,
            name=name,
            path=self.names.path(record),
            file_name=file_name,
            sha256=record["sha256"] or "",
            size_wh=oriented_size(upright_wh, inverse(target)),
            turned=orientation != 1,
            instances=tuple(instances),
            source=_source(review, None),
            known_numbers=tuple(sorted(taken)),
            frame=frame,
        )
        return photo, counts

    def _corrected_masks(self, review: PhotoReview) -> dict[int, MaskWindow]:
        """Masks of a corrected map, upright."""
        if review.correction is None:
            return {}
        instances = self.corrections.instances(review.correction)
        masks = {
            int(number): MaskWindow.of(instances == number) for number in np.unique(instances) if number > 0
        }
        whole = self.corrections.whole_faces(review.correction)
        return masks | {number: MaskWindow.of(mask) for number, mask in whole.items()}


def _track_id(clip: ExportClip, number: int) -> int | None:
    """The track of a face of a frame; None for one that a person has added."""
    return clip.first_track_id + number - 1 if number <= clip.tracks else None


def _instance(
    number: int,
    mask: MaskWindow,
    entry: Mapping[str, Any] | None,
    review: PhotoReview,
    target: int,
    upright_wh: tuple[int, int],
    track_id: int | None,
) -> Instance:
    """A face on the export's grid."""
    points = None
    if entry is not None and entry.get("landmarks"):
        points = np.rint(entry["landmarks"]).astype(np.int32)
        points = oriented_points(points, inverse(target), upright_wh)
    if track_id is None and entry is not None and entry.get("track_id") is not None:
        track_id = int(entry["track_id"])
    return Instance(
        number=number,
        mask=oriented_window(mask, inverse(target), upright_wh),
        score=_figure(entry, "score") if review.correction is None else None,
        confidence=_figure(entry, "confidence") if review.correction is None else None,
        landmarks=points,
        landmark_quality=None if points is None else _figure(entry, "landmark_quality"),
        source=_source(review, number),
        track_id=track_id,
    )


def _figure(entry: Mapping[str, Any] | None, key: str) -> float | None:
    value = None if entry is None else entry.get(key)
    return None if value is None else float(value)


def _source(review: PhotoReview, number: int | None) -> Literal["run", "accepted", "corrected"]:
    if review.correction is not None:
        return "corrected"
    accepted = review.verdict == "accept" or (number is not None and review.faces.get(number) == "accept")
    return "accepted" if accepted else "run"
