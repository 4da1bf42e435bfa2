"""A script that calls run without a main guard is told so, once; what is no photograph says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stand_ins import write_photo

ROOT = Path(__file__).parents[2]
SCRIPT = """
from pipeline import load_config, run
config = load_config({config!r}, ["input.paths=[in]", "execution.workers=2"])
{guard}raise SystemExit(run(config).exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__': "])
def test_a_script_without_main_guard(guard: str, tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / "in" / f"{number}.png", number)
    config = str(ROOT / "configs" / "default.yaml")
    (tmp_path / "script.py").write_text(SCRIPT.format(config=config, guard=guard), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if guard:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert done.stderr.count("errors.UsageError: worker processes load the script") == 1, done.stderr
        assert 'put the call of run below `if __name__ == "__main__":`' in done.stderr
