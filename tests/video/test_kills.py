"""A clip that is killed again and again comes out in the bytes of an undisturbed run, and loses no chunk."""

from pathlib import Path

import pytest

from tests.kills import OneClip, kill_and_resume


@pytest.mark.slow
@pytest.mark.timeout(900)  # it starts a program five times, which takes its time on a busy machine
def test_killed_and_resumed(tmp_path: Path) -> None:
    kill_and_resume(OneClip(), tmp_path, "process", kills=3, seed=5)
