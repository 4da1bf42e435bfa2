"""Photographs and clips for one executor: which task is next, with clips' stages in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, Work
from pipeline.video.parts import CHUNK_STAGES, ClipPart, Stage
from pipeline.video.store import Store
from pipeline.video.task import Clip


@dataclass(slots=True, eq=False)
class _Progress:
    """A clip that has been begun."""

    clip: Clip
    sha256: str = ""
    stage: Stage = "probe"
    waiting: set[int] = field(default_factory=set)
    ahead: deque[tuple[Stage, list[int]]] = field(default_factory=deque)
    in_hand: int = 0
    is_over: bool = False


class Schedule:
    """The tasks of a run, as an iterator that executors draw from.

    Parts of clips that have been begun come first, then photographs, then further clips. Where the next part
    of a clip waits for one in hand and nothing else is left, the iterator stops for now; after the next
    outcome there is more (see `pipeline.executors.base.Executor.run`). So every outcome must be handed to
    `took` before the executor goes on.

    Parameters
    ----------
    photographs
        Their tasks.
    clips
        The clips.
    directory
        The output directory.
    is_stopped
        Whether no more tasks are to be begun.
    """

    def __init__(
        self,
        photographs: Iterator[Task],
        clips: Iterator[Clip],
        directory: Path,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._photographs = photographs
        self._clips = clips
        self._directory = directory
        self._is_stopped = is_stopped
        self._ready: deque[ClipPart] = deque()
        self._begun: dict[str, _Progress] = {}

    def __iter__(self) -> Iterator[Task | Work]:
        return self

    def __next__(self) -> Task | Work:
        if self._is_stopped():
            raise StopIteration
        while self._ready:
            part = self._ready.popleft()
            progress = self._begun.get(part.name)
            if progress is not None and not progress.is_over:
                progress.in_hand += 1
                return part
        photograph = next(self._photographs, None)
        if photograph is not None:
            return photograph
        clip = next(self._clips, None)
        if clip is None:
            raise StopIteration
        self._begun[clip.task.name] = _Progress(clip, in_hand=1)
        return ClipPart(clip, "probe")

    def took(self, outcome: Outcome) -> None:
        """Take an outcome into account; of photographs, too."""
        progress = self._begun.get(outcome.name)
        if progress is None:
            return
        progress.in_hand -= 1
        if outcome.step is None:
            progress.is_over = True
        elif not progress.is_over:
            self._go_on(progress, outcome)
        if progress.is_over and not progress.in_hand:
            del self._begun[outcome.name]
            Store(self._directory, outcome.name, "").remove()

    def where(self, name: str) -> str:
        """How far a clip has come: the stage that is under way, and how many of its chunks are left."""
        progress = self._begun.get(name)
        if progress is None:
            return ""
        if progress.stage in CHUNK_STAGES:
            return f"{name}: {progress.stage}, {len(progress.waiting)} chunks left"
        return f"{name}: {progress.stage}"

    def _go_on(self, progress: _Progress, outcome: Outcome) -> None:
        step = outcome.step or {}
        if "stages" in step:
            progress.sha256 = step["sha256"]
            progress.ahead.extend(step["stages"].items())
        else:
            progress.waiting.discard(step["chunk"])
        while not progress.waiting and not progress.in_hand and progress.ahead:
            progress.stage, chunks = progress.ahead.popleft()
            progress.waiting.update(chunks)
            self._ready.extend(
                ClipPart(progress.clip, progress.stage, chunk, progress.sha256) for chunk in chunks
            )
