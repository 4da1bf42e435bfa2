"""The page of the Python interface shows what is public."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pipeline

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_shows_every_public_name_and_warns_of_nothing(tmp_path: Path) -> None:
    pdoc = [sys.executable, "-W", "error", "-m", "pdoc", "--docformat", "numpy"]
    command = [*pdoc, "--output-directory", str(tmp_path), "pipeline"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "pipeline.html").read_text("utf-8")
    missing = [name for name in pipeline.__all__ if f'id="{name}"' not in page]
    assert missing == []
    for method in ("segment_file", "segment_faces", "segment_many", "find"):
        assert f'id="PhotoSegmenter.{method}"' in page
