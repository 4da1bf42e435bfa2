"""``uncrop manifest``: what to do at the end of a run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.errors import EXIT_OK, UsageError
from pipeline.files import path_argument
from pipeline.manifest.journal import MANIFEST_NAME
from pipeline.manifest.reports import RETRY_NAME, failed, retry, summary
from pipeline.manifest.schema import json_schema

ACTIONS = {
    "summary": (summary, "count photographs by status and reason"),
    "failed": (failed, "list failures by reason"),
    "retry": (retry, f"write {RETRY_NAME}, a list file of the photographs that failed, to run again"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("schema", help="print the JSON Schema of a line of the manifest")
    for name, (_, explanation) in ACTIONS.items():
        action = actions.add_parser(name, help=explanation, description=explanation)
        action.add_argument("output", type=path_argument, metavar="OUTPUT", help="the output directory")


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if options.action == "schema":
        print(json.dumps(json_schema(), indent=2))
        return EXIT_OK
    directory: Path = options.output
    if not (directory / MANIFEST_NAME).is_file():
        raise UsageError(f"{directory}: no {MANIFEST_NAME} there; name the output directory of a run")
    try:
        text = ACTIONS[options.action][0](directory)
    except OSError as error:
        raise UsageError(f"{directory / MANIFEST_NAME}: cannot be read ({error.strerror})") from error
    print(text)
    return EXIT_OK
