"""A run's output folder as a stream of photographs and frames with their faces, as people have left them.

Memory does not grow with the number of photographs but for their names, nor with the length of clips: records
are read one by one, a few photographs at a time are decoded ahead, and clips go through frame by frame.

Masks of faces are taken from, in this order: the corrected map of a person; the masks of the crops, where the
run has kept them (``output.crop_masks``), which are whole even where faces overlap; the instance map, where a
pixel belongs to one face only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.corrections.judgements import PhotoReview
from pipeline.corrections.layer import Corrections
from pipeline.errors import ClipReadError, UsageError
from pipeline.exports.ahead import in_order
from pipeline.exports.clip_frames import ClipFrame, frame_name, read_clip
from pipeline.exports.file_names import FileNames
from pipeline.exports.grid import inverse, oriented_points, oriented_size, oriented_window
from pipeline.exports.run_masks import photo_masks
from pipeline.exports.values import ExportClip, ExportFrame, ExportPhoto, FrameFiles, Instance, MaskWindow
from pipeline.images import to_stored_orientation
from pipeline.manifest.journal import MANIFEST_NAME, read_manifest, read_run
from pipeline.manifest.schema import Record

Grid = Literal["run", "upright", "stored"]
"""Which pixel grid an export lies on; ``run``: that of the run's own masks."""

EXPORTED = ("ok", "no_face", "partial")
MOST_PROBLEMS = 5
_NEVER_JUDGED = PhotoReview("", None, {}, None, rebased=False, stale=False, shown="")

_Masks = Callable[[], tuple[dict[int, MaskWindow], bool]]


