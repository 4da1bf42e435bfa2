"""What is worked on ahead: the same results in the same order, by threads and by processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline.corrections.layer import Corrections
from pipeline.errors import UsageError, WorkerLostError
from pipeline.exports import ahead
from pipeline.exports.ahead import Ahead
from pipeline.exports.exporting import export
from pipeline.exports.reader import RunReader
from pipeline.exports.registry import FORMATS, format_of
from pipeline.exports.splits import parse_splits
from pipeline.exports.values import ExportSettings
from pipeline.manifest.journal import read_manifest
from tests.exports.runs import Shot, disc, write_run_of

SIZE = (64, 48)


def here_and_there(fate: str, number: int) -> tuple[int, int]:
    """A number and the process that had it in hand; in other processes some numbers end badly."""
    if number == 50 and fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 50 and fate == "wrong":
        raise UsageError("50 is wrong")
    return number, os.getpid()


def begun(fate: str) -> Callable[[int], tuple[int, int]]:
    return partial(here_and_there, fate)


def made(fate: str, *, threads: int = 2, processes: int = 2) -> Ahead[int, tuple[int, int]]:
    function = partial(here_and_there, "fine")
    return Ahead(function, partial(begun, fate), threads=threads, processes=processes)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_keep_the_order(threads: int) -> None:
    with made("fine", threads=threads, processes=0) as works:
        assert list(works.in_order(range(100))) == [(number, os.getpid()) for number in range(100)]
        assert list(works.in_order([])) == []
        assert next(works.in_order(range(1000))) == (0, os.getpid())


def test_processes_take_over_where_there_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MANY", 40)
    with made("fine") as works:
        results = [*works.in_order(range(30)), *works.in_order(range(30, 130))]
        later = list(works.in_order(range(20)))
    assert [number for number, _ in results] == list(range(130))
    assert {process for _, process in results[:30]} == {os.getpid()}
    assert os.getpid() not in {process for _, process in results[62:] + later}


def surroundings(_: int) -> tuple[int, bool, str | None]:
    time.sleep(0.001)  # so that no process can have all of them
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return os.getpid(), blocked, os.environ.get("OMP_NUM_THREADS")


def surroundings_begun() -> Callable[[int], tuple[int, bool, str | None]]:
    return surroundings


@pytest.mark.skipif(os.name != "posix", reason="signals are not blocked elsewhere")
def test_all_processes_leave_interruptions_to_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MANY", 16)
    with Ahead(surroundings, surroundings_begun, threads=2, processes=2) as works:
        found = {result for result in works.in_order(range(1600)) if result[0] != os.getpid()}
    assert {(blocked, threads) for _, blocked, threads in found} == {(True, "1")}


@pytest.mark.parametrize(("fate", "error"), [("killed", WorkerLostError), ("wrong", UsageError)])
def test_what_goes_wrong_in_a_process_is_told(
    monkeypatch: pytest.MonkeyPatch, fate: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(ahead, "MANY", 16)
    with made(fate, processes=1) as works, pytest.raises(error, match=r"died, most likely|50 is wrong"):
        list(works.in_order(range(100)))


@pytest.mark.parametrize(
    "error", [OSError(38, "Function not implemented"), NotImplementedError("semaphores")]
)
def test_threads_go_on_where_there_can_be_no_processes(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(ahead, "MANY", 16)
    monkeypatch.setattr(ahead, "ProcessPoolExecutor", refused)
    with made("fine") as works:
        assert list(works.in_order(range(100))) == [(number, os.getpid()) for number in range(100)]


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(ThreadPoolExecutor):
        def submit(self, *_: object) -> NoReturn:  # type: ignore[override]
            raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(ahead, "MANY", 16)
    monkeypatch.setattr(ahead, "ProcessPoolExecutor", lambda *_: Full())
    with (
        made("fine") as works,
        pytest.raises(WorkerLostError, match=r"no process can be started .*unavailable"),
    ):
        list(works.in_order(range(100)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of which one is rejected, one corrected, and one has lost its masks."""
    shots = [
        Shot(f"{number % 5}/{number:02}.jpg", SIZE, (disc(SIZE, (12 + number, 20), 9 + number % 4, 3),), 1)
        for number in range(39)
    ]
    shots.append(Shot("9/turned.jpg", SIZE, (disc(SIZE, (12, 20), 9), disc(SIZE, (25, 20), 9)), 6))
    out = write_run_of(tmp_path_factory.mktemp("many"), shots, crop_masks=False)
    corrections = Corrections(out)
    for record in read_manifest(out):
        if record["name"].endswith("38.jpg"):
            corrections.judge(record, "reject", who="anna")
        elif record["name"].endswith("/33.jpg"):
            corrections.correct(record, disc(SIZE, (30, 30), 14).astype("uint8") * 4, who="anna")
        elif record["name"].endswith("/34.jpg"):
            (out / record["files"]["instances"]).unlink()
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_exports_by_processes_have_the_same_bytes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(ahead, "MANY", 16)
    kind = format_of(name)
    splits = parse_splits("0.5,0.5", "folder")
    settings = ExportSettings(shapes=kind.shapes[-1], images="copy", splits=splits.names)
    reports = {}
    for processes in (0, 1):
        reader = RunReader(run, root=run.parent / "photos", grid="stored", processes=processes)
        reports[processes] = export(reader, kind, tmp_path / str(processes), settings, splits)
    assert reports[0].counts == reports[1].counts
    assert reports[0].problems == reports[1].problems
    assert len(reports[1].problems) == reports[1].counts["broken"] == reports[1].counts["rejected"] == 1
    written = files(tmp_path / "1")
    assert written == files(tmp_path / "0")
    assert sum(path.endswith(".jpg") for path in written) == 38


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MANY", 16)
    with made("fine", processes=2) as works:
        results = works.in_order(range(10_000))
        taken = [next(results) for _ in range(200)]
    processes = {process for _, process in taken} - {os.getpid()}
    assert processes
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]
