"""``uncrop report``: a run as one page that can be looked at and mailed."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.errors import EXIT_OK, UsageError
from pipeline.files import path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("output", type=path_argument, metavar="OUTPUT", help="the output directory of a run")
    add("--to", type=path_argument, metavar="FILE", help="the page (default: OUTPUT/report.html)")
    add(
        "--without-pictures",
        action="store_true",
        help="no contact sheets: the page then shows nobody's face",
    )


def execute(options: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from pipeline.manifest.journal import MANIFEST_NAME  # noqa: PLC0415 - help needs none of it

    directory: Path = options.output
    if not (directory / MANIFEST_NAME).is_file():
        raise UsageError(f"{directory}: no {MANIFEST_NAME} there; name the output directory of a run")
    from pipeline.report.writing import write_report  # noqa: PLC0415 - wrong usage is told first

    print(write_report(directory, options.to, pictures=not options.without_pictures))
    return EXIT_OK
