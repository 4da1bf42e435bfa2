"""Worker processes as their parent sees them: how they start, why they died, and how they are ended."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import psutil

_PR_SET_PDEATHSIG = 1

EXIT_NO_GUARD = 78
"""Exit code of a worker whose start would have started a run of its own."""


def starts_up() -> bool:
    """Whether this is a child process that has not come further than to load its parent's script."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def end_process(process: BaseProcess, patience_seconds: float) -> None:
    """Kill a process with all that it has started.

    Parameters
    ----------
    process
        A child of this process.
    patience_seconds
        How long to wait for its end: not for ever, as one that hangs in the kernel dies when it comes back.
    """
    kill_family(process.pid)
    process.join(patience_seconds)


def kill_family(pid: int | None) -> None:
    """Kill a process and all that it has started, without waiting for their end."""
    for member in family(pid):
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is killed; elsewhere it ends after its photograph."""
    parent = multiprocessing.parent_process()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and parent.pid != os.getppid():
            os._exit(1)


def thread_environment(threads: int) -> dict[str, str]:
    """Variables that keep BLAS and OpenMP to so many threads; they must be set before these are loaded."""
    names = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


@contextmanager
def inherited(environment: dict[str, str]) -> Iterator[None]:
    """Set what a child starts with: environment variables, and Ctrl-C blocked (the parent decides on it)."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if os.name == "posix" else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cause_of_death(exitcode: int | None) -> str:
    """Say why a worker has gone, and what to do."""
    if exitcode is None or exitcode >= 0:
        return f"its worker ended by itself (exit code {exitcode}). See what it wrote above"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    if name == "SIGKILL":
        return "its worker was killed (SIGKILL), most likely for lack of memory. Lower execution.workers"
    return f"its worker crashed ({name}). Leave the photograph out, or convert it"


def family(pid: int | None) -> list[psutil.Process]:
    """A process and all that it has started; nothing for one that was never started."""
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def memory_mb(pid: int | None) -> float:
    """Resident memory of a process and its children, in millions of bytes."""
    total = 0
    for process in family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
