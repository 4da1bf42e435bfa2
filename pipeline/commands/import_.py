"""``uncrop import``: masks that were corrected in another tool, back into a run's review."""

from __future__ import annotations

import argparse
import getpass
import sys

from pipeline.counted import counted
from pipeline.errors import EXIT_OK, EXIT_SOME_FAILED, UsageError
from pipeline.exports.registry import FORMATS, format_of
from pipeline.files import path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "output", type=path_argument, metavar="OUTPUT", help="the output directory of the run"
    )
    parser.add_argument(
        "--from",
        dest="source",
        nargs=2,
        required=True,
        metavar=("FORMAT", "PATH"),
        help="coco, fiftyone, cvat, label-studio, voc or yolo, and the file or folder",
    )
    parser.add_argument(
        "--root",
        type=path_argument,
        metavar="DIR",
        help="file names in it start from here (as in the export)",
    )
    parser.add_argument(
        "--photos",
        type=path_argument,
        metavar="DIR",
        help="its photographs, to know them by content where it keeps no hash",
    )
    parser.add_argument(
        "--orientation",
        choices=("upright", "stored"),
        help="pixel grid that its masks lie on (default: that of the run's masks)",
    )
    parser.add_argument("--who", metavar="NAME", help="who has corrected them (default: the user's name)")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, write nothing")


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from pipeline.exports.importing import import_corrections  # noqa: PLC0415 - help needs no OpenCV
    from pipeline.exports.reader import RunReader  # noqa: PLC0415

    name = options.source[0]
    if name not in FORMATS:
        raise UsageError(f"--from {name}: no such format; there are {', '.join(FORMATS)}")
    try:
        path = path_argument(options.source[1])
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--from {name}: {error}") from error
    if not path.exists():
        raise UsageError(f"--from {name} {path}: no such file or folder")
    reader = RunReader(options.output, root=options.root, grid=options.orientation or "run")
    report = import_corrections(
        reader,
        format_of(name),
        path,
        who=options.who or f"{_user()} ({name})",
        photos=options.photos,
        write=not options.dry_run,
    )
    for line in report.problems:
        print(f"failed: {line}", file=sys.stderr)
    counts = report.counts
    print(
        f"{counted(counts['content'], 'photograph')} known by content, {counts['name']} by name; "
        f"{counts['corrected']} {'would be ' if options.dry_run else ''}corrected, "
        f"{counts['unchanged']} unchanged, {counts['unknown']} unknown"
    )
    return EXIT_SOME_FAILED if report.problems else EXIT_OK


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
