"""``review.jsonl``: one line a judgement, appended whole, and read from the places of its lines."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pipeline.corrections.judgements import Judgement, parse_judgement
from pipeline.errors import OutputError
from pipeline.files import append_whole
from pipeline.outputs import output_error


class ReviewJournal:
    """The judgements of a run. Only places of lines are held in memory, not the lines.

    Parameters
    ----------
    path
        The file; it need not be there.

    Raises
    ------
    OutputError
        It is there but cannot be read.
    UsageError
        A later version of the program has written it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, list[int]] = {}
        self._end = 0
        self._lock = threading.Lock()
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def history(self, name: str) -> list[Judgement]:
        """All judgements of a photograph, the first one first."""
        places = self._places.get(name, ())
        if not places:
            return []
        with _reading(self.path), self.path.open("rb") as file:
            lines = []
            for place in places:
                file.seek(place)
                lines.append(file.readline())
        return [judgement for line in lines if (judgement := parse_judgement(line, self.path)) is not None]

    def append(self, line: Judgement) -> None:
        """Append a whole line and wait until it is on the disk; also beside other processes that do so.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        content = json.dumps(asdict(line), allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                _lock(descriptor)
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    content = b"\n" + content  # ends a line that a kill has cut off
                append_whole(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise output_error(self.path, error) from error
        self.refresh()

    def refresh(self) -> None:
        """Note the places of the lines that have come since; errors are as when it was opened."""
        if not self.path.exists():
            return
        with self._lock, _reading(self.path), self.path.open("rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                judgement = parse_judgement(line, self.path)
                if judgement is not None:
                    self._places.setdefault(judgement.name, []).append(self._end)
                self._end += len(line)


def _lock(descriptor: int) -> None:
    """Wait until no other process appends; closing the file ends the lock. Without locks there is none."""
    if os.name == "posix":
        import fcntl  # noqa: PLC0415 - not on Windows

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: appended lines stay whole all the same
            return


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(path, f"cannot be read: {error.strerror}", "Check the disk") from error
