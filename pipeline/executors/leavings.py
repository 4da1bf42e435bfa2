"""What becomes of the earlier outputs of a photograph that has failed."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ImageReadError
from pipeline.executors.tasks import Task
from pipeline.images import file_sha256
from pipeline.manifest.schema import Record
from pipeline.outputs import remove_all_outputs


def settle_old_outputs(directory: Path, task: Task, record: Record) -> None:
    """Remove outputs of an earlier run if they show another photograph now; else keep them and say so.

    They are right as long as the photograph is the one that they were made of: what failed then is the
    installation, the configuration or the machine. They go when the photograph has changed or cannot be
    read, and when the present run may have replaced some of them already (it failed while writing).

    Parameters
    ----------
    directory
        The output directory.
    task
        What was to be done.
    record
        Of the failure; ``kept_files`` is set.

    Raises
    ------
    OutputError
        A file is there but cannot be removed.
    """
    writing = any(error["stage"] == "output" for error in record["errors"])
    if task.old_sha256 is None or record["sha256"] != task.old_sha256 or writing:
        remove_all_outputs(directory, task.name, task.old_files)
    else:
        record["kept_files"] = kept_files(directory, task)


def kept_files(directory: Path, task: Task) -> list[str]:
    """The files of a task's earlier outputs that are there, in order."""
    return sorted(file for file in task.old_files if (directory / file).is_file())


def content_sha256(path: str) -> str | None:
    """SHA-256 of a photograph's bytes; None if it cannot be read."""
    try:
        return file_sha256(path)
    except ImageReadError:
        return None
