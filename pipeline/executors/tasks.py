"""What is asked of a worker for one photograph."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One photograph to do.

    Attributes
    ----------
    path, root, name
        See `pipeline.inputs.PhotoPath`.
    done_sha256
        Content for which the present outputs are right: if the file still has it, nothing is done.
    old_files
        Files of the present outputs, below the output directory.
    old_sha256
        Content that the present outputs are of, by whatever configuration; None if there are none.
    """

    path: str
    root: str
    name: str
    done_sha256: str | None = None
    old_files: tuple[str, ...] = ()
    old_sha256: str | None = None
