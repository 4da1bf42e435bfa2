"""What the benchmark of the whole chain is told on its command line."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chain import make_config


def test_keys_are_set_as_a_run_sets_them(tmp_path: Path) -> None:
    config = make_config(
        tmp_path, ["detector.order=[blazeface]", "crop.convention=matlab", "detector.max_side_px=null"]
    )
    assert tuple(config.detector.order) == ("blazeface",)
    assert config.crop.convention == "matlab"
    assert config.detector.max_side_px is None
    assert Path(config.output.directory).parent == tmp_path
