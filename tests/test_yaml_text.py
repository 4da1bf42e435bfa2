"""YAML as people mean it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.yaml_text import read_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 10", {"a": 10}),
        ("a: 0", {"a": 0}),
        ("a: 0x1f", {"a": 31}),
        ("a: '010'", {"a": "010"}),
        ("a: '1:30'", {"a": "1:30"}),
        ("a: 'yes'", {"a": "yes"}),
        ("a: true", {"a": True}),
        ("a: 1.5e+3", {"a": 1500.0}),
        ("base: &b {x: 1}\na: {<<: *b, x: 2}", {"base": {"x": 1}, "a": {"x": 2}}),
        ("", None),
    ],
)
def test_what_everybody_reads_alike_is_read(text: str, expected: Any) -> None:
    assert read_yaml(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' stands in line 1 already"),
        ("a: {b: 1,\n  b: 2}", 2, "'b' stands in line 1 already"),
        ("x: &x {b: 1}\ny: &y {c: 1}\na:\n  <<: *x\n  <<: *y", 5, r"write <<: \[\*ONE, \*OTHER\]"),
        ("a: 1\nb: 010", 2, "write 10, or quote it"),
        ("a: 1:30", 1, "base of sixty"),
        ("a: 190:20:30.15", 1, "base of sixty"),
        ("a: on", 1, "write true or false"),
    ],
)
def test_what_surprises_is_refused_with_its_line(text: str, line: int, advice: str) -> None:
    with pytest.raises(yaml.constructor.ConstructorError, match=advice) as caught:
        read_yaml(text)
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line + 1 == line
