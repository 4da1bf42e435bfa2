"""``uncrop export``: masks in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.counted import counted
from pipeline.errors import EXIT_OK, EXIT_SOME_FAILED, UsageError
from pipeline.exports.registry import FORMATS, format_of
from pipeline.files import path_argument

if TYPE_CHECKING:
    from pipeline.exports.base import Format
    from pipeline.exports.exporting import ExportReport

_SPLIT_KEYS = ("hash", "folder", "person")
_MOST_AT_ONCE = 4
"""Threads, and processes: what they make is written by one, and each takes some 70 MB."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("output", type=path_argument, metavar="OUTPUT", help="the output directory of a run")
    parser.add_argument(
        "--to",
        nargs="+",
        required=True,
        metavar=("FORMAT", "DEST"),
        help=f"one of {', '.join(FORMATS)}, and the folder to write (default: OUTPUT/exports/FORMAT)",
    )
    parser.add_argument(
        "--root",
        type=path_argument,
        metavar="DIR",
        help="file names start from here (default: as the run was given them)",
    )
    parser.add_argument(
        "--orientation",
        choices=("upright", "stored"),
        help="pixel grid of turned photographs: as viewers show them, or as the file holds them (default: "
        "that of the run's masks)",
    )
    parser.add_argument(
        "--shapes", choices=("masks", "polygons"), help="run lengths or outlines, where the format has both"
    )
    parser.add_argument(
        "--images", choices=("link", "copy", "none"), help="put the photographs beside the labels"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=1,
        metavar="N",
        help="every N-th frame of clips, from the first on; 0 leaves clips out (default: %(default)s)",
    )
    parser.add_argument(
        "--write-frames",
        choices=("png", "jpg", "none"),
        help="write these frames as pictures beside the labels (default: jpg for formats that want pictures, "
        "else none)",
    )
    parser.add_argument("--split", metavar="SHARES", help="train, val and test, such as 0.8,0.1,0.1")
    parser.add_argument(
        "--by",
        choices=_SPLIT_KEYS,
        default="hash",
        help="what stays together in a split (default: %(default)s)",
    )
    parser.add_argument(
        "--url-prefix",
        default="/data/local-files/?d=",
        metavar="TEXT",
        help="what makes a path an address for Label Studio (default: %(default)s)",
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from pipeline.environment import usable_cores  # noqa: PLC0415 - help needs no OpenCV
    from pipeline.exports.exporting import export  # noqa: PLC0415
    from pipeline.exports.reader import RunReader  # noqa: PLC0415
    from pipeline.exports.splits import parse_splits  # noqa: PLC0415
    from pipeline.exports.values import ExportSettings  # noqa: PLC0415

    cores = usable_cores()
    name, destination = _target(options)
    kind = format_of(name)
    if options.shapes and options.shapes not in kind.shapes:
        raise UsageError(f"--shapes {options.shapes}: {name} holds {' or '.join(kind.shapes)} only")
    if options.frames < 0:
        raise UsageError(f"--frames {options.frames}: 0 or more is expected")
    frames = options.write_frames or ("none" if options.images == "none" else kind.frames)
    splits = parse_splits(options.split, options.by)
    settings = ExportSettings(
        shapes=options.shapes or kind.shapes[0],
        images=options.images or kind.images,
        frames=frames,
        splits=splits.names,
        url_prefix=options.url_prefix,
    )
    reader = RunReader(
        options.output,
        root=options.root,
        grid=options.orientation or "run",
        threads=min(cores, _MOST_AT_ONCE),
        processes=min(cores, _MOST_AT_ONCE) if cores > 1 else 0,
        every=options.frames,
        frames=frames,
    )
    report = export(reader, kind, destination, settings, splits)
    for line in _notes(report, kind, name, reader.stored_grid):
        print(f"note: {line}", file=sys.stderr)
    for line in report.problems:
        print(f"failed: {line}", file=sys.stderr)
    parts = ", ".join(f"{part} {count}" for part, count in report.parts.items() if part)
    counts = report.counts
    clips = ""
    if counts["clips_read"]:
        clips = f"{counted(counts['frames'], 'frame')} of {counted(counts['clips_read'], 'clip')}, "
    print(
        f"{counted(counts['photos'], 'photograph')}, {clips}{counted(counts['faces'], 'face')}"
        f" -> {destination}" + (f" ({parts})" if parts else "")
    )
    return EXIT_SOME_FAILED if report.problems else EXIT_OK


def _target(options: argparse.Namespace) -> tuple[str, Path]:
    name, *rest = options.to
    if name not in FORMATS:
        raise UsageError(f"--to {name}: no such format; there are {', '.join(FORMATS)}")
    if len(rest) > 1:
        raise UsageError(f"--to {' '.join(options.to)}: a format and one folder are expected")
    try:
        return name, path_argument(rest[0]) if rest else options.output / "exports" / name
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--to {name}: {error}") from error


def _notes(report: ExportReport, kind: type[Format], name: str, stored_grid: bool) -> list[str]:
    """What the user should know of what the export lacks."""
    counts = report.counts
    lines = []
    if counts["failed"]:
        lines.append(f"left out: {counted(counts['failed'], 'photograph')} that failed in the run")
    if counts["clips"]:
        lines.append(f"left out: {counted(counts['clips'], 'clip')}; --frames 1 takes every frame")
    if counts["broken_clips"]:
        lines.append(f"left out: frames of {counted(counts['broken_clips'], 'clip')}, which cannot be read")
    if counts["broken"]:
        lines.append(f"left out: {counted(counts['broken'], 'photograph')} with masks that cannot be read")
    if counts["rejected"] or counts["rejected_faces"]:
        lines.append(
            f"left out: {counted(counts['rejected'], 'photograph')} and "
            f"{counted(counts['rejected_faces'], 'face')} that were rejected in the review"
        )
    if counts["stale"]:
        lines.append(
            f"of {counted(counts['stale'], 'picture')} a judgement no longer counts: the picture or its "
            "faces have changed since"
        )
    if counts["no_pixels"]:
        lines.append(f"left out: {counted(counts['no_pixels'], 'face')} with an empty mask")
    if counts["overlapping"]:
        lines.append(
            f"in {counted(counts['overlapping'], 'picture')} faces may overlap, and a pixel has one face "
            "only; run with output.crop_masks: true to keep them whole"
        )
    if stored_grid and counts["turned"] and kind.shows == "upright":
        lines.append(
            f"{counted(counts['turned'], 'picture')} turned by EXIF or the clip: the masks lie on the stored "
            f"pixel grid, but readers of {name} show pictures upright; use --orientation upright"
        )
    return lines
