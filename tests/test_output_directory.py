"""By what the output of a run is known, and who may write to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.output_directory import is_output_directory, locked, prepared, tells_case

RUN = {"state": "finished", "config": {}, "digest": "d", "models": {}, "working_directory": "/"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(RUN), True),
        (json.dumps({**RUN, "more": 1}), True),
        (json.dumps({key: RUN[key] for key in list(RUN)[1:]}), False),
        (json.dumps(list(RUN)), False),
        ("{", False),
        ("[" * 100_000, False),
        (None, False),
    ],
)
def test_only_a_whole_run_json_of_ours_tells(content: str | None, expected: bool, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert is_output_directory(tmp_path) is expected


def test_a_folder_is_made_when_it_is_prepared_and_not_before(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert tells_case(folder) == tells_case(tmp_path)
    assert not folder.exists()
    assert prepared(folder) == folder
    assert folder.is_dir()


def test_a_file_in_its_place_is_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"output\.directory"):
        prepared(tmp_path / "file" / "below")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match=r"output\.directory"), locked(tmp_path):
        pass
    with locked(tmp_path):  # free again
        pass
