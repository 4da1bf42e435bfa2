"""Standard input, output and error as a command may count on them: there, and clear about what is lost."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from pipeline.errors import OutputError

_OUTPUT, _ERROR = 1, 2


@contextmanager
def dependable_streams() -> Iterator[None]:
    """Make the standard streams of this process dependable while a command runs.

    One that whoever started the program has closed leads nowhere: otherwise its number would go to the next
    file that is opened, and what is printed would land in there. What cannot be told on standard error is
    lost, and the command goes on. Streams that others have put in their place, as tests do, stay as they are.

    Inside, printing (or the flush of what was printed, which is for the caller to do) raises ``OutputError``
    when standard output takes no more, as on a full disk, and ``BrokenPipeError`` when nobody reads it.
    """
    for number in (0, _OUTPUT, _ERROR):
        _open_if_closed(number)
    before = sys.stdout, sys.stderr
    own_output, own_error = sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__
    if own_output:
        sys.stdout = _text(_Printed(_OUTPUT, "wb", closefd=False), like=before[0])
    if own_error:
        sys.stderr = _text(_Told(_ERROR, "wb", closefd=False), like=before[1])
    try:
        yield
    finally:
        if own_output:
            _let_go(sys.stdout, _OUTPUT)
        if own_error:
            _let_go(sys.stderr, _ERROR)
        sys.stdout, sys.stderr = before


class _Printed(io.FileIO):
    """Standard output, whose errors name it."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            hint = "Free space where it leads to, or send it elsewhere"
            raise OutputError("standard output", f"cannot be written: {error.strerror}", hint) from error


class _Told(io.FileIO):
    """Standard error, on which nothing depends."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _text(raw: io.FileIO, *, like: IO[str] | None) -> io.TextIOWrapper:
    """A text stream on ``raw`` that writes as another does; None: one that was closed."""
    if not isinstance(like, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=like.line_buffering,
        write_through=like.write_through,
    )


def _open_if_closed(number: int) -> None:
    """Let a file number that is not open lead nowhere."""
    try:
        os.fstat(number)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)


def _let_go(stream: IO[str], number: int) -> None:
    """Write what is left; what cannot be written is dropped, so that the interpreter does not try again."""
    try:
        stream.flush()
    except (OSError, OutputError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
        with suppress(OSError):
            stream.flush()
