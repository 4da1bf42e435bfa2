"""Photographs by content, then by name; never the wrong one."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.exports.matching import PhotoIndex, index_of

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def index() -> PhotoIndex:
    return index_of(
        [
            ("photos/anna/1.jpg", "anna/1.jpg", A),
            ("photos/bob/1.jpg", "bob/1.jpg", B),
            ("photos/bob/2.png", "bob/2.png", C),
            ("photos/copy.png", "copy.png", C),
            ("photos/failed.png", "failed.png", None),
        ]
    )


@pytest.mark.parametrize(
    ("file_name", "sha256", "found"),
    [
        ("bob/1.jpg", A, ("photos/anna/1.jpg", "content")),
        ("bob/1.jpg", "d" * 64, ("photos/bob/1.jpg", "name")),
        ("bob/1.jpg", "nonsense", ("photos/bob/1.jpg", "name")),
        ("bob/1.jpg", None, ("photos/bob/1.jpg", "name")),
        ("photos/bob/1.jpg", None, ("photos/bob/1.jpg", "name")),
        ("bob/1.png", None, ("photos/bob/1.jpg", "name")),
        ("bob/1", None, ("photos/bob/1.jpg", "name")),
        ("/data/upload/bob/1.jpg", None, ("photos/bob/1.jpg", "name")),
        ("D:\\set\\bob\\1.jpg", None, ("photos/bob/1.jpg", "name")),
        ("2.jpg", None, ("photos/bob/2.png", "name")),
        ("elsewhere/2.jpg", None, None),
        ("copy.png", C, ("photos/copy.png", "content")),
        ("3.jpg", None, None),
        ("", None, None),
    ],
)
def test_find(file_name: str, sha256: str | None, found: tuple[str, str] | None) -> None:
    assert index().find(file_name, sha256) == found


@pytest.mark.parametrize(
    ("file_name", "sha256", "message"),
    [
        ("1.jpg", None, "fits photos/anna/1.jpg and photos/bob/1.jpg"),
        ("x.jpg", C, "photos/bob/2.png and photos/copy.png both have its content"),
    ],
)
def test_two_that_fit_are_none(file_name: str, sha256: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        index().find(file_name, sha256)
