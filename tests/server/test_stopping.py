"""The command itself: SIGTERM and Ctrl-C let what is in hand finish, and are no failure."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.server.test_app import until_ready

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_in_hand_finish(number: signal.Signals) -> None:
    words = [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    url = found.group(0)
    until_ready(url)
    content = (ROOT / "data/samples/obama.jpg").read_bytes()
    codes: list[int] = []

    def ask() -> None:
        headers = {"Content-Type": "image/jpeg"}
        codes.append(httpx.post(f"{url}/segment", content=content, headers=headers, timeout=60).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while "uncrop_workers_busy 1.0" not in httpx.get(f"{url}/metrics", timeout=60).text and asking.is_alive():
        time.sleep(0.002)
    process.send_signal(number)
    asking.join()
    _, errors = process.communicate(timeout=60)
    assert (codes, process.returncode) == ([200], 0)
    assert "Traceback" not in errors
