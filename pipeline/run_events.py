"""What a run tells while it goes on; who shows it is another matter."""

from __future__ import annotations

from pipeline.executors.worker import Outcome


class RunEvents:
    """Called by `pipeline.runner.run`, in the thread that called it; every method does nothing by itself."""

    def begun(self, total: int) -> None:
        """So many photographs and clips have been listed, and the first is about to be done."""

    def part_done(self, where: str) -> None:
        """A part of a clip has been done; ``where`` says how far the clip has come."""

    def done(self, outcome: Outcome, status: str) -> None:
        """A photograph or clip has been done and recorded.

        Parameters
        ----------
        outcome
            What became of it.
        status
            That of its record; ``skipped`` where it had been done before.
        """

    def stopping(self) -> None:
        """The first Ctrl-C (or termination) has come: what is in hand is finished, nothing else is begun.

        It comes between any two instructions, also in the middle of a ``print``: only what is safe in a
        handler of signals may be done.
        """
