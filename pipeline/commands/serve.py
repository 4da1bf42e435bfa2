"""``uncrop serve``: masks over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from pipeline.errors import EXIT_OK, UsageError

TOKEN_VARIABLE = "UNCROP_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = (
        f"With {TOKEN_VARIABLE} in the environment every request needs 'Authorization: Bearer TOKEN'. "
        "Exit code: 0 stopped by a signal, 2 it could not start."
    )
    add = parser.add_argument
    add("--config", metavar="YAML", help="configuration (default: default.yaml of the program itself)")
    add("--host", metavar="ADDRESS", help="address to listen on (server.host)")
    add("--port", metavar="N", help="port, 0 for any free one (server.port)")
    add("--workers", metavar="N", help="photographs at once, or auto")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any key; repeatable")
    add("--open", action="store_true", help="let anybody ask who reaches the address, without a token")
    add("--verbose", action="store_true", help="log every request")


def execute(options: argparse.Namespace) -> int:
    """Serve until a signal; returns the exit code."""
    from pipeline.config import load_config  # noqa: PLC0415 - help needs no pydantic

    given = [
        f"{key}={value}"
        for key, value in (
            ("server.host", options.host),
            ("server.port", options.port),
            ("execution.workers", options.workers),
        )
        if value is not None
    ]
    config = load_config(options.config, [*options.set, *given])
    try:
        from pipeline.server.running import serve  # noqa: PLC0415 - a wrong configuration is told first
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'uncrop[serve]'") from error

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )
    token = os.environ.get(TOKEN_VARIABLE) or None
    serve(config, token, is_open=options.open, announce=lambda text: print(text, file=sys.stderr, flush=True))
    return EXIT_OK
