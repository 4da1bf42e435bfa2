"""The masks of a photograph's faces as a run has written them, upright."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarks.geometry import Box
from pipeline.errors import UsageError
from pipeline.exports.grid import inverse, oriented_box, oriented_size, oriented_window
from pipeline.exports.map_files import MapFile
from pipeline.exports.values import MaskWindow
from pipeline.images import to_upright

Windows = Callable[[Sequence[Box]], Sequence[NDArray[Any]]]
"""Gives the parts of a map of numbers that lie in boxes."""


def face_box(face: Mapping[str, Any]) -> Box:
    """The box of a face's crop on the upright picture; it may leave that."""
    return Box(*(int(value) for value in face["box_xywh"]))


def masks_turn(record: Mapping[str, Any]) -> int:
    """The orientation of the grid that a record's maps lie on; 1: upright."""
    return int(record.get("stored_orientation") or 1) if record.get("orientation") == "stored" else 1


def photo_masks(directory: Path, record: Mapping[str, Any]) -> tuple[dict[int, MaskWindow], bool]:
    """Masks of a photograph's faces by number, and whether they may have lost pixels to one another.

    Raises
    ------
    UsageError
        A file has gone or is damaged, or the run wrote none that tells faces apart.
    """
    faces = record["faces"]
    if all("crop_masks" in face.get("files", {}) for face in faces):
        width, height = record["size_wh"]
        turn = masks_turn(record)
        return {
            int(face["number"]): crop_mask(
                f"{directory}/{face['files']['crop_masks']}", face, turn, (width, height)
            )
            for face in faces
        }, False
    files_of = record.get("files", {})
    kind = "instances" if "instances" in files_of else "masks"
    if kind not in files_of or (kind == "masks" and len(faces) > 1):
        raise UsageError(
            f"{directory}: nothing there tells the faces of {record['name']} apart; run it again with "
            "output.instances: true, and output.crop_masks: true where faces overlap"
        )
    picture = MapFile(f"{directory}/{files_of[kind]}")
    check_size(directory, record, picture.size_wh, "instance map" if kind == "instances" else "mask")
    if kind == "masks":
        return masks_of_map(record, lambda boxes: [(part > 127) * 1 for part in picture.windows(boxes)])
    return masks_of_map(record, picture.windows)


def masks_of_map(record: Mapping[str, Any], windows: Windows) -> tuple[dict[int, MaskWindow], bool]:
    """Masks from a map of numbers, where a pixel has one face only; see `photo_masks`."""
    faces, turn = record["faces"], masks_turn(record)
    upright_wh = (int(record["size_wh"][0]), int(record["size_wh"][1]))
    crops = [face_box(face) for face in faces]
    boxes = [oriented_box(box.clipped(upright_wh), inverse(turn), upright_wh) for box in crops]
    masks = {}
    for face, box, part in zip(faces, boxes, windows(boxes), strict=True):
        window = MaskWindow.of(part == int(face["number"]), box.x, box.y)
        masks[int(face["number"])] = oriented_window(window, turn, oriented_size(upright_wh, inverse(turn)))
    return masks, _any_overlap(crops)


def check_size(directory: Path, record: Mapping[str, Any], size_wh: tuple[int, int], what: str) -> None:
    """Refuse a map of another size than the picture's.

    Raises
    ------
    UsageError
        It is.
    """
    width, height = oriented_size((record["size_wh"][0], record["size_wh"][1]), inverse(masks_turn(record)))
    if size_wh != (width, height):
        raise UsageError(
            f"{directory}: the {what} of {record['name']} has {size_wh[0]} x {size_wh[1]} pixels, its record "
            f"says {width} x {height}; run it again"
        )


def crop_mask(
    path: Path | str, face: Mapping[str, Any], turn: int, upright_wh: tuple[int, int]
) -> MaskWindow:
    """The mask of a crop, put where the crop came from; upright.

    Parameters
    ----------
    path
        Its file.
    face
        Has ``box_xywh`` and ``turn_degrees``.
    turn
        Orientation of a file that lies on the stored grid; 1: it lies as the crop was cut out.
    upright_wh
        Width and height of the upright picture in pixels.

    Raises
    ------
    UsageError
        The file has gone, is damaged, or has another size than the box.
    """
    file = MapFile(path)
    [numbers] = file.windows([Box(0, 0, *file.size_wh)])
    picture = numbers > 127
    if turn != 1:
        picture = to_upright(picture, turn)
    else:
        picture = np.rot90(picture, -int(face.get("turn_degrees", 0)) // 90)
    box = face_box(face)
    if picture.shape != (box.height, box.width):
        raise UsageError(f"{path}: has not the size of its face's box; run it again")
    inside = box.clipped(upright_wh)
    part = picture[inside.y - box.y : inside.y_max - box.y, inside.x - box.x : inside.x_max - box.x]
    return MaskWindow.of(part, inside.x, inside.y)


def _any_overlap(boxes: list[Box]) -> bool:
    """Whether any two boxes share a pixel."""
    ordered = sorted((box.x, box.x_max, box.y, box.y_max) for box in boxes if box.area)
    for index, (_, x_max, y, y_max) in enumerate(ordered):
        for other_x, _, other_y, other_y_max in ordered[index + 1 :]:
            if other_x >= x_max:
                break
            if other_y < y_max and y < other_y_max:
                return True
    return False