class RunReader:
    """Reads the photographs and clips of one output directory.

    Parameters
    ----------
    directory
        The output directory.
    root
        Folder that the photographs' names start from; None: see `pipeline.exports.file_names.FileNames`.
    grid
        See `Grid`.
    threads
        How many photographs are decoded at once.
    reviewed
        Whether what people have said and drawn counts; else faces are as the run has made them.
    every
        Every which frame of a clip is read; 0: none.
    frames
        As what pictures of frames are to be written; ``none``: clips themselves are not read.

    Attributes
    ----------
    counts
        What was met so far: ``photos``, ``frames`` and ``faces``; ``clips_read``; what is left out:
        ``failed`` and ``rejected`` photographs, ``broken`` ones whose masks cannot be read, ``broken_clips``
        of which at least a part cannot, ``clips``, ``rejected_faces`` and faces with ``no_pixels``; and
        pictures with ``stale`` judgements, ``overlapping`` ones whose faces may have lost pixels to each
        other, and ``turned`` ones.
    problems
        What is wrong with the first broken photographs and clips.
    stored_grid
        Whether masks of turned photographs lie on the stored grid.

    Raises
    ------
    UsageError
        There is no manifest.
    """

    def __init__(
        self,
        directory: Path,
        *,
        root: Path | None = None,
        grid: Grid = "run",
        threads: int = 2,
        reviewed: bool = True,
        every: int = 0,
        frames: FrameFiles = "none",
    ) -> None:
        if not (directory / MANIFEST_NAME).is_file():
            raise UsageError(f"{directory}: no {MANIFEST_NAME} there; name the output directory of a run")
        self.directory = directory
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._corrections = Corrections(directory)
        self._names = FileNames(str(read_run(directory).get("working_directory") or Path.cwd()), root)
        self.stored_grid = grid == "stored"
        self._grid = grid
        self._threads = threads
        self._reviewed = reviewed
        self._every = every
        self._frame_files: FrameFiles = frames
        self._tracks = 0

    def photos(self) -> Iterator[ExportPhoto]:
        """Yield photographs and frames in the order of their names; broken ones are left out and counted.

        Raises
        ------
        UsageError
            A photograph does not lie below the root of choice.
        """
        number = 0
        for is_clip, records in groupby(self._records(), key=lambda record: "clip" in record):
            if is_clip:
                for record in records:
                    for photo in self._frames_of(record, number + 1):
                        number = photo.number
                        yield photo
                continue
            work = enumerate(records, start=number + 1)
            for place, outcome in in_order(lambda item: (item[0], self._attempt(*item)), work, self._threads):
                number = place
                if isinstance(outcome, UsageError):
                    self._note_problem("broken", outcome)
                    continue
                photo, counts = outcome
                self.counts.update(counts)
                yield photo

    def photo(self, record: Mapping[str, Any]) -> ExportPhoto:
        """One photograph by its record.

        Raises
        ------
        UsageError
            A mask has gone or is damaged, or the run wrote none that tell faces apart.
        """
        return self._photo(1, record)[0]

    def frames(
        self, record: Mapping[str, Any], wanted: Callable[[int], bool]
    ) -> Iterator[tuple[int, Mapping[str, Any], ExportPhoto]]:
        """Frames of a clip: index, what the record would be of a photograph, and the frame itself.

        Raises
        ------
        UsageError, ClipReadError
            The masks of the clip cannot be read.
        """
        clip = self._clip(record)
        for frame in read_clip(self.directory, record, wanted=wanted, threads=self._threads):
            photo, _ = self._frame(1, record, clip, frame)
            yield frame.index, frame.record, photo

    def records(self) -> Iterator[Record]:
        """The records of all photographs that can be exported."""
        for record in read_manifest(self.directory):
            if _why_left_out(record) is None and "clip" not in record:
                yield record

    def clips(self) -> Iterator[Record]:
        """The records of all clips that can be exported."""
        for record in read_manifest(self.directory):
            if _why_left_out(record) is None and "clip" in record:
                yield record

    def file_name(self, record: Mapping[str, Any]) -> str:
        """What an export calls a photograph or clip."""
        return self._names.name(record)

    def grid_of(self, record: Mapping[str, Any]) -> int:
        """The grid that a photograph is exported on: 1 upright, else its orientation."""
        grid = record.get("orientation", "upright") if self._grid == "run" else self._grid
        return int(record.get("stored_orientation") or 1) if grid == "stored" else 1

    @property
    def corrections(self) -> Corrections:
        """The review layer of the directory."""
        return self._corrections

    def _records(self) -> Iterator[Record]:
        for record in read_manifest(self.directory):
            if _why_left_out(record) is not None:
                self.counts["failed"] += 1
            elif "clip" in record and not self._every:
                self.counts["clips"] += 1
            elif self._review(record).verdict == "reject":
                self.counts["rejected"] += 1
            else:
                self._names.name(record)  # a wrong root is the whole export's, not this photograph's
                yield record

    def _attempt(
        self, number: int, record: Mapping[str, Any]
    ) -> tuple[ExportPhoto, Counter[str]] | UsageError:
        try:
            return self._photo(number, record)
        except UsageError as error:
            return error

    def _note_problem(self, kind: str, error: Exception) -> None:
        self.counts[kind] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(str(error))

    def _photo(self, number: int, record: Mapping[str, Any]) -> tuple[ExportPhoto, Counter[str]]:
        """A photograph, and what is to be counted of it."""
        own = partial(photo_masks, self.directory, record)
        return self._assembled(number, record, own, record["name"], self._names.name(record), None)

    def _frames_of(self, record: Mapping[str, Any], number: int) -> Iterator[ExportPhoto]:
        """The wanted frames of a clip; it ends early where its masks do."""
        clip = self._clip(record)
        path = None if self._frame_files == "none" else self._names.path(record)
        self.counts["clips_read"] += 1
        try:
            for frame in read_clip(
                self.directory,
                record,
                wanted=lambda index: index % self._every == 0,
                clip=path,
                threads=self._threads,
            ):
                photo, counts = self._frame(number, record, clip, frame)
                self.counts.update(counts)
                yield photo
                number += 1
        except (UsageError, ClipReadError) as error:
            self._note_problem("broken_clips", error)

    def _clip(self, record: Mapping[str, Any]) -> ExportClip:
        """The next clip; its tracks get the next numbers."""
        target = self.grid_of(record)
        width, height = record["size_wh"]
        tracks = record["clip"]["tracks"]
        last_frames = {int(track["track"]): int(track["last_frame"]) for track in tracks}
        first, count = self._tracks + 1, max(last_frames, default=-1) + 1
        self._tracks += count
        return ExportClip(
            number=self.counts["clips_read"] + 1,
            file_name=self._names.name(record),
            size_wh=oriented_size((width, height), inverse(target)),
            frames=int(record["clip"]["frames"]),
            every=self._every,
            tracks=count,
            first_track_id=first,
            last_frames=last_frames,
        )

    def _frame(
        self, number: int, record: Mapping[str, Any], clip: ExportClip, frame: ClipFrame
    ) -> tuple[ExportPhoto, Counter[str]]:
        suffix = "jpg" if self._frame_files == "jpg" else "png"
        pixels = frame.pixels
        if pixels is not None:
            pixels = to_stored_orientation(pixels, self.grid_of(record))
        name = frame_name(record["name"], frame.index, suffix)
        file_name = frame_name(clip.file_name, frame.index, suffix)
        place = ExportFrame(clip, frame.index, pixels)
        return self._assembled(number, frame.record, frame.masks, name, file_name, place)

    def _assembled(
        self,
        number: int,
        record: Mapping[str, Any],
        own_masks: _Masks,
        name: str,
        file_name: str,
        frame: ExportFrame | None,
    ) -> tuple[ExportPhoto, Counter[str]]:
        review = self._review(record)
        orientation = int(record.get("stored_orientation") or 1)
        target = self.grid_of(record)
        self.stored_grid = self.stored_grid or target != 1
        counts: Counter[str] = Counter(stale=int(review.stale), turned=int(orientation != 1))
        counts["photos" if frame is None else "frames"] = 1
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
            path=self._names.path(record),
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

    def _review(self, record: Mapping[str, Any]) -> PhotoReview:
        """What people have said; most photographs have never been looked at, and cost nothing here."""
        judged = self._reviewed and record["name"] in self._corrections
        return self._corrections.review(record) if judged else _NEVER_JUDGED

    def _corrected_masks(self, review: PhotoReview) -> dict[int, MaskWindow]:
        """Masks of a corrected map, upright."""
        if review.correction is None:
            return {}
        instances = self._corrections.instances(review.correction)
        masks = {
            int(number): MaskWindow.of(instances == number) for number in np.unique(instances) if number > 0
        }
        whole = self._corrections.whole_faces(review.correction)
        return masks | {number: MaskWindow.of(mask) for number, mask in whole.items()}


def _why_left_out(record: Mapping[str, Any]) -> Literal["failed"] | None:
    """What stands against a record: it has no masks."""
    return "failed" if record.get("status") not in EXPORTED or not record.get("size_wh") else None


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
        score=float(entry["score"]) if entry is not None and review.correction is None else None,
        landmarks=points,
        source=_source(review, number),
        track_id=track_id,
    )


def _source(review: PhotoReview, number: int | None) -> Literal["run", "accepted", "corrected"]:
    if review.correction is not None:
        return "corrected"
    accepted = review.verdict == "accept" or (number is not None and review.faces.get(number) == "accept")
    return "accepted" if accepted else "run"
