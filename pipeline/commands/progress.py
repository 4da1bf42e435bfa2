"""A run as its user sees it: a bar, and a line for everything that went wrong."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from tqdm import tqdm

from pipeline.executors.worker import Outcome
from pipeline.run_events import RunEvents


class Progress(RunEvents):
    """A bar on standard error with rate, remaining time and what went wrong; none if that is no terminal.

    What failed is said in a line of its own, also when there is no bar.

    Parameters
    ----------
    quiet
        Never show the bar.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._counts: Counter[str] = Counter()
        self._bar: tqdm[Any] = tqdm(disable=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begun(self, total: int) -> None:
        """Show the bar."""
        self._bar = tqdm(
            total=total,
            unit="photo",
            dynamic_ncols=True,
            smoothing=0.05,
            disable=self._quiet or not sys.stderr.isatty(),
            file=sys.stderr,
        )

    def part_done(self, where: str) -> None:
        """Say how far a clip has come, beside the bar."""
        self._bar.set_postfix_str(where)

    def done(self, outcome: Outcome, status: str) -> None:
        """Count one photograph, and say what failed."""
        for line in failure_lines(outcome.record or {}):
            self._bar.write(line, file=sys.stderr)
        self._counts[status] += 1
        shown = {name: n for name, n in self._counts.items() if name != "ok"}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def stopping(self) -> None:
        """Say so; not by print, for the signal may have come in the middle of one."""
        with suppress(OSError):
            os.write(2, b"\nStopping: finishing photographs in hand; Ctrl-C again stops at once.\n")


def failure_lines(record: Mapping[str, Any]) -> list[str]:
    """What went wrong with a photograph, a line an error, each with its path."""
    messages = [error["message"] for error in record.get("errors", ())]
    photo = record.get("photo", "")
    return [f"failed: {text if text.startswith(photo) else f'{photo}: {text}'}" for text in messages]
