"""The command line's last boundary."""

from __future__ import annotations

import argparse
from importlib import import_module

import pytest

from pipeline import cli
from pipeline.commands import manifest
from pipeline.errors import EXIT_BUG
from pipeline.version import __version__


def test_a_bug_has_an_exit_code_of_its_own_and_says_what_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(options: argparse.Namespace) -> int:
        raise ZeroDivisionError("never thought of")

    monkeypatch.setattr(manifest, "execute", broken)
    assert cli.main(["manifest", "summary", "out"]) == EXIT_BUG == 70
    text = capsys.readouterr().err
    assert "ZeroDivisionError: never thought of" in text
    assert "a fault of the program itself" in text
    assert f"uncrop {__version__}, Python " in text
    assert "onnxruntime " in text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_no_default_lies_in_the_folder_where_the_command_is_run(name: str) -> None:
    parser = argparse.ArgumentParser()
    import_module(cli.COMMANDS[name].module).add_arguments(parser)
    assert [action.dest for action in parser._actions if "configs/" in str(action.default)] == []
