"""The progress bar."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Self

from tqdm import tqdm


class Progress:
    """A bar on standard error with rate, remaining time and what went wrong; nothing if that is no terminal.

    Parameters
    ----------
    total
        Photographs of the run.
    enabled
        False: never shown.
    """

    def __init__(self, total: int, *, enabled: bool = True) -> None:
        self._counts: Counter[str] = Counter()
        disabled = not (enabled and sys.stderr.isatty())
        self._bar = tqdm(
            total=total, unit="photo", dynamic_ncols=True, smoothing=0.05, disable=disabled, file=sys.stderr
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, status: str) -> None:
        """Count one photograph that ended with ``status``."""
        self._counts[status] += 1
        shown = {name: n for name, n in self._counts.items() if name != "ok"}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def show(self, part: str) -> None:
        """Say which part of a clip has been done, beside the bar."""
        self._bar.set_postfix_str(part)

    def report(self, line: str) -> None:
        """Print a line above the bar; also when the bar is not shown."""
        self._bar.write(line, file=sys.stderr)
