"""``uncrop models``: networks by name.

::

    uncrop models list
    uncrop models fetch fcn8s_500
    uncrop models add my_network deploy.prototxt weights.caffemodel
    uncrop models verify
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import NetworkConfig
from pipeline.errors import EXIT_INTERRUPTED, EXIT_NOTHING_DONE, EXIT_OK, ModelError
from pipeline.models.catalogue import (
    MODELS_DIRECTORY,
    OWN_LICENCE,
    ModelFiles,
    installed,
    known_models,
    resolve_model,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--directory", type=Path, default=MODELS_DIRECTORY, help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="known networks and whether their files are here")
    actions.add_parser("fetch", help="download a network").add_argument("name", metavar="NAME")
    adding = actions.add_parser("add", help="take over files of your own under a name")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("prototxt", metavar="PROTOTXT", type=Path)
    adding.add_argument("caffemodel", metavar="CAFFEMODEL", type=Path)
    actions.add_parser("verify", help="check the SHA-256 of every file").add_argument(
        "names", metavar="NAME", nargs="*"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code (0, or 2 when a model is missing or wrong)."""
    directory: Path = options.directory
    try:
        if options.action == "list":
            _print_list(directory)
        elif options.action == "fetch":
            _fetch(options.name, directory)
        elif options.action == "add":
            from pipeline.models.install import add  # noqa: PLC0415 - the other actions need no Caffe format

            _print_files(add(options.name, options.prototxt, options.caffemodel, directory=directory))
        else:
            return _verify(options.names or installed(directory), directory)
    except OSError as error:
        print(f"{error.filename or directory}: {error.strerror or error}", file=sys.stderr)
        return EXIT_NOTHING_DONE
    except KeyboardInterrupt:
        print("Stopped; what has arrived is kept, the same command goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_OK


def _fetch(name: str, directory: Path) -> None:
    from pipeline.models.install import fetch  # noqa: PLC0415 - the other actions need no Caffe format

    entry = known_models(directory).get(name)
    if entry is not None:
        print(f"{name}: {entry.title}\nLicence: {entry.licence}", flush=True)
    _print_files(fetch(name, directory=directory))


def _print_list(directory: Path) -> None:
    entries = known_models(directory)
    here = installed(directory)
    for name in dict.fromkeys([*entries, *here]):
        state = "here" if name in here else f"not here; python -m pipeline.models fetch {name}"
        title = entries[name].title if name in entries else "added by hand"
        licence = entries[name].licence if name in entries else OWN_LICENCE
        print(f"{name}  ({state})\n    {title}\n    licence: {licence}")


def _print_files(files: ModelFiles) -> None:
    print(f"{files.prototxt}  {files.prototxt_sha256}\n{files.caffemodel}  {files.caffemodel_sha256}")


def _verify(names: Sequence[str], directory: Path) -> int:
    worst = EXIT_OK
    for name in names:
        try:
            resolve_model(NetworkConfig(model=name), directory=directory)
        except ModelError as error:
            print(f"{name}: {error}")
            worst = error.exit_code
        else:
            print(f"{name}: ok")
    return worst
