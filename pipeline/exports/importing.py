"""Masks that people have corrected in another tool, back into the review layer of a run.

A face that comes back as it was exported changes nothing; for outlines that means: as the outline of the
present mask would come back. So an export that is imported untouched writes nothing, and the next export is
the same, byte for byte.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ClipReadError, ImageReadError, UsageError
from pipeline.exports.base import Format
from pipeline.exports.clip_frames import parse_frame_name
from pipeline.exports.grid import oriented_size, oriented_window
from pipeline.exports.matching import index_of
from pipeline.exports.reader import RunReader
from pipeline.exports.values import ExportPhoto, ImportedFace, ImportedPhoto, MaskWindow
from pipeline.images import file_sha256

SAME_FACE_IOU = 0.5
"""A face that comes back without its number is the present one that it shares at least this much with."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of an import.

    Attributes
    ----------
    counts
        Photographs and frames found by ``content`` and by ``name``, ``corrected`` and ``unchanged`` ones,
        and ``unknown`` ones that the run does not have.
    problems
        What is wrong, a line a photograph.
    """

    counts: Mapping[str, int]
    problems: tuple[str, ...]


def import_corrections(
    reader: RunReader,
    kind: type[Format],
    path: Path,
    *,
    who: str,
    photos: Path | None = None,
    write: bool = True,
) -> ImportReport:
    """Take corrected masks into a run's review layer.

    Parameters
    ----------
    reader
        Of the run's output directory; its grid is the one that the masks lie on.
    kind, path
        The format, and the file or folder in it.
    who
        Who has corrected them, for the review.
    photos
        Folder of the photographs that the format speaks of, where it does not keep their hashes.
    write
        Whether to write; else only tell what would be done.

    Raises
    ------
    UsageError
        The file is none of the format.
    OutputError
        The review cannot be written.
    """
    counts: Counter[str] = Counter()
    problems: list[str] = []
    photo_index, clip_index = (
        index_of((record["name"], reader.file_name(record), record.get("sha256")) for record in records)
        for records in (reader.records(), reader.clips())
    )
    found: dict[str, ImportedPhoto] = {}
    of_clips: defaultdict[str, dict[int, ImportedPhoto]] = defaultdict(dict)
    for photo in kind.read(path):
        try:
            sha256 = photo.sha256 or _hash_of(photos, photo.file_name)
            match = photo_index.find(photo.file_name, sha256)
            place = None if match is not None else parse_frame_name(photo.file_name)
            if place is not None:
                match = clip_index.find(place[0], photo.sha256)
            if match is None:
                counts["unknown"] += 1
                problems.append(f"{photo.file_name}: the run has no such photograph or clip")
            elif match[0] in found or (place is not None and place[1] in of_clips[match[0]]):
                problems.append(f"{photo.file_name}: is there twice; only the first is taken")
            else:
                counts[match[1]] += 1
                if place is None:
                    found[match[0]] = photo
                else:
                    of_clips[match[0]][place[1]] = photo
        except UsageError as error:
            problems.append(str(error))

    def compare(record: Mapping[str, Any], imported: ImportedPhoto, frame: ExportPhoto | None = None) -> None:
        try:
            masks = _changed_masks(frame or reader.photo(record), imported, kind)
        except (UsageError, ValueError) as error:
            problems.append(f"{imported.file_name}: {error}")
            return
        counts["unchanged" if masks is None else "corrected"] += 1
        if masks is not None and write:
            _correct(reader, record, masks, who)

    for record in reader.records():
        if record["name"] in found:
            compare(record, found[record["name"]])
    for clip in reader.clips():
        frames = of_clips.get(clip["name"], {})
        try:
            for index, record_of_frame, frame in reader.frames(clip, frames.__contains__) if frames else ():
                compare(record_of_frame, frames[index], frame)
        except (UsageError, ClipReadError) as error:
            problems.append(str(error))
        beyond = [frame.file_name for index, frame in frames.items() if index >= clip["clip"]["frames"]]
        problems += [f"{name}: the clip has no such frame" for name in beyond]
    return ImportReport(counts, tuple(problems))


def _changed_masks(
    photo: ExportPhoto, imported: ImportedPhoto, kind: type[Format]
) -> dict[int, MaskWindow] | None:
    """Faces by number as they are to be now, on the photograph's grid; None where nothing has changed."""
    if imported.size_wh not in (None, photo.size_wh):
        raise UsageError(
            f"has {imported.size_wh[0]} x {imported.size_wh[1]} pixels there, but {photo.size_wh[0]} x "
            f"{photo.size_wh[1]} here; if it is turned, try the other --orientation"
        )
    faces = imported.faces(photo.size_wh)
    held = kind.as_held(photo)
    pairs = paired(held, [instance.number for instance in photo.instances], faces)
    kept = {
        place: instance
        for place, instance in enumerate(photo.instances)
        if place in pairs and held[place].same(faces[pairs[place]].mask)
    }
    if len(kept) == len(photo.instances) == len(faces):
        return None
    masks = {instance.number: instance.mask for instance in kept.values()}
    for place, index in pairs.items():
        masks.setdefault(photo.instances[place].number, faces[index].mask)
    new = max([0, *photo.known_numbers]) + 1
    for index, face in enumerate(faces):
        if index not in pairs.values():
            if face.number in photo.known_numbers and face.number not in masks:
                masks[face.number] = face.mask
            else:
                masks[new] = face.mask
                new += 1
    return masks


def paired(
    present: Sequence[MaskWindow], numbers: Sequence[int], faces: Sequence[ImportedFace]
) -> dict[int, int]:
    """Place of a present face to that of the imported one it has become.

    Faces that come back with a number of theirs keep it; others go by how much they share, most first.
    """
    pairs: dict[int, int] = {}
    given = Counter(face.number for face in faces)
    for index, face in enumerate(faces):
        if face.number in numbers and given[face.number] == 1:
            pairs[numbers.index(face.number)] = index
    taken = set(pairs.values())
    shared = sorted(
        (
            (-present[place].iou(face.mask), place, index)
            for place in range(len(present))
            if place not in pairs
            for index, face in enumerate(faces)
            if index not in taken
        ),
    )
    for negative_iou, place, index in shared:
        if -negative_iou >= SAME_FACE_IOU and place not in pairs and index not in taken:
            pairs[place] = index
            taken.add(index)
    return pairs


def _correct(reader: RunReader, record: Mapping[str, Any], masks: Mapping[int, MaskWindow], who: str) -> None:
    """Write a corrected map, and whole masks of the faces that lose pixels in it."""
    turn = reader.grid_of(record)
    width, height = record["size_wh"]
    size_wh = oriented_size((width, height), turn)
    largest = max(masks, default=0)
    instances: NDArray[Any] = np.zeros((height, width), np.uint8 if largest < 256 else np.uint16)
    upright = {number: oriented_window(mask, turn, size_wh) for number, mask in sorted(masks.items())}
    for number, mask in upright.items():
        instances[mask.y : mask.box.y_max, mask.x : mask.box.x_max][mask.pixels] = number
    whole = {
        number: mask.frame((width, height))
        for number, mask in upright.items()
        if np.count_nonzero(instances[mask.y : mask.box.y_max, mask.x : mask.box.x_max] == number)
        < mask.area_px
    }
    reader.corrections.correct(record, instances, who=who, whole_faces=whole)


def _hash_of(photos: Path | None, file_name: str) -> str | None:
    if photos is None:
        return None
    path = photos / file_name.lstrip("/")
    try:
        return file_sha256(path) if path.is_file() else None
    except ImageReadError:
        return None
