"""Counts as people write them."""

from __future__ import annotations

import pytest

from pipeline.counted import counted


@pytest.mark.parametrize(
    ("number", "one", "many", "expected"),
    [
        (0, "face", None, "0 faces"),
        (1, "face", None, "1 face"),
        (2, "face", None, "2 faces"),
        (1, "photograph or clip", "photographs and clips", "1 photograph or clip"),
        (3, "photograph or clip", "photographs and clips", "3 photographs and clips"),
    ],
)
def test_counted(number: int, one: str, many: str | None, expected: str) -> None:
    assert counted(number, one, many) == expected
