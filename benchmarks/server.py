"""The server against the command on the same photographs and cores, and under mixed requests.

::

    python -m benchmarks.server --photos 200 --requests 1000

Throughput is taken between the first photographs and the last, so that neither pays for loading models; both
make masks only. The mixed requests come from 16 clients at once: most are photographs, the others too
large, damaged, slow, or cut off in the middle. Every one must be answered rightly, no worker may be lost, and
the server's memory must not grow over the second half.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.machine import describe_machine
from benchmarks.megapixels import write_photographs
from pipeline.config import Config
from pipeline.executors.worker import Outcome
from pipeline.files import path_argument
from pipeline.run_events import RunEvents
from pipeline.runner import run

RESULTS = Path(__file__).with_name("results") / "server.json"
SIZE_WH = (1152, 864)
WARM = 20
CLIENTS = 16
MAX_BODY_MB = 8
KINDS = (("good", 76), ("huge", 6), ("damaged", 6), ("text", 4), ("slow", 4), ("cut off", 4))
EXPECTED = {"good": 200, "huge": 413, "damaged": 400, "text": 415, "slow": 200}
LEAST_SHARE = 0.9
MOST_GROWTH = 1.05


def main() -> None:
    """Parse the arguments, measure, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_photographs(folder, options.photos, SIZE_WH)
        with serving(options.workers) as (url, process):
            command_rate = rate_of_command(folder, options.workers)
            contents = [path.read_bytes() for path in photos]
            server_rate, latencies = rate_of_server(url, contents, options.workers)
            mixed = mixed_requests(url, process, contents[:40], options.requests)
    cuts = statistics.quantiles(latencies, n=100)
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "photographs": options.photos,
        "size_wh": SIZE_WH,
        "workers": options.workers,
        "command_photos_per_second": round(command_rate, 2),
        "server_photos_per_second": round(server_rate, 2),
        "server_share": round(server_rate / command_rate, 3),
        "latency_seconds": {
            "median": round(cuts[49], 4),
            "p95": round(cuts[94], 4),
            "p99": round(cuts[98], 4),
        },
        "mixed": mixed,
    }
    print(json.dumps(results, indent=2))
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if mixed["wrong"] or mixed["workers_lost"] or mixed["memory_ratio"] > MOST_GROWTH:
        raise SystemExit("mixed requests: wrong answers, lost workers or growing memory; see above")
    if server_rate < LEAST_SHARE * command_rate:
        raise SystemExit(f"the server does less than {LEAST_SHARE} of what the command does")


@contextmanager
def serving(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """``uncrop serve`` in a process of its own, its models loaded."""
    words = [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--workers", str(workers)]
    words += ["--set", f"server.max_body_mb={MAX_BODY_MB}", "--set", "server.queue_size=64"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    found = re.search(r"http://\S+?(?=,)", child.stderr.readline())
    if found is None:
        raise SystemExit("the server did not start")
    url = found.group(0)
    try:
        while httpx.get(f"{url}/readyz").json()["workers_ready"] < workers:
            time.sleep(0.1)
        yield url, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.communicate()


def rate_of_command(folder: Path, workers: int) -> float:
    """Photographs a second of the process executor, once it is under way."""
    config = Config.model_validate(
        {
            "input": {"paths": [str(folder / "*.jpg")]},
            "output": {"directory": str(folder / "out"), "instances": False, "overlays": False},
            "execution": {"workers": workers},
        }
    )
    times: list[float] = []

    class Noted(RunEvents):
        def done(self, outcome: Outcome, status: str) -> None:
            times.append(time.perf_counter())

    run(config, events=Noted())
    return (len(times) - WARM) / (times[-1] - times[WARM - 1])


def rate_of_server(url: str, contents: Sequence[bytes], workers: int) -> tuple[float, list[float]]:
    """Photographs a second with twice as many clients as workers, and seconds from request to answer."""
    local = threading.local()
    latencies: list[float] = []

    def ask(content: bytes) -> None:
        if not hasattr(local, "client"):
            local.client = httpx.Client(base_url=url, timeout=60)
        start = time.perf_counter()
        answer = local.client.post("/segment", content=content, headers={"Content-Type": "image/jpeg"})
        answer.raise_for_status()
        latencies.append(time.perf_counter() - start)

    with ThreadPoolExecutor(2 * workers) as clients:
        list(clients.map(ask, contents[:WARM]))
        latencies.clear()
        start = time.perf_counter()
        list(clients.map(ask, contents[WARM:]))
        seconds = time.perf_counter() - start
    return (len(contents) - WARM) / seconds, latencies


def mixed_requests(
    url: str, process: psutil.Process, contents: Sequence[bytes], count: int
) -> dict[str, Any]:
    """All kinds of requests at once; what was answered, and what became of the memory."""
    random_source = random.Random(7)
    names, weights = zip(*KINDS, strict=True)
    kinds = random_source.choices(names, weights, k=count)
    answered: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    memory: list[float] = []
    lock = threading.Lock()

    def ask(job: tuple[int, str]) -> None:
        number, kind = job
        code = request(url, kind, contents[number % len(contents)])
        with lock:
            answered[f"{kind}: {code}"] += 1
            if code != EXPECTED.get(kind, code):
                wrong[f"{kind}: {code}"] += 1
            if number % 10 == 0:
                memory.append(_memory_mb(process))

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(ask, enumerate(kinds)))
    metrics = httpx.get(f"{url}/metrics").text
    lost = re.search(r"^uncrop_workers_lost (\S+)", metrics, re.M)
    half = len(memory) // 2
    return {
        "requests": count,
        "clients": CLIENTS,
        "answered": dict(sorted(answered.items())),
        "wrong": dict(wrong),
        "workers_lost": int(float(lost.group(1))) if lost else None,
        "memory_mb": {"half_way": round(max(memory[:half])), "at_the_end": round(max(memory[half:]))},
        "memory_ratio": round(max(memory[half:]) / max(memory[:half]), 3),
    }


def request(url: str, kind: str, content: bytes) -> int:
    """Make one request; the status code, 0 where the client left."""
    if kind == "slow":
        return _over_socket(url, content, pause_seconds=0.02, share=1.0)
    if kind == "cut off":
        return _over_socket(url, content, pause_seconds=0.0, share=0.5)
    body: dict[str, Callable[[], bytes]] = {
        "good": lambda: content,
        "huge": lambda: content + bytes(MAX_BODY_MB * 1_000_000),
        "damaged": lambda: content[: len(content) // 2],
        "text": lambda: b"these are words " * 1000,
    }
    while True:
        answer = httpx.post(
            f"{url}/segment", content=body[kind](), headers={"Content-Type": "image/jpeg"}, timeout=120
        )
        if answer.status_code != 503:
            return answer.status_code
        time.sleep(float(answer.headers["retry-after"]))


def _over_socket(url: str, content: bytes, *, pause_seconds: float, share: float) -> int:
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /segment HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
    head += f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(head.encode())
        step = len(content) // 20 + 1
        for start in range(0, int(len(content) * share), step):
            connection.sendall(content[start : start + step])
            time.sleep(pause_seconds)
        if share < 1:
            return 0
        first = connection.recv(65536)
        while connection.recv(65536):
            pass
    return int(first.split(b" ", 2)[1])


def _memory_mb(process: psutil.Process) -> float:
    """Resident memory of the server and its workers, millions of bytes."""
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 1e6


if __name__ == "__main__":
    main()
