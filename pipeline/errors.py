"""Every error the program raises on purpose.

::

    UncropError
    ├── UsageError               the command line makes no sense
    ├── ConfigError              a configuration file or override is wrong; holds every problem found
    ├── ModelError               a network or landmark model is wrong
    │   ├── ModelMissingError    its files are not there
    │   └── ModelFormatError     its files are damaged, or hold something that is not understood
    ├── EngineError              an engine failed
    │   ├── EngineUnavailableError   it cannot be had as asked (package, device, precision)
    │   └── EngineRefusedError   its process answered with an error of its own, and still works
    ├── PhotoError               one photograph failed; the run goes on
    │   ├── ImageReadError       not an image, damaged, or not readable
    │   │   └── ImageTooLargeError   more pixels than ``input.max_pixels``
    │   ├── ClipReadError        not a clip, without pictures, damaged, or not readable
    │   ├── LandmarkFileError    a landmark file (``.lms``) is damaged or does not fit its clip
    │   ├── DetectionError       dlib failed on it
    │   ├── SegmentationError    the network stage failed on it
    │   ├── EncodingError        its results are too large for their format
    │   ├── TimeLimitError       it took longer than ``execution.time_limit_seconds``
    │   └── WorkerLostError      the worker died over it (crash, kill, out of memory)
    └── OutputError              results cannot be written; the run stops, what is written is whole

Each class carries the exit code of a run that it ends: 2 when nothing was done, 1 when some of it was.
Any other exception that reaches the command line is a fault of the program itself: 70 (`EXIT_BUG`).
Messages say what was wrong with what, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

EXIT_OK = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2
EXIT_BUG = 70
"""The program itself is wrong (sysexits.h: EX_SOFTWARE)."""
EXIT_INTERRUPTED = 130


class UncropError(Exception):
    """Base of all errors of this program."""

    exit_code = EXIT_SOME_FAILED


class UsageError(UncropError):
    """The command line asks for something that cannot be done."""

    exit_code = EXIT_NOTHING_DONE


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration.

    Attributes
    ----------
    source
        The file (or ``--set``) that holds the wrong value.
    key
        Dotted key path, such as ``detector.max_side_px``; empty for the file as a whole.
    message
        What is wrong and what to write instead.
    """

    source: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key}: {self.message}" if self.key else f"{self.source}: {self.message}"


class ConfigError(UncropError):
    """A configuration is wrong. ``problems`` holds every problem, not just the first."""

    exit_code = EXIT_NOTHING_DONE

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class _FileError(UncropError):
    """An error about one file: ``path: problem. hint``."""

    def __init__(self, path: str | PathLike[str], problem: str, hint: str = "") -> None:
        self.path = fspath(path)
        self.problem = problem
        self.hint = hint
        message = f"{self.path}: {problem.rstrip('.')}"
        super().__init__(f"{message}. {hint}" if hint else message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.problem, self.hint)


class ModelError(_FileError):
    """A model cannot be used."""

    exit_code = EXIT_NOTHING_DONE


class ModelMissingError(ModelError):
    """A model's files are not where they should be."""


class ModelFormatError(ModelError):
    """A model's files are damaged or hold something that is not understood."""


class EngineError(UncropError):
    """An engine failed while it loaded or ran a network."""


class EngineUnavailableError(EngineError):
    """An engine cannot be had with the device, precision or package asked for."""

    exit_code = EXIT_NOTHING_DONE


class EngineRefusedError(EngineError):
    """The process of an engine answered with an error of its own; it still works."""


class PhotoError(UncropError):
    """One photograph failed. ``stage`` names where; the message names the file where the stage knows it."""

    stage = "photo"

    def __init__(self, message: str, *, stage: str | None = None) -> None:
        super().__init__(message)
        if stage is not None:
            self.stage = stage


class ImageReadError(PhotoError):
    """The file is not an image that can be read."""

    stage = "read"


class ImageTooLargeError(ImageReadError):
    """The image has more pixels than allowed; it was not decoded."""


class ClipReadError(PhotoError):
    """The file is not a clip that can be read."""

    stage = "read"


class LandmarkFileError(PhotoError):
    """A landmark file is damaged, or does not fit the clip it is read for."""

    stage = "landmarks"

    def __init__(self, path: str | PathLike[str], problem: str, hint: str = "") -> None:
        self.path, self.problem, self.hint = fspath(path), problem, hint
        message = f"{self.path}: {problem.rstrip('.')}"
        super().__init__(f"{message}. {hint}" if hint else message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.problem, self.hint)


class DetectionError(PhotoError):
    """Finding faces or landmarks failed."""

    stage = "landmarks"


class SegmentationError(PhotoError):
    """The network stage failed."""

    stage = "network"


class EncodingError(PhotoError):
    """A result cannot be put into its format."""

    stage = "output"


class TimeLimitError(PhotoError):
    """The photograph took longer than allowed."""

    stage = "worker"


class WorkerLostError(PhotoError):
    """The worker process died while it worked on this photograph."""

    stage = "worker"


class OutputError(_FileError):
    """A result cannot be written (disk full, folder gone, read-only)."""
