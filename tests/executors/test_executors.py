"""The same photographs give the same bytes whatever the executor, and a lost worker costs one photograph."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config import Config
from pipeline.errors import EngineError, EngineUnavailableError, OutputError
from pipeline.executors.base import settle_threads, settle_workers
from pipeline.executors.children import thread_environment
from pipeline.executors.worker import Outcome, SegmenterFactory
from pipeline.run_events import RunEvents
from pipeline.runner import run
from pipeline.summary import RunSummary
from tests import stand_ins
from tests.kills import Photographs, kill_and_resume
from tests.stand_ins import tree, write_photo

ROOT = Path(__file__).parents[2]
PHOTOS = 300
"""So many that a run is not over before it is interrupted."""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(executor: str, **execution: Any) -> Config:
    return Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": f"out_{executor}", "cutouts": True},
            "engine": {"cache_directory": "."},
            "execution": {"executor": executor, "workers": 2, **execution},
        }
    )


def do(settings: Config, factory: SegmenterFactory = stand_ins.obedient) -> RunSummary:
    return run(settings, factory=factory, model_hashes=stand_ins.no_models)


def records(directory: str) -> dict[str, dict[str, Any]]:
    lines = Path(directory, "manifest.jsonl").read_bytes().splitlines()
    return {record["photo"]: record for record in map(json.loads, lines)}


def test_same_bytes_as_serial() -> None:
    for index in range(9):
        write_photo(Path(f"in/{index}.png"), index)
    write_photo(Path("in/raise.png"), 1, order="raise")
    Path("in/broken.jpg").write_bytes(b"text")
    for executor in ("serial", "process"):
        summary = do(config(executor))
        assert (summary.counts["ok"], summary.counts["no_face"], summary.counts["failed"]) == (4, 5, 2)
    assert tree(Path("out_serial")) == tree(Path("out_process"))


@pytest.mark.timeout(900)
def test_a_worker_that_crashes_hangs_or_hoards_costs_its_photograph() -> None:
    for index in range(4):
        write_photo(Path(f"in/{index}.png"), index)
    for order in ("crash", "crash once", "hang", "allocate"):
        write_photo(Path(f"in/{order}.png"), 1, order=order)
    settings = config("process", time_limit_seconds=6, memory_limit_mb=250)
    summary = do(settings)
    assert (summary.counts["ok"], summary.counts["no_face"], summary.counts["failed"]) == (3, 2, 3)
    found = records("out_process")
    errors = {name: record["errors"][0] for name, record in found.items() if record["errors"]}
    assert {name: error["type"] for name, error in errors.items()} == {
        "in/crash.png": "WorkerLostError",
        "in/hang.png": "TimeLimitError",
        "in/allocate.png": "WorkerLostError",
    }
    assert {error["stage"] for error in errors.values()} == {"worker"}
    assert "crashed (SIGSEGV)" in errors["in/crash.png"]["message"]
    assert "took longer than 6 s" in errors["in/hang.png"]["message"]
    assert "more than 250 MB" in errors["in/allocate.png"]["message"]
    assert found["in/crash once.png"]["status"] == "ok"
    assert not psutil.Process().children(recursive=False) or all(
        "resource_tracker" in " ".join(child.cmdline()) for child in psutil.Process().children()
    )


@pytest.mark.parametrize(
    ("factory", "expected", "message"),
    [
        (stand_ins.unavailable, EngineUnavailableError, "device 'moon'"),
        (stand_ins.dying, EngineError, "die before they have loaded the models: .*exit code 7"),
    ],
)
def test_models_that_cannot_be_loaded_stop_the_run(
    factory: SegmenterFactory, expected: type[Exception], message: str
) -> None:
    for index in range(8):
        write_photo(Path(f"in/{index}.png"), index)
    with pytest.raises(expected, match=message):
        do(config("process", workers=1), factory)
    assert records("out_process") == {}


def test_output_that_cannot_be_written_stops_the_run() -> None:
    for index in range(8):
        write_photo(Path(f"in/{index}.png"), index)
    Path("out_process").mkdir()
    Path("out_process/overlays").touch()
    with pytest.raises(OutputError, match="A file stands where a folder is needed"):
        do(config("process", workers=1))


@pytest.mark.slow
@pytest.mark.timeout(900)  # it starts a program eight times, which takes its time on a busy machine
@pytest.mark.parametrize(("executor", "kills"), [("serial", 3), ("process", 3)])
def test_killed_and_resumed(tmp_path: Path, executor: str, kills: int) -> None:
    kill_and_resume(Photographs(), tmp_path, executor, kills, seed=7)


def interrupted(tmp_path: Path, executor: str, order: str) -> subprocess.Popen[bytes]:
    """A run in a process group of its own with a photograph that never ends, begun on three others."""
    for index in range(PHOTOS):
        write_photo(tmp_path / "in" / f"{index:03}.png", index)
    if order:
        write_photo(tmp_path / "in" / "000.png", 1, order=order)
    factory = "obedient" if order else "slow"
    code = (
        "import sys\n"
        "from tests import kills, stand_ins\n"
        "from pipeline.commands.progress import Progress\n"
        "from pipeline.runner import run\n"
        "if __name__ == '__main__':\n"
        f"    settings = kills.config(kills.Photographs(), {executor!r}, 'out')\n"
        f"    with Progress() as progress:\n"
        f"        doing = {{'factory': stand_ins.{factory}, 'model_hashes': stand_ins.no_models}}\n"
        f"        summary = run(settings, events=progress, **doing)\n"
        "    print(summary, file=sys.stderr)\n"
        "    sys.exit(summary.exit_code)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    manifest = tmp_path / "out" / "manifest.jsonl"
    while not manifest.exists() or manifest.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("executor", ["serial", "process"])
def test_ctrl_c_finishes_what_is_in_hand(tmp_path: Path, executor: str) -> None:
    process = interrupted(tmp_path, executor, "")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, errors = process.communicate(timeout=60)
    text = errors.decode()
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "Stopping: finishing photographs in hand" in text
    assert "the same command goes on from here" in text
    found = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_bytes().splitlines()]
    assert 3 <= len(found) < PHOTOS
    assert {record["status"] for record in found} <= {"ok", "no_face"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "interrupted"


def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    process = interrupted(tmp_path, "process", "hang")
    family = psutil.Process(process.pid).children(recursive=True)
    assert process.stderr is not None
    os.killpg(process.pid, signal.SIGINT)
    told = b""
    while b"Ctrl-C again stops at once" not in told:
        line = process.stderr.readline()
        assert line, told.decode()
        told += line
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    told += errors
    assert process.returncode == 130, told.decode()
    assert "Traceback" not in told.decode()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in names if name.startswith(".uncrop")]


def test_workers_and_threads_share_the_cores() -> None:
    auto = Config()
    assert settle_workers(auto, 6) == 6
    assert settle_threads(auto, 6, 6) == 1
    assert settle_threads(auto, 6, 1) == 6
    assert settle_threads(auto, 2, 6) == 1
    cuda = Config.model_validate({"engine": {"device": "cuda", "threads": 3}})
    assert settle_workers(cuda, 16) == 4
    assert settle_threads(cuda, 16, 4) == 3
    fixed = Config.model_validate({"execution": {"workers": 5}})
    assert settle_workers(fixed, 2) == 5
    assert set(thread_environment(3).values()) == {"3"}
    assert "OMP_NUM_THREADS" in thread_environment(3)


@pytest.mark.slow
def test_a_quiet_worker_is_held_to_its_memory_while_another_speaks() -> None:
    write_photo(Path("in/0.png"), 1, order="allocate")
    for index in range(1, 200):
        write_photo(Path(f"in/{index:03}.png"), index)
    settings = config("process", workers=2, time_limit_seconds=30, memory_limit_mb=250)
    order: list[str] = []

    class Noted(RunEvents):
        def done(self, outcome: Outcome, status: str) -> None:
            order.append(outcome.name)

    run(
        settings,
        factory=stand_ins.patient,
        model_hashes=stand_ins.no_models,
        events=Noted(),
    )
    assert "more than 250 MB" in records("out_process")["in/0.png"]["errors"][0]["message"]
    assert order.index("in/0.png") < len(order) - 5  # not only when the others were done
