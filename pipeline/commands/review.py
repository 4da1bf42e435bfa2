"""``uncrop review``: a page on this machine to look at masks, judge and correct them."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
import webbrowser
from pathlib import Path

from pipeline.errors import EXIT_OK, UsageError
from pipeline.files import path_argument

_LAST_PORT, _PORT_DIGITS = 65535, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = (
        "What you say and draw is kept in OUTPUT/review.jsonl and OUTPUT/corrected/; the run's own files "
        "stay as they are. Exit code: 0 stopped by a signal, 2 it could not start."
    )
    add = parser.add_argument
    add("output", type=path_argument, metavar="OUTPUT", help="the output directory of a run")
    add("--input", nargs="+", metavar="PATH", help="photographs without results as well, as for `run`")
    add("--port", type=_port, default=0, metavar="N", help="port on 127.0.0.1 (default: any free one)")
    add("--who", metavar="NAME", help="who is judging (default: your user name)")
    add("--no-browser", action="store_true", help="only print the address")


def execute(options: argparse.Namespace) -> int:
    """Serve the page until a signal; returns the exit code."""
    from pipeline.manifest.journal import MANIFEST_NAME  # noqa: PLC0415 - help needs none of it

    directory: Path = options.output
    if not (directory / MANIFEST_NAME).is_file() and not options.input:
        raise UsageError(
            f"{directory}: no {MANIFEST_NAME} there; name the output directory of a run, or photographs "
            "with --input"
        )
    try:
        from pipeline.server.review.running import review  # noqa: PLC0415 - wrong usage is told first
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'uncrop[serve]'") from error

    def announce(address: str) -> None:
        print(f"review: {address}\nStop with Ctrl-C.", file=sys.stderr, flush=True)

    review(
        directory,
        options.input or (),
        port=options.port,
        who=options.who or _user(),
        token=secrets.token_urlsafe(24),
        announce=announce,
        show=None if options.no_browser else webbrowser.open,
    )
    return EXIT_OK


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > _PORT_DIGITS or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"a number from 0 to {_LAST_PORT} is expected, got {text!r}")
    return int(text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for the user's number, as in containers
        return "somebody"
