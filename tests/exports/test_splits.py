"""The same photograph goes to the same part, and its kin with it."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest

from pipeline.errors import UsageError
from pipeline.exports.splits import parse_splits
from pipeline.exports.values import ExportPhoto


def photo(file_name: str, content: str = "") -> ExportPhoto:
    digest = sha256((content or file_name).encode()).hexdigest()
    return ExportPhoto(1, file_name, f"/{file_name}", file_name, digest, (4, 3), False)


def test_shares_are_met_on_the_average_and_no_photograph_ever_moves() -> None:
    splits = parse_splits("0.8,0.1,0.1", "hash")
    parts = Counter(splits.part_of(photo(f"{number}.jpg")) for number in range(10_000))
    assert abs(parts["train"] - 8000) < 150
    assert abs(parts["val"] - 1000) < 120
    assert abs(parts["test"] - 1000) < 120
    literal = [splits.part_of(photo(f"{number}.jpg")) for number in range(12)]
    assert " ".join(literal) == "train test train train test train train train train train test train"


@pytest.mark.parametrize(
    ("by", "together"),
    [
        ("hash", [("a/1.jpg", "x"), ("b/2.jpg", "x")]),
        ("folder", [("a/b/1.jpg", "x"), ("a/b/2.jpg", "y")]),
        ("person", [("a/anna/1.jpg", "x"), ("b/anna/2.jpg", "y")]),
        ("person", [("Anna_Lee_0001.jpg", "x"), ("Anna_Lee_0002.png", "y")]),
        ("person", [("anna.jpg", "x"), ("anna 2.jpg", "y"), ("anna-03.jpg", "z")]),
    ],
)
def test_kin_stays_together(by: str, together: list[tuple[str, str]]) -> None:
    for salt in range(40):  # whatever the part is
        splits = parse_splits("0.5,0.5", by)
        kin = [
            photo(
                name.replace("anna", f"anna{salt}x")
                .replace("Anna", f"Anna{salt}x")
                .replace("a/b", f"a{salt}/b"),
                content,
            )
            for name, content in together
        ]
        assert len({splits.part_of(one) for one in kin}) == 1, kin


def test_others_are_apart() -> None:
    names = {
        "hash": [f"a/{number}.jpg" for number in range(40)],
        "folder": [f"{number}/a/1.jpg" for number in range(40)],
        "person": [f"a/{number}x/1.jpg" for number in range(40)],
    }
    for by, files in names.items():
        splits = parse_splits("0.5,0.5", by)
        assert {splits.part_of(photo(name)) for name in files} == {"train", "val"}


def test_a_share_of_nothing_gets_nothing() -> None:
    splits = parse_splits("0,1,0", "hash")
    assert {splits.part_of(photo(f"{number}.jpg")) for number in range(100)} == {"val"}
    assert parse_splits(None, "hash").part_of(photo("1.jpg")) == ""


@pytest.mark.parametrize("text", ["0.5", "0.5,0.4", "1.5,-0.5", "a,b", "", "0.25,0.25,0.25,0.25", "nan,1"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--split .*: two or three shares"):
        parse_splits(text, "hash")
