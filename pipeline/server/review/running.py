"""Starting the review page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config import recorded_config
from pipeline.inputs import list_photos
from pipeline.manifest.journal import read_run
from pipeline.server.review.album import Album
from pipeline.server.review.app import OneTimeCode, create_review_app
from pipeline.server.review.tools import FaceTool
from pipeline.server.running import address, listen, run_until_stopped


def review(
    output: Path,
    inputs: Sequence[str],
    *,
    port: int,
    who: str,
    token: str,
    announce: Callable[[str], None],
    show: Callable[[str], object] | None = None,
) -> None:
    """Serve the page on this machine until SIGINT or SIGTERM.

    Parameters
    ----------
    output
        The output directory of a run; made when ``inputs`` are given.
    inputs
        Photographs that need no result.
    port
        0: any free one.
    who
        Goes into ``review.jsonl``.
    token
        Goes into the address.
    announce
        Told the address.
    show
        Told another address, which is good once and may be seen by others afterwards: for a browser.

    Raises
    ------
    ConfigError
        An input is not there.
    UsageError
        The port is taken.
    """
    album, tool = open_album(output, inputs, who)
    listener = listen("127.0.0.1", port)
    code = OneTimeCode()
    announce(f"{address(listener)}/?token={token}")
    if show is not None:
        show(f"{address(listener)}/?once={code.text}")
    run_until_stopped(create_review_app(album, tool, token, code), listener)


def open_album(output: Path, inputs: Sequence[str], who: str) -> tuple[Album, FaceTool]:
    """Make what the page shows, and what segments further faces: with the configuration of the run."""
    run = read_run(output)
    config = recorded_config(run.get("config"))
    others = {}
    if inputs:
        output.mkdir(parents=True, exist_ok=True)
        listed = config.model_copy(update={"input": config.input.model_copy(update={"paths": tuple(inputs)})})
        others = {photo.name: photo.path for photo in list_photos(listed.input, output_directory=output)}
    working_directory = Path(run.get("working_directory", Path.cwd()))
    return Album(output, config, working_directory, others, who), FaceTool(config)
