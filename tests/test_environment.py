"""The machine as the program sees it, and the user's folders."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pipeline import environment
from pipeline.environment import cache_directory, command_line, data_directory, usable_cores


def test_folders_follow_the_xdg_variables_if_they_are_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert (cache_directory(), data_directory()) == (tmp_path / "c" / "uncrop", tmp_path / "d" / "uncrop")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "uncrop"
    assert data_directory() == tmp_path / ".local" / "share" / "uncrop"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 6),
        ({"cpu.max": "max 100000\n"}, 6),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "900000 100000\n"}, 6),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 6),
        ({"cpu.max": "rubbish"}, 6),
    ],
)
def test_cores_are_those_of_the_affinity_and_of_the_control_group(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    monkeypatch.setattr(environment, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert usable_cores() == expected


def test_a_command_is_given_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/anna/.local/bin/uncrop", "run"])
    assert command_line("manifest", "failed", "my masks") == "uncrop manifest failed 'my masks'"
    monkeypatch.setattr(sys, "argv", ["run_pipeline.py"])
    assert command_line("models", "fetch", "fcn8s_500") == "python -m pipeline models fetch fcn8s_500"
