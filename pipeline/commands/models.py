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

from pipeline.config import NetworkConfig
from pipeline.environment import command_line
from pipeline.errors import EXIT_INTERRUPTED, EXIT_NOTHING_DONE, EXIT_OK, ModelError
from pipeline.files import path_argument
from pipeline.models.catalogue import (
    OWN_LICENCE,
    ModelFiles,
    installed,
    known_models,
    resolve_model,
)
from pipeline.models.places import ModelPlaces, default_places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="known networks and whether their files are here")
    actions.add_parser("fetch", help="download a network").add_argument("name", metavar="NAME")
    adding = actions.add_parser("add", help="take over files of your own under a name")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("prototxt", metavar="PROTOTXT", type=path_argument)
    adding.add_argument("caffemodel", metavar="CAFFEMODEL", type=path_argument)
    actions.add_parser("verify", help="check the SHA-256 of every file").add_argument(
        "names", metavar="NAME", nargs="*"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code (0, or 2 when a model is missing or wrong)."""
    places = default_places()
    try:
        if options.action == "list":
            _print_list(places)
        elif options.action == "fetch":
            _fetch(options.name, places)
        elif options.action == "add":
            from pipeline.models.install import add  # noqa: PLC0415 - the other actions need no Caffe format

            _print_files(add(options.name, options.prototxt, options.caffemodel, places=places))
        else:
            return _verify(options.names or installed(places), places)
    except OSError as error:
        print(f"{error.filename or places.fetched}: {error.strerror or error}", file=sys.stderr)
        return EXIT_NOTHING_DONE
    except KeyboardInterrupt:
        print("Stopped; what has arrived is kept, the same command goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_OK


def _fetch(name: str, places: ModelPlaces) -> None:
    from pipeline.models.install import fetch  # noqa: PLC0415 - the other actions need no Caffe format

    entry = known_models(places).get(name)
    if entry is not None:
        print(f"{name}: {entry.title}\nLicence: {entry.licence}", flush=True)
    _print_files(fetch(name, places=places))


def _print_list(places: ModelPlaces) -> None:
    entries = known_models(places)
    here = installed(places)
    for name in dict.fromkeys([*entries, *here]):
        state = "here" if name in here else f"not here; {command_line('models', 'fetch', name)}"
        title = entries[name].title if name in entries else "added by hand"
        licence = entries[name].licence if name in entries else OWN_LICENCE
        print(f"{name}  ({state})\n    {title}\n    licence: {licence}")


def _print_files(files: ModelFiles) -> None:
    print(f"{files.prototxt}  {files.prototxt_sha256}\n{files.caffemodel}  {files.caffemodel_sha256}")


def _verify(names: Sequence[str], places: ModelPlaces) -> int:
    worst = EXIT_OK
    for name in names:
        try:
            resolve_model(NetworkConfig(model=name), places=places)
        except ModelError as error:
            print(f"{name}: {error}")
            worst = error.exit_code
        else:
            print(f"{name}: ok")
    return worst
