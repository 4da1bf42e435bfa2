"""Formats by name. A new one is a module with a subclass of `pipeline.exports.base.Format`, and a line."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pipeline.exports.base import Format

FORMATS = {
    "coco": "pipeline.exports.coco:Coco",
    "yolo": "pipeline.exports.yolo:Yolo",
    "cvat": "pipeline.exports.cvat:Cvat",
    "label-studio": "pipeline.exports.label_studio:LabelStudio",
    "voc": "pipeline.exports.voc:Voc",
    "huggingface": "pipeline.exports.huggingface:HuggingFace",
    "fiftyone": "pipeline.exports.fiftyone:FiftyOne",
    "csv": "pipeline.exports.csv_table:CsvTable",
}
"""``--to`` and ``--from`` → ``module:class``; imported when asked for."""


def format_of(name: str) -> type[Format]:
    """The class of a format."""
    module, _, attribute = FORMATS[name].partition(":")
    return cast("type[Format]", getattr(import_module(module), attribute))
