"""Parts of clips come in an order in which each finds what it needs, and the iterator stops only for now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome
from pipeline.video.parts import ClipPart
from pipeline.video.schedule import Schedule
from pipeline.video.task import Clip


def clip(name: str) -> Clip:
    return Clip(Task(f"{name}.mp4", ".", name), "d" * 64, "e" * 64)


def schedule(tmp_path: Path, clips: list[Clip], photographs: int = 0) -> Schedule:
    tasks = (Task(f"{index}.png", ".", str(index)) for index in range(photographs))
    return Schedule(tasks, iter(clips), tmp_path, lambda: False)


def drawn(tasks: Schedule) -> list[Any]:
    return list(iter(lambda: next(tasks, None), None))


def probed(name: str, **missing: Any) -> Outcome:
    all_stages = {"find": [0, 1], "link": [0], "judge": [], "choose": [], "segment": [0, 1], "finish": [0]}
    step = {"sha256": "a" * 64, "stages": {**all_stages, **missing}}
    return Outcome(name, None, step=step)


def done(part: ClipPart) -> Outcome:
    return Outcome(part.name, None, step={"stage": part.stage, "chunk": part.chunk})


def stages(parts: list[Any]) -> list[tuple[str, int]]:
    return [(part.stage, part.chunk) for part in parts]


def test_stages_follow_one_another_and_chunks_go_side_by_side(tmp_path: Path) -> None:
    tasks = schedule(tmp_path, [clip("a")], photographs=2)
    first = drawn(tasks)
    assert [task.name for task in first] == ["0", "1", "a"]
    tasks.took(Outcome("0", None))
    tasks.took(probed("a"))
    finds = drawn(tasks)
    assert stages(finds) == [("find", 0), ("find", 1)]
    assert tasks.where("a") == "a: find, 2 chunks left"
    tasks.took(done(finds[1]))
    assert drawn(tasks) == []
    tasks.took(done(finds[0]))
    (link,) = drawn(tasks)
    tasks.took(done(link))
    segments = drawn(tasks)
    assert stages(segments) == [("segment", 0), ("segment", 1)]
    for part in segments:
        tasks.took(done(part))
    (finish,) = drawn(tasks)
    assert (finish.stage, finish.sha256) == ("finish", "a" * 64)
    tasks.took(Outcome("a", None))
    assert drawn(tasks) == []


def test_tracks_are_judged_between_the_passes(tmp_path: Path) -> None:
    tasks = schedule(tmp_path, [clip("a")])
    drawn(tasks)
    tasks.took(probed("a", find=[], judge=[0, 1], choose=[0], segment=[1]))
    order = []
    while parts := drawn(tasks):
        order.append((tasks.where("a"), stages(parts)))
        for part in parts:
            assert drawn(tasks) == []
            tasks.took(done(part))
    assert order == [
        ("a: link", [("link", 0)]),
        ("a: judge, 2 chunks left", [("judge", 0), ("judge", 1)]),
        ("a: choose", [("choose", 0)]),
        ("a: segment, 1 chunks left", [("segment", 1)]),
        ("a: finish", [("finish", 0)]),
    ]


def test_what_an_earlier_run_left_is_not_done_again(tmp_path: Path) -> None:
    tasks = schedule(tmp_path, [clip("a"), clip("b"), clip("c")])
    assert len(drawn(tasks)) == 3
    tasks.took(probed("a", find=[1]))
    tasks.took(probed("b", find=[], link=[], segment=[1]))
    tasks.took(probed("c", find=[], link=[], segment=[]))
    assert stages(drawn(tasks)) == [("find", 1), ("segment", 1), ("finish", 0)]


def test_a_clip_that_fails_takes_its_parts_with_it_but_not_those_of_others(tmp_path: Path) -> None:
    tasks = schedule(tmp_path, [clip("a"), clip("b")])
    drawn(tasks)
    tasks.took(probed("a", find=[0, 1, 2]))
    in_hand = [next(tasks), next(tasks)]
    tasks.took(probed("b"))
    tasks.took(Outcome("a", None))
    assert {part.name for part in drawn(tasks)} == {"b"}
    from pipeline.video.store import Store

    work = Store(tmp_path, "a", "k").clip_folder
    work.mkdir(parents=True)
    tasks.took(done(in_hand[1]))  # type: ignore[arg-type]
    assert not work.exists()


def test_a_stopped_run_begins_nothing(tmp_path: Path) -> None:
    tasks = Schedule(iter(()), iter([clip("a")]), tmp_path, lambda: True)
    assert drawn(tasks) == []
