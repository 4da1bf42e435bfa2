"""One export: the photographs of a run, one by one, into a folder of a format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.exports.base import Format
from pipeline.exports.destination import MARK_NAME, new_folder, to_json
from pipeline.exports.reader import RunReader
from pipeline.exports.splits import Splits
from pipeline.exports.values import ExportSettings
from pipeline.version import __version__


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What became of an export.

    Attributes
    ----------
    destination
        The folder.
    counts
        See `pipeline.exports.reader.RunReader.counts`.
    parts
        Photographs by part; one empty name where nothing is split.
    problems
        What is wrong with the first broken photographs.
    """

    destination: Path
    counts: Mapping[str, int]
    parts: Mapping[str, int]
    problems: tuple[str, ...]


def export(
    reader: RunReader, kind: type[Format], destination: Path, settings: ExportSettings, splits: Splits
) -> ExportReport:
    """Write an export; the folder appears whole or not at all, and replaces an earlier export there.

    Parameters
    ----------
    reader
        Of the run's output directory.
    kind
        The format.
    destination
        The folder to make.
    settings
        How to write; its ``splits`` are those of ``splits``.
    splits
        Which photographs belong together.

    Raises
    ------
    UsageError
        Something else stands at the destination, a photograph that is to be linked or copied has gone, or
        does not lie below the root of choice.
    OutputError
        It cannot be written.
    WorkerLostError
        A process of it has died.
    """
    parts: Counter[str] = Counter(dict.fromkeys(settings.splits, 0))
    with new_folder(destination) as folder:
        with closing(kind(folder, settings)) as writer:
            for photo, content in reader.prepared(partial(kind.prepared, settings)):
                part = splits.part_of(photo)
                parts[part] += 1
                writer.add(photo, part, content)
            writer.finish()
        mark: dict[str, Any] = {"program": f"uncrop {__version__}", "format": kind.__name__, "parts": parts}
        (folder / MARK_NAME).write_text(to_json(mark) + "\n", encoding="ascii")
    return ExportReport(destination, reader.counts, parts, tuple(reader.problems))
