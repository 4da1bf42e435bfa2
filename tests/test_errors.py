"""Every error stands in the tree of errors.py and crosses processes whole."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import errors
from pipeline.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOTHING_DONE,
    EXIT_OK,
    EXIT_SOME_FAILED,
    ConfigError,
    PhotoError,
    Problem,
    UncropError,
)

ROOT = Path(__file__).resolve().parents[1]
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, UncropError) and not name.startswith("_")
}


def example(cls: type[UncropError]) -> UncropError:
    """One with every argument that its constructor takes."""
    if issubclass(cls, ConfigError):
        return cls([Problem("my.yaml", "engine.threads", "expected 2"), Problem("my.yaml", "", "not YAML")])
    positional = [
        parameter
        for parameter in inspect.signature(cls.__init__).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    made: Any = cls
    error: UncropError = (
        made(*(f"the {parameter.name}" for parameter in positional)) if positional else made("x")
    )
    return error


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_survives_pickling(name: str) -> None:
    error = example(CLASSES[name])
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert back.exit_code == error.exit_code


def test_a_stage_that_was_said_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(PhotoError("x", stage="crop"))).stage == "crop"
    assert PhotoError("x").stage == "photo"


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_stands_in_the_tree(name: str) -> None:
    """The tree is the module's docstring; a class stands below its base, four columns further right."""
    lines = (errors.__doc__ or "").splitlines()
    places = {
        match.group(): (number, match.start())
        for number, line in enumerate(lines)
        if (match := re.search(r"\b[A-Z]\w*Error\b", line))
    }
    assert name in places, f"{name} is missing from the tree in errors.py"
    if name == "UncropError":
        return
    number, column = places[name]
    above = [other for other, (row, start) in places.items() if row < number and start < column]
    nearest = max(above, key=lambda other: places[other][0])
    bases = [base.__name__ for base in CLASSES[name].__mro__[1:] if base.__name__ in CLASSES]
    assert bases[0] == nearest


def test_every_error_says_how_the_program_ends() -> None:
    codes = {EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE, EXIT_INTERRUPTED}
    assert {cls.exit_code for cls in CLASSES.values()} <= codes - {EXIT_OK, EXIT_INTERRUPTED}
    assert all(inspect.getdoc(cls) for cls in CLASSES.values())


def test_no_error_is_defined_elsewhere() -> None:
    strangers = []
    for file in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.ClassDef) or file.name == "errors.py":
                continue
            bases = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
            if bases & CLASSES.keys() and not node.name.startswith("_"):
                strangers.append(f"{file.relative_to(ROOT)}: {node.name}")
    assert strangers == []
