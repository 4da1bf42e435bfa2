"""Which stage is on, and which one failed."""

from __future__ import annotations

import pytest

from pipeline.stages import Stages


def fail(stages: Stages) -> None:
    with stages.stage("outer"), stages.stage("inner"):
        raise ValueError("inside")


def test_the_stage_that_failed_stays() -> None:
    stages = Stages()
    assert stages.current == "photo"
    with pytest.raises(ValueError, match="inside"):
        fail(stages)
    assert stages.current == "inner"
    assert list(stages.seconds) == ["inner", "outer"]  # a stage that failed is timed, too


def test_the_outer_stage_goes_on_after_the_inner_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 3.0, 7.0, 10.0, 10.5])
    monkeypatch.setattr("pipeline.stages.time.perf_counter", lambda: next(ticks))
    stages = Stages()
    with stages.stage("outer"):
        with stages.stage("inner"):
            assert stages.current == "inner"
        assert stages.current == "outer"
    with stages.stage("inner"):
        pass
    assert stages.current == "photo"
    assert stages.seconds == {"inner": 2.5, "outer": 7.0}
    stages.seconds["inner"] = 0.123456
    assert stages.rounded(2) == {"inner": 0.12, "outer": 7.0}
