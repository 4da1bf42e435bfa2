"""A run's output folder as a stream of photographs with their faces, as far as people have left them.

Memory does not grow with the number of photographs but for their names: records are read one by one, and a
few photographs at a time are decoded ahead.

Masks of faces are taken from, in this order: the corrected map of a person; the masks of the crops, where the
run has kept them (``output.crop_masks``), which are whole even where faces overlap; the instance map, where a
pixel belongs to one face only.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.corrections.judgements import PhotoReview
from pipeline.corrections.layer import Corrections
from pipeline.errors import UsageError
from pipeline.exports.file_names import FileNames
from pipeline.exports.grid import (
    inverse,
    oriented_box,
    oriented_points,
    oriented_size,
    oriented_window,
)
from pipeline.exports.map_files import MapFile
from pipeline.exports.values import ExportPhoto, Instance, MaskWindow
from pipeline.images import to_upright
from pipeline.manifest.journal import MANIFEST_NAME, read_manifest, read_run
from pipeline.manifest.schema import Record

Grid = Literal["run", "upright", "stored"]
"""Which pixel grid an export lies on; ``run``: that of the run's own masks."""

EXPORTED = ("ok", "no_face", "partial")
MOST_PROBLEMS = 5
_BATCH = 16
_NEVER_JUDGED = PhotoReview("", None, {}, None, rebased=False, stale=False, shown="")

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class RunReader:
    """Reads the photographs of one output directory.

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

    Attributes
    ----------
    counts
        What was met so far: ``photos`` and ``faces``; what is left out: ``failed`` and ``rejected``
        photographs, ``broken`` ones whose masks cannot be read, ``clips``, ``rejected_faces`` and faces with
        ``no_pixels``; and photographs with ``stale`` judgements, ``overlapping`` ones whose faces may have
        lost pixels to each other, and ``turned`` ones.
    problems
        What is wrong with the first broken photographs.
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

    def photos(self) -> Iterator[ExportPhoto]:
        """Yield the photographs in the order of their names; broken ones are left out and counted.

        Raises
        ------
        UsageError
            A photograph does not lie below the root of choice.
        """
        work = enumerate(self._records(), start=1)
        for outcome in _in_order(lambda item: self._attempt(*item), work, self._threads):
            if isinstance(outcome, UsageError):
                self.counts["broken"] += 1
                if len(self.problems) < MOST_PROBLEMS:
                    self.problems.append(str(outcome))
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

    def records(self) -> Iterator[Record]:
        """The records of all photographs that can be exported."""
        for record in read_manifest(self.directory):
            if _why_left_out(record) is None:
                yield record

    def file_name(self, record: Mapping[str, Any]) -> str:
        """What an export calls a photograph."""
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
            reason = _why_left_out(record)
            if reason is not None:
                self.counts[reason] += 1
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

    def _photo(self, number: int, record: Mapping[str, Any]) -> tuple[ExportPhoto, Counter[str]]:
        review = self._review(record)
        orientation = int(record.get("stored_orientation") or 1)
        target = self.grid_of(record)
        self.stored_grid = self.stored_grid or target != 1
        counts: Counter[str] = Counter(photos=1, stale=int(review.stale), turned=int(orientation != 1))
        upright_wh = (int(record["size_wh"][0]), int(record["size_wh"][1]))
        if review.correction is not None:
            masks = self._corrected_masks(review)
        else:
            masks = self._own_masks(record, orientation, upright_wh, counts)
        instances = []
        entries = {int(face["number"]): face for face in record["faces"]}
        for face_number, mask in sorted(masks.items()):
            if review.faces.get(face_number) == "reject":
                counts["rejected_faces"] += 1
            elif mask.pixels.size == 0:
                counts["no_pixels"] += 1
            else:
                entry = None if review.rebased else entries.get(face_number)
                instances.append(_instance(face_number, mask, entry, review, target, upright_wh))
        counts["faces"] = len(instances)
        photo = ExportPhoto(
            number=number,
            name=record["name"],
            path=self._names.path(record),
            file_name=self._names.name(record),
            sha256=record["sha256"] or "",
            size_wh=oriented_size(upright_wh, inverse(target)),
            turned=orientation != 1,
            instances=tuple(instances),
            source=_source(review, None),
            known_numbers=tuple(sorted({*masks, *entries})),
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

    def _own_masks(
        self, record: Mapping[str, Any], orientation: int, upright_wh: tuple[int, int], counts: Counter[str]
    ) -> dict[int, MaskWindow]:
        """Masks as the run has written them, upright."""
        faces = record["faces"]
        turn = orientation if record.get("orientation") == "stored" else 1
        from_crops = [face for face in faces if "crop_masks" in face.get("files", {})]
        if len(from_crops) == len(faces):
            return {int(face["number"]): self._crop_mask(face, turn, upright_wh) for face in faces}
        within = [_box(face) for face in faces]
        counts["overlapping"] += _boxes_overlap(within)
        stored_wh = oriented_size(upright_wh, inverse(turn))
        boxes = [oriented_box(box.clipped(upright_wh), inverse(turn), upright_wh) for box in within]
        masks = {}
        for face, box, part in zip(faces, boxes, self._map_windows(record, stored_wh, boxes), strict=True):
            window = MaskWindow.of(part == int(face["number"]), box.x, box.y)
            masks[int(face["number"])] = oriented_window(window, turn, stored_wh)
        return masks

    def _crop_mask(self, face: Mapping[str, Any], turn: int, upright_wh: tuple[int, int]) -> MaskWindow:
        """The mask of a crop, put where the crop came from; upright."""
        file = face["files"]["crop_masks"]
        picture = _whole(MapFile(self.directory / file)) > 127
        if turn != 1:
            picture = to_upright(picture, turn)
        else:
            picture = np.rot90(picture, -int(face.get("turn_degrees", 0)) // 90)
        box = _box(face)
        if picture.shape != (box.height, box.width):
            raise UsageError(f"{self.directory / file}: has not the size of its face's box; run it again")
        inside = box.clipped(upright_wh)
        part = picture[inside.y - box.y : inside.y_max - box.y, inside.x - box.x : inside.x_max - box.x]
        return MaskWindow.of(part, inside.x, inside.y)

    def _map_windows(
        self, record: Mapping[str, Any], stored_wh: tuple[int, int], boxes: list[Box]
    ) -> list[NDArray[Any]]:
        """The parts of the instance map, or of the mask of one face, that lie in boxes."""
        files = record.get("files", {})
        kind = "instances" if "instances" in files else "masks"
        if kind not in files or (kind == "masks" and len(boxes) > 1):
            raise UsageError(
                f"{self.directory}: nothing there tells the faces of {record['name']} apart; run it again "
                "with output.instances: true, and output.crop_masks: true where faces overlap"
            )
        picture = MapFile(self.directory / files[kind])
        if picture.size_wh != stored_wh:
            raise UsageError(
                f"{self.directory}: the {'instance map' if kind == 'instances' else 'mask'} of "
                f"{record['name']} has {picture.size_wh[0]} x {picture.size_wh[1]} pixels, its record says "
                f"{stored_wh[0]} x {stored_wh[1]}; run it again"
            )
        parts = picture.windows(boxes)
        return parts if kind == "instances" else [(part > 127).astype(np.uint8) for part in parts]


def _whole(picture: MapFile) -> NDArray[Any]:
    [pixels] = picture.windows([Box(0, 0, *picture.size_wh)])
    return pixels


def _why_left_out(record: Mapping[str, Any]) -> Literal["failed", "clips"] | None:
    """What stands against a record: it has no masks, or those of a clip, whose frames are no photographs."""
    if record.get("status") not in EXPORTED or not record.get("size_wh"):
        return "failed"
    return "clips" if "clip" in record else None


def _instance(
    number: int,
    mask: MaskWindow,
    entry: Mapping[str, Any] | None,
    review: PhotoReview,
    target: int,
    upright_wh: tuple[int, int],
) -> Instance:
    """A face on the export's grid."""
    points = None
    if entry is not None and entry.get("landmarks"):
        points = np.rint(entry["landmarks"]).astype(np.int32)
        points = oriented_points(points, inverse(target), upright_wh)
    track_id = entry.get("track_id") if entry is not None else None
    return Instance(
        number=number,
        mask=oriented_window(mask, inverse(target), upright_wh),
        score=float(entry["score"]) if entry is not None and review.correction is None else None,
        landmarks=points,
        source=_source(review, number),
        track_id=None if track_id is None else int(track_id),
    )


def _source(review: PhotoReview, number: int | None) -> Literal["run", "accepted", "corrected"]:
    if review.correction is not None:
        return "corrected"
    accepted = review.verdict == "accept" or (number is not None and review.faces.get(number) == "accept")
    return "accepted" if accepted else "run"


def _box(face: Mapping[str, Any]) -> Box:
    return Box(*(int(value) for value in face["box_xywh"]))


def _boxes_overlap(boxes: list[Box]) -> bool:
    """Whether any two boxes share a pixel."""
    ordered = sorted(boxes, key=lambda box: box.x)
    for index, box in enumerate(ordered):
        for other in ordered[index + 1 :]:
            if other.x >= box.x_max:
                break
            if box.intersection(other).area:
                return True
    return False


def _in_order(function: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """Results in the order of their items, a few batches computed ahead by threads."""
    waiting: deque[Future[list[_Out]]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while batch := list(islice(source, _BATCH)):
                waiting.append(pool.submit(lambda batch: [function(item) for item in batch], batch))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
