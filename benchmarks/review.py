"""The review page over a hundred thousand photographs: first view, scrolling, memory.

::

    python -m benchmarks.review --photos 100000

The output directory is made: a manifest of so many lines over a few pictures. The page is opened in Chromium.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeoutError

from benchmarks.machine import describe_machine
from benchmarks.megapixels import write_photographs
from pipeline.config import Config
from pipeline.files import path_argument
from pipeline.runner import run

RESULTS = Path(__file__).with_name("results") / "review.json"
DISTINCT = 24
STOPS = 60
QUIET = ("--disable-background-networking", "--disable-component-update")
BROWSER = ("--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", *QUIET)
MOST_SECONDS = 2.0
WHOLE = "image => image.complete && image.naturalWidth > 0"
SETTLED = f"""() => {{
    const tiles = [...document.querySelectorAll(".tile")];
    return tiles.length > 0 && tiles.every((tile) => {{
        const image = tile.querySelector("img");
        return image && ({WHOLE})(image);
    }});
}}"""


def main() -> None:
    """Parse the arguments, measure, print, and fail where the first view is late or the page has holes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--output", type=path_argument, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        output = made_output(Path(name), options.photos)
        words = [sys.executable, "-m", "pipeline", "review", str(output), "--no-browser"]
        server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        try:
            url = re.search(r"http://\S+", server.stderr.readline())
            assert url is not None
            results = {
                "machine": describe_machine(),
                "photographs": options.photos,
                **measured(url.group(0), options.photos),
                "server_memory_mb": round(psutil.Process(server.pid).memory_info().rss / 1e6),
            }
        finally:
            server.terminate()
            server.communicate()
    print(json.dumps(results, indent=2))
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if results["first_view_seconds"] > MOST_SECONDS or results["stops_with_holes"]:
        raise SystemExit("the first view is late, or the wall has holes")


def made_output(folder: Path, count: int) -> Path:
    """Make an output directory of ``count`` photographs that share the pictures of a few."""
    photos = folder / "photos"
    photos.mkdir()
    write_photographs(photos, DISTINCT, (640, 480))
    output = folder / "out"
    config = Config.model_validate({"input": {"paths": [str(photos)]}, "output": {"directory": str(output)}})
    run(config)
    manifest = output / "manifest.jsonl"
    records = [json.loads(line) for line in manifest.read_bytes().splitlines()]
    source = random.Random(3)
    with manifest.open("w", encoding="ascii") as file:
        for number in range(count):
            record = records[number % len(records)]
            record["name"] = f"folder{number // 1000:04}/photograph{number:07}.jpg"
            for face in record["faces"]:
                face["score"] = round(source.uniform(0.5, 1), 4)
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    return output


def measured(url: str, count: int) -> dict[str, Any]:
    """Open the page and scroll through all of it."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path,
            args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_function(SETTLED, timeout=60_000)
        first = time.perf_counter() - start
        page.wait_for_function(
            f"() => document.querySelector('#counts').textContent.startsWith('{count:,} shown')",
            timeout=60_000,
        )
        whole = time.perf_counter() - start
        waits, holes = scrolled(page)
        memory = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        results = {
            "first_view_seconds": round(first, 2),
            "all_read_seconds": round(whole, 2),
            "scroll_stops": len(waits),
            "stop_seconds": {"median": round(statistics.median(waits), 3), "largest": round(max(waits), 3)},
            "stops_with_holes": holes,
            "page_heap_mb": round(memory, 1),
            "page_elements": page.evaluate("document.querySelectorAll('*').length"),
        }
        browser.close()
    return results


def scrolled(page: Page) -> tuple[list[float], int]:
    """Jump through the wall; seconds until everything in sight is there, and stops where it never was."""
    waits, holes = [], 0
    for stop in range(1, STOPS + 1):
        page.evaluate(
            f"() => {{ const wall = document.querySelector('#wall'); "
            f"wall.scrollTop = {stop / STOPS} * (wall.scrollHeight - wall.clientHeight); }}"
        )
        start = time.perf_counter()
        try:
            page.wait_for_function(SETTLED, timeout=10_000)
        except PageTimeoutError:
            holes += 1
        waits.append(time.perf_counter() - start)
    return waits, holes


if __name__ == "__main__":
    main()
