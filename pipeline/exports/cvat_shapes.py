"""Shapes as CVAT 1.1 writes them, in images and in tracks: ``<mask>`` and ``<polygon>``."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

import numpy as np

from pipeline.exports.polygons import Ring, fill
from pipeline.exports.rle import decode_rows, encode_rows
from pipeline.exports.values import LABEL, Instance, MaskWindow

_NUMBER = "face"
_ATTRIBUTES = (_NUMBER, "confidence", "landmark_quality")

LABELS = (
    f"<labels><label><name>{LABEL}</name><attributes>"
    + "".join(
        f"<attribute><name>{name}</name><mutable>{name != _NUMBER}</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for name in _ATTRIBUTES
    )
    + "</attributes></label></labels>"
)
"""What a task is to have for shapes to keep their attributes; CVAT passes over those it does not have."""


def attributes_text(instance: Instance) -> str:
    """Number of a face, so that it is known when it comes back, and how good it is."""
    values = {_NUMBER: instance.number, **instance.qualities}
    return "".join(f'      <attribute name="{name}">{value}</attribute>\n' for name, value in values.items())


def read_number(shape: ET.Element) -> int | None:
    """Number of the face that a shape is of; None for a new one."""
    for attribute in shape.iter("attribute"):
        text = (attribute.text or "").strip()
        if attribute.get("name") == _NUMBER and text.isdecimal() and int(text):
            return int(text)
    return None


def mask_text(mask: MaskWindow, common: str, attributes: str) -> str:
    """A mask: a box and the lengths of its runs along the rows, background first."""
    counts = ", ".join(map(str, encode_rows(mask.pixels).tolist()))
    left, top, width, height = mask.xywh
    return (
        f'    <mask {common} rle="{counts}" left="{left}" top="{top}" width="{width}" height="{height}" '
        f'z_order="0">\n{attributes}    </mask>\n'
    )


def polygon_text(ring: Ring, common: str, attributes: str, group: str = "") -> str:
    """A ring along the edges of pixels."""
    points = ";".join(f"{x}.00,{y}.00" for x, y in ring.tolist())
    return f'    <polygon {common} points="{points}" z_order="0"{group}>\n{attributes}    </polygon>\n'


def read_shape(tag: str, attributes: Mapping[str, str], size_wh: tuple[int, int]) -> MaskWindow:
    """The mask of a shape.

    Raises
    ------
    ValueError, KeyError
        It is neither a mask nor a polygon, makes no sense, or leaves the picture.
    """
    if tag == "mask":
        left, top, width, height = (int(attributes[key]) for key in ("left", "top", "width", "height"))
        counts = np.array(attributes["rle"].split(","), np.int64)
        mask = MaskWindow.of(decode_rows(counts, (width, height)), left, top)
    elif tag == "polygon":
        points = [tuple(map(float, point.split(","))) for point in attributes["points"].split(";")]
        mask = fill([np.array(points)], size_wh)
    else:
        raise ValueError(f"holds <{tag}>: only masks and polygons can be imported")
    if mask.pixels.size and not (
        0 <= mask.x <= size_wh[0] - mask.box.width and 0 <= mask.y <= size_wh[1] - mask.box.height
    ):
        raise ValueError("a mask leaves the picture")
    return mask
