"""The command line: ``uncrop COMMAND``, which is also ``python -m pipeline COMMAND``.

A subcommand is a module of `pipeline.commands` and a line of `COMMANDS`. It has two functions:
``add_arguments(parser)``, and ``execute(options)``, which returns the exit code (see `pipeline.errors`). It
is loaded when it is asked for, and loads what it needs when it runs: help and wrong usage come at once.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from pipeline.errors import EXIT_BUG, EXIT_INTERRUPTED, UncropError
from pipeline.streams import dependable_streams
from pipeline.version import __version__


class Command(NamedTuple):
    """A subcommand: the module that has it, and what it does in a line."""

    module: str
    summary: str


EXIT_READER_GONE = 141
"""As shells say that a program ended by SIGPIPE."""

COMMANDS = {
    "run": Command("pipeline.commands.run", "write a mask of every face in photographs"),
    "models": Command("pipeline.commands.models", "list, fetch, add and check networks"),
    "manifest": Command(
        "pipeline.commands.manifest", "look into what a run has left: counts, failures, what to do again"
    ),
    "evaluate": Command("pipeline.commands.evaluate", "compare masks with the truth"),
    "report": Command("pipeline.commands.report", "write a run as one page to look at and to mail"),
    "review": Command("pipeline.commands.review", "look at masks, judge and correct them, on a page"),
    "serve": Command("pipeline.commands.serve", "answer photographs with masks over HTTP"),
    "export": Command("pipeline.commands.export", "write masks in the formats of other tools"),
    "import": Command("pipeline.commands.import_", "take in masks that were corrected in other tools"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code.

    Parameters
    ----------
    arguments
        The words after the program's name; None: those of this process.

    Returns
    -------
    int
        0 none failed, 1 some did, 2 nothing was done (usage, configuration, model), 70 a fault of the program
        itself, 130 interrupted, 141 nobody reads what is printed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in words if not word.startswith("-")), "")
    command: Any = import_module(COMMANDS[name].module) if name in COMMANDS else None
    with dependable_streams():
        options = argparse.Namespace()
        try:
            options = _parsed(_parser(name, command), words)
            exit_code = int(command.execute(options))
            sys.stdout.flush()
        except UncropError as error:
            if getattr(options, "verbose", False):
                traceback.print_exc()
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except BrokenPipeError:  # who reads the output has enough, as `head` does
            return EXIT_READER_GONE
        except Exception:  # noqa: BLE001 - the last boundary: whatever comes here is a bug
            _report_bug()
            return EXIT_BUG
        else:
            return exit_code


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(words)
    except SystemExit:
        sys.stdout.flush()  # of help and version
        raise


def _report_bug() -> None:
    """Say on standard error what went wrong in the program itself, and what a report should hold."""
    from pipeline.environment import describe_machine, describe_program  # noqa: PLC0415 - rarely needed

    traceback.print_exc()
    program = describe_program()
    packages = ", ".join(f"{name} {version}" for name, version in program["packages"].items())
    print(
        "error: this is a fault of the program itself, not of your photographs or configuration; what is "
        "written is whole.\n"
        "Please report it where you have the program from, with the lines above and these:\n"
        f"  uncrop {program['uncrop']}, Python {program['python']}, {describe_machine()['system']}\n"
        f"  {packages}",
        file=sys.stderr,
    )


def _parser(asked: str, command: Any) -> argparse.ArgumentParser:
    """All subcommands by name and summary; the arguments of the one that is asked for."""
    parser = argparse.ArgumentParser(
        prog="uncrop",
        description="Face masks for whole photographs, aligned pixel for pixel with each.",
        epilog="Exit code: 0 none failed, 1 some did, 2 nothing was done (wrong usage, config or model), "
        "70 a fault of the program itself, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"uncrop {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        own = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == asked:
            command.add_arguments(own)
    return parser
