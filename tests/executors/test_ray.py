"""A real Ray cluster of two nodes, one of which is killed while it works."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError, EngineUnavailableError
from pipeline.executors.base import Attempt
from pipeline.executors.tasks import Task
from pipeline.executors.worker import Outcome, SegmenterFactory
from pipeline.run_events import RunEvents
from pipeline.runner import run
from pipeline.summary import RunSummary
from tests import stand_ins
from tests.stand_ins import tree, write_photo

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster

PHOTOS = 30

# What Ray itself does when it starts and stops processes; none of it is ours.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two cores; ``second`` is the one that may be lost."""
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        started = _start_cluster(attempts=2)
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


def _start_cluster(attempts: int) -> Any:
    """Ray gives a node 30 s to start, too little on a busy machine, and then raises a bare Exception."""
    try:
        head = {"num_cpus": 2, "include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
        started = Cluster(initialize_head=True, head_node_args=head)
        started.second = started.add_node(num_cpus=2, include_log_monitor=False)
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # noqa: BLE001
        ray.shutdown()
        if attempts == 1:
            pytest.skip(f"this machine is too busy to start Ray: {error}")
        return _start_cluster(attempts - 1)
    return started


def do(
    executor: str, factory: SegmenterFactory, events: RunEvents | None = None, **execution: Any
) -> RunSummary:
    config = Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": f"out_{executor}", "cutouts": True},
            "execution": {"executor": executor, "address": "auto", **execution},
        }
    )
    return run(config, factory=factory, model_hashes=stand_ins.no_models, events=events)


def test_failures_and_a_lost_node(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, since starting a cluster takes longer than all that is done on it."""
    monkeypatch.chdir(tmp_path)
    for index in range(PHOTOS):
        write_photo(Path(f"in/{index:02}.png"), index)
    Path("in/broken.jpg").write_bytes(b"text")

    with pytest.raises(EngineUnavailableError, match="device 'moon'"):
        do("ray", stand_ins.unavailable, workers=1)

    # All four cores work; after the fifth photograph half of them are gone.
    class Losing(RunEvents):
        outcomes = 0

        def done(self, outcome: Outcome, status: str) -> None:
            self.outcomes += 1
            if self.outcomes == 5:
                cluster.remove_node(cluster.second, allow_graceful=False)

    summary = do("ray", stand_ins.slow, Losing())
    assert (summary.total, summary.counts["failed"]) == (PHOTOS + 1, 1)
    report = json.loads(Path("out_ray/run.json").read_text())
    assert report["executor"]["name"] == "ray"
    do("serial", stand_ins.bright)
    assert tree(Path("out_ray")) == tree(Path("out_serial"))

    # A crash, and then a photograph that never ends, on the node that is left.
    write_photo(Path("in/crash.png"), 1, order="crash")
    summary = do("ray", stand_ins.obedient, workers=2)
    assert (summary.counts["skipped"], summary.counts["failed"]) == (PHOTOS, 2)
    assert recorded_errors()["in/crash.png"][0]["type"] == "WorkerLostError"
    Path("in/crash.png").unlink()
    write_photo(Path("in/hang.png"), 1, order="hang")
    summary = do("ray", stand_ins.obedient, workers=2, time_limit_seconds=3)
    assert (summary.counts["skipped"], summary.counts["failed"]) == (PHOTOS, 2)
    assert recorded_errors()["in/hang.png"][0]["type"] == "TimeLimitError"


def recorded_errors() -> dict[str, Any]:
    lines = Path("out_ray/manifest.jsonl").read_bytes().splitlines()
    return {record["photo"]: record["errors"] for record in map(json.loads, lines)}


def test_no_cluster_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.executors.ray_executor import RayExecutor

    def refuse(**options: Any) -> None:
        raise ConnectionError(f"nothing at {options['address']}")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", refuse)
    config = Config.model_validate({"execution": {"executor": "ray", "address": "ray://nowhere:1"}})
    with pytest.raises(ConfigError, match=r"execution\.address: ray://nowhere:1: no Ray cluster there"):
        RayExecutor(config)


@pytest.mark.parametrize(
    "failure", ["OutOfMemoryError", "NodeDiedError", "ActorDiedError", "GetTimeoutError"]
)
def test_however_ray_says_that_a_worker_is_lost_it_costs_one_try(
    failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pipeline.executors import ray_executor

    raised = getattr(ray.exceptions, failure)

    def get(reference: object) -> None:
        raise raised("the memory of the node ran out") if failure != "ActorDiedError" else raised()

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    monkeypatch.setattr(ray_executor, "_nodes", lambda: {"here"})
    executor = SimpleNamespace(threads=1, lost_workers=0)
    work = ray_executor._RayRun(executor, None, iter(()))  # type: ignore[arg-type]
    attempt = Attempt(Task("a.jpg", ".", "a.jpg"))
    slot = ray_executor._Slot(object(), object(), attempt, is_ready=True, node="here")
    work._slots.append(slot)
    assert work._result_of(slot) is None
    assert (work._retries.next(), work._retries.next()) == (Attempt(attempt.task, 2), None)
    assert executor.lost_workers == 1
    assert "'a.jpg': its worker died" in caplog.text
