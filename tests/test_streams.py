"""Standard streams that are closed or lead to a full disk."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.streams import dependable_streams
from tests.stand_ins import write_photo

ROOT = Path(__file__).parents[1]


def shell(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which ``uncrop`` is the program."""
    python = shlex.quote(sys.executable)
    line = text.replace("uncrop", f"{python} -m pipeline")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_list_from_a_closed_input_is_refused(tmp_path: Path) -> None:
    done = shell(tmp_path, "uncrop run --input - --dry-run <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("error: input: input.paths.0: -: standard input is closed; write the paths")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command", ["run --input a.png --dry-run", "run --help", "--version", "manifest schema", "models list"]
)
def test_what_cannot_be_printed_is_one_clear_error(command: str, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png", 1)
    done = shell(tmp_path, f"uncrop {command} >/dev/full")
    assert done.stderr == (
        "error: standard output: cannot be written: No space left on device. "
        "Free space where it leads to, or send it elsewhere\n"
    )
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_run_goes_on_when_nobody_hears_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture: there is something to tell")
    options = "--input a.png --set execution.executor=serial"
    assert shell(tmp_path, f"uncrop run {options} --output told 2>/dev/full").returncode == 1
    assert shell(tmp_path, f"uncrop run {options} --output shut 2>&- >&- <&-").returncode == 1
    for output in ("told", "shut"):  # nothing that was to be printed has landed in a file
        (line,) = (tmp_path / output / "manifest.jsonl").read_text("utf-8").splitlines()
        assert '"status":"failed"' in line


def test_who_reads_no_more_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "pipeline", "manifest", "schema"]
    done = subprocess.run(words, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_streams_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    with dependable_streams():
        assert sys.stdout is mine
        print("heard")
    assert mine.getvalue() == "heard\n"
