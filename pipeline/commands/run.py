"""``uncrop run``: masks of every face in photographs. ``run_pipeline.py`` is the same."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING, Any

from pipeline.counted import counted
from pipeline.errors import EXIT_OK, ConfigError, Problem
from pipeline.files import printable
from pipeline.version import __version__

if TYPE_CHECKING:
    from pipeline.planning import Plan

_DIGITS = 20
"""Longer numbers are none that anybody means; Python itself refuses to read very long ones."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = (
        "Exit code: 0 no photograph failed, 1 some did, 2 nothing was done (wrong usage or config), "
        "70 a fault of the program itself, 130 interrupted."
    )
    add = parser.add_argument
    add("--config", metavar="YAML", help="configuration (default: default.yaml of the program itself)")
    add(
        "--input", nargs="+", metavar="PATH", help="files, folders, globs, @list.txt, or - for paths on stdin"
    )
    add("--output", metavar="DIR", help="folder to write to")
    add("--workers", metavar="N", help="photographs at once, or auto")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any key, such as engine.threads=2; repeatable",
    )
    add("--force", action="store_true", help="do photographs again that are done; look through a whole disk")
    add(
        "--dry-run",
        action="store_true",
        help="check configuration and models, list what would be done, do nothing",
    )
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("--quiet", action="store_true", help="errors only")
    talk.add_argument("--verbose", action="store_true", help="more messages, and tracebacks")
    add("--version", action="version", version=f"uncrop {__version__}")


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from pipeline.config import load_config  # noqa: PLC0415 - help needs no pydantic

    level = logging.INFO if options.verbose else logging.ERROR if options.quiet else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    config = load_config(options.config, options.set, _short_options(options))
    if options.dry_run:
        from pipeline.planning import plan  # noqa: PLC0415 - a wrong configuration is told before OpenCV loads

        _print_plan(plan(config, force=options.force))
        return EXIT_OK
    from pipeline.commands.progress import Progress  # noqa: PLC0415
    from pipeline.runner import run  # noqa: PLC0415

    with Progress(quiet=options.quiet) as progress:
        summary = run(config, force=options.force, verbose=options.verbose, events=progress)
    if not options.quiet:
        print(summary, file=sys.stderr)
    if config.output.report:
        from pipeline.report.writing import write_report  # noqa: PLC0415 - only when asked for

        write_report(summary.directory)
    return summary.exit_code


def _print_plan(plan: Plan) -> None:
    for photo in plan.photos:
        what = "done before" if photo.done else "to do"
        print(f"{what:<12}{printable(photo.path)} -> {photo.name}")
    before = sum(photo.done for photo in plan.photos)
    for sentence in plan.left_out:
        print(f"{sentence}.")
    print(f"{counted(len(plan.photos), 'photograph')}, {before} done before (unless changed since)")


def _short_options(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The short options as configuration; they come last and win."""
    given: dict[str, dict[str, Any]] = {}
    if options.input:
        given["input"] = {"paths": options.input}
    if options.output is not None:
        given["output"] = {"directory": options.output}
    if options.workers is not None:
        is_number = options.workers.isdecimal() and len(options.workers) < _DIGITS
        given["execution"] = {"workers": int(options.workers) if is_number else options.workers}
    problems = [
        Problem("--input", printable(path), "is not UTF-8; put it into a list file: --input @list.txt")
        for path in options.input or ()
        if not _is_text(path)
    ]
    if options.output and not _is_text(options.output):
        problems.append(Problem("--output", printable(options.output), "is not UTF-8; choose another name"))
    if problems:
        raise ConfigError(problems)
    return given


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
