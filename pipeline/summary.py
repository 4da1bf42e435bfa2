"""How a run ended, for the user and for the shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.counted import counted
from pipeline.environment import command_line
from pipeline.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_SOME_FAILED


def small_faces_hint(photographs: int) -> str:
    """What is said of so many photographs whose smallest faces are at the limit of the search."""
    return (
        f"Photographs that probably hold faces too small to be found: {photographs} (faces_at_limit in the "
        "manifest); a higher detector.upsample finds some more."
    )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    Attributes
    ----------
    directory
        Where the results are.
    total
        Photographs and clips listed.
    counts
        Photographs and clips by status: ok, no_face, partial, failed, skipped (done before).
    faces
        Faces segmented in this run; of a clip its tracks.
    seconds
        Of the whole run.
    interrupted
        Whether it was stopped before its end; what was done is kept.
    left_out
        Sentences about what lies in the input folders and was not read.
    clips
        How many of ``total`` are clips.
    at_limit
        Photographs of this run with faces so small that others were probably not found.
    """

    directory: Path
    total: int
    counts: Mapping[str, int] = field(default_factory=dict)
    faces: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    left_out: tuple[str, ...] = ()
    clips: int = 0
    at_limit: int = 0

    @property
    def exit_code(self) -> int:
        """0: none failed; 1: some failed, or some of their faces; 130: interrupted."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        return EXIT_SOME_FAILED if self.counts.get("failed") or self.counts.get("partial") else EXIT_OK

    def __str__(self) -> str:
        labels = {
            "ok": "with faces",
            "no_face": "without a face",
            "partial": "with faces that failed",
            "failed": "failed",
            "skipped": "done before",
        }
        parts = [f"{count} {labels[status]}" for status, count in self.counts.items() if count]
        lines = [
            f"{self._listed(self.total)} in {self.seconds:.1f} s: {', '.join(parts) or 'nothing done'}"
            f"; {counted(self.faces, 'face')}.",
            f"Results: {self.directory}",
            *(f"{sentence}." for sentence in self.left_out),
        ]
        if self.at_limit:
            lines.append(small_faces_hint(self.at_limit))
        if self.counts.get("failed") or self.counts.get("partial"):
            lines.append(f"Failures: {command_line('manifest', 'failed', str(self.directory))}")
        if self.interrupted:
            left = self.total - sum(self.counts.values())
            lines.append(f"Interrupted with {self._listed(left)} left; the same command goes on from here.")
        return "\n".join(lines)

    def _listed(self, number: int) -> str:
        """So many of what was listed."""
        if self.clips and self.clips == self.total:
            return counted(number, "clip")
        if self.clips:
            return counted(number, "photograph or clip", "photographs and clips")
        return counted(number, "photograph")
