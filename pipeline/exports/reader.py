"""A run's output folder as a stream of photographs and frames with their faces, as people have left them.

Memory does not grow with the number of photographs but for their names, nor with the length of clips: records
are read one by one, a few photographs at a time are decoded ahead, and clips go through frame by frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.corrections.layer import Corrections
from pipeline.errors import ClipReadError, UsageError
from pipeline.exports.ahead import Ahead
from pipeline.exports.clip_frames import ClipFrame, frame_name, read_clip
from pipeline.exports.grid import inverse, oriented_size
from pipeline.exports.record_reader import Grid, RecordReader
from pipeline.exports.values import ExportClip, ExportFrame, ExportPhoto, FrameFiles
from pipeline.images import to_stored_orientation
from pipeline.manifest.journal import MANIFEST_NAME, read_manifest
from pipeline.manifest.schema import Record

EXPORTED = ("ok", "no_face", "partial")
MOST_PROBLEMS = 5

_Content = TypeVar("_Content")
_Item = tuple[int, Mapping[str, Any]]
_Outcome = tuple[ExportPhoto, Counter[str], _Content] | UsageError


class RunReader:
    """Reads the photographs and clips of one output directory.

    Parameters
    ----------
    directory
        The output directory.
    root, grid, reviewed
        As of `pipeline.exports.record_reader.RecordReader`.
    threads
        How many photographs are decoded at once.
    processes
        How many processes prepare photographs where there are many (see `prepared`); 0: none.
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
        other, ``turned`` ones, and those whose masks lie ``on_stored_grid`` for that.
    problems
        What is wrong with the first broken photographs and clips.

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
        processes: int = 0,
        reviewed: bool = True,
        every: int = 0,
        frames: FrameFiles = "none",
    ) -> None:
        if not (directory / MANIFEST_NAME).is_file():
            raise UsageError(f"{directory}: no {MANIFEST_NAME} there; name the output directory of a run")
        self.directory = directory
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._grid = grid
        self._open_records = partial(RecordReader, directory, root=root, grid=grid, reviewed=reviewed)
        self._read = self._open_records()
        self._threads = threads
        self._processes = processes
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
        for _, photo in self._stream(_itself, processes=0):
            yield photo

    def prepared(self, prepare: Callable[[ExportPhoto], _Content]) -> Iterator[tuple[ExportPhoto, _Content]]:
        """Yield photographs and frames without their faces, each with what was made of it with them.

        Parameters
        ----------
        prepare
            Makes it; it goes to other processes by pickle, and so does what it makes.

        Raises
        ------
        UsageError
            As of `photos`.
        WorkerLostError
            A process has died.
        """
        return self._stream(prepare, self._processes)

    def _stream(
        self, prepare: Callable[[ExportPhoto], _Content], processes: int
    ) -> Iterator[tuple[ExportPhoto, _Content]]:
        with Ahead(
            partial(_attempt, prepare, self._read),
            partial(_begun, prepare, self._open_records),
            threads=self._threads,
            processes=processes,
        ) as ahead:
            yield from self._met(prepare, ahead)

    def _met(
        self, prepare: Callable[[ExportPhoto], _Content], ahead: Ahead[_Item, _Outcome[_Content]]
    ) -> Iterator[tuple[ExportPhoto, _Content]]:
        number = 0
        for is_clip, records in groupby(self._records(), key=lambda record: "clip" in record):
            if is_clip:
                for record in records:
                    for frame, counts in self._frames_of(record, number + 1):
                        self.counts.update(counts)
                        number = frame.number
                        yield _prepared(prepare, frame)
                continue
            for place, outcome in enumerate(ahead.in_order(enumerate(records, number + 1)), number + 1):
                number = place
                if isinstance(outcome, UsageError):
                    self._note_problem("broken", outcome)
                    continue
                photo, counts, content = outcome
                self.counts.update(counts)
                yield photo, content

    def photo(self, record: Mapping[str, Any]) -> ExportPhoto:
        """One photograph by its record; errors are as of `RecordReader.photo`."""
        return self._read.photo(1, record)[0]

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
        return self._read.names.name(record)

    def grid_of(self, record: Mapping[str, Any]) -> int:
        """The grid that a photograph is exported on: 1 upright, else its orientation."""
        return self._read.grid_of(record)

    @property
    def stored_grid(self) -> bool:
        """Whether masks of turned photographs lie on the stored grid."""
        return self._grid == "stored" or self.counts["on_stored_grid"] > 0

    @property
    def corrections(self) -> Corrections:
        """The review layer of the directory."""
        return self._read.corrections

    def _records(self) -> Iterator[Record]:
        for record in read_manifest(self.directory):
            if _why_left_out(record) is not None:
                self.counts["failed"] += 1
            elif "clip" in record and not self._every:
                self.counts["clips"] += 1
            elif self._read.review(record).verdict == "reject":
                self.counts["rejected"] += 1
            else:
                self._read.names.name(record)  # a wrong root is the whole export's, not this photograph's
                yield record

    def _note_problem(self, kind: str, error: Exception) -> None:
        self.counts[kind] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(str(error))

    def _frames_of(
        self, record: Mapping[str, Any], number: int
    ) -> Iterator[tuple[ExportPhoto, Counter[str]]]:
        """The wanted frames of a clip and what is to be counted of them; it ends early where its masks do."""
        clip = self._clip(record)
        path = None if self._frame_files == "none" else self._read.names.path(record)
        self.counts["clips_read"] += 1
        try:
            for frame in read_clip(
                self.directory,
                record,
                wanted=lambda index: index % self._every == 0,
                clip=path,
                threads=self._threads,
            ):
                yield self._frame(number, record, clip, frame)
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
            file_name=self._read.names.name(record),
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
        return self._read.assembled(number, frame.record, frame.masks, name, file_name, place)


def _why_left_out(record: Mapping[str, Any]) -> Literal["failed"] | None:
    """What stands against a record: it has no masks."""
    return "failed" if record.get("status") not in EXPORTED or not record.get("size_wh") else None


def _itself(photo: ExportPhoto) -> ExportPhoto:
    return photo


def _prepared(prepare: Callable[[ExportPhoto], _Content], photo: ExportPhoto) -> tuple[ExportPhoto, _Content]:
    return replace(photo, instances=()), prepare(photo)


def _attempt(
    prepare: Callable[[ExportPhoto], _Content], records: RecordReader, item: _Item
) -> _Outcome[_Content]:
    """A photograph, what is to be counted of it, and what was made of it; or why it cannot be read."""
    try:
        photo, counts = records.photo(*item)
    except UsageError as error:
        return error
    photo, content = _prepared(prepare, photo)
    return photo, counts, content


def _begun(
    prepare: Callable[[ExportPhoto], _Content], open_records: Callable[[], RecordReader]
) -> Callable[[_Item], _Outcome[_Content]]:
    """What is done in a process of its own."""
    return partial(_attempt, prepare, open_records())
