"""The page of the Python interface shows what is public; docstrings name what is there, all in one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(
    r"^(Parameters|Attributes|Returns|Yields)\n-+\n(.*?)(?=\n\n\S[^\n]*\n-+\n|\Z)", re.M | re.S
)


def entries(docstring: str, section: str) -> list[str]:
    """What stands at the margin of a numpydoc section: names, or for what is returned names or a type."""
    return [
        line
        for name, body in SECTION.findall(docstring)
        if name == section
        for line in body.split("\n")
        if line and not line.startswith(" ")
    ]


def definitions(tree: ast.Module) -> Iterator[tuple[Definition, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Definition) and (docstring := ast.get_docstring(node)):
            yield node, docstring


def parameters(node: Definition) -> set[str]:
    """What a function takes; of a class its constructor, and the fields of a dataclass."""
    if isinstance(node, ast.ClassDef):
        fields = {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        constructors = [
            item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        ]
        return fields.union(*map(parameters, constructors))
    taken = node.args
    return {
        argument.arg
        for argument in (
            *taken.posonlyargs,
            *taken.args,
            *taken.kwonlyargs,
            *(part for part in (taken.vararg, taken.kwarg) if part),
        )
    }


def faults(source: str) -> list[str]:
    found = []
    for node, docstring in definitions(ast.parse(source)):
        names = [name for entry in entries(docstring, "Parameters") for name in entry.split(", ")]
        found += [f"{node.name}: {name}" for name in names if name not in parameters(node)]
        found += [
            f"{node.name}: {entry}"
            for section in ("Attributes", "Returns", "Yields")
            for entry in entries(docstring, section)
            if " : " in entry
        ]
    return found


def test_what_is_wrong_in_a_docstring_is_seen() -> None:
    docstring = (
        "Do.\n\n    Parameters\n    ----------\n    {}\n        What.\n\n    Returns\n    -------\n    {}\n"
    )
    source = f'def do(first, *, second):\n    """{docstring}    """\n'
    assert faults(source.format("first, second", "int")) == []
    assert faults(source.format("first : int", "int")) == ["do: first : int"]
    assert faults(source.format("third", "int")) == ["do: third"]
    assert faults(source.format("first", "sum : int")) == ["do: sum : int"]


@pytest.mark.parametrize("package", ["landmarks", "pipeline", "training", "benchmarks"])
def test_docstrings_name_the_parameters_there_are_and_leave_types_to_the_signature(package: str) -> None:
    found = {
        str(file.relative_to(ROOT)): wrong
        for file in sorted((ROOT / package).rglob("*.py"))
        if (wrong := faults(file.read_text("utf-8")))
    }
    assert found == {}
