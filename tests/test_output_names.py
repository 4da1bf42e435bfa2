"""Names of outputs: readable, safe everywhere, and never shared."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import LEFTOVER_PREFIX
from pipeline.output_names import MAX_NAME_BYTES, Namer, is_case_sensitive, path_below

HOME = "/home/anna"


@pytest.mark.parametrize(
    ("root", "relative", "expected"),
    [
        ("/home/anna/data/samples", "astronaut.jpg", "data/samples/astronaut.jpg"),
        ("/home/anna/data", "samples/astronaut.jpg", "data/samples/astronaut.jpg"),
        ("/home/anna", "a b ü 猫.jpg", "a b ü 猫.jpg"),
        ("/home/anna/data", "2024-01-01 10:00:00.jpg", "data/2024-01-01 10:00:00.jpg"),
        ("/photos", "b/1.jpg", "photos-407dd20b9639/b/1.jpg"),
        ("/home/annabel", "1.jpg", "annabel-fae4072b31ca/1.jpg"),
        ("/", "1.jpg", "root-8a5edab28263/1.jpg"),
    ],
)
def test_readable_names(root: str, relative: str, expected: str) -> None:
    assert Namer(HOME).name(root, relative) == expected


@pytest.mark.parametrize(
    "relative",
    [
        os.fsdecode(b"caf\xe9.jpg"),
        "two\nlines.jpg",
        "tab\t.jpg",
        "x" * 255,
        "ü" * 127,
        "CON",
        "nul.jpg",
        "com1.tar.gz",
        "ends with a dot.",
        "ends with a space ",
        "...",
        "a.png/inside.jpg",
        "a.JPG/inside.jpg",
        "looks~0123456789abcdef",
        "looks-0123456789ab",
        f"{LEFTOVER_PREFIX}1-1",
        "/".join(["deep"] * 800),
    ],
)
def test_awkward_names_become_safe(relative: str) -> None:
    name = Namer(HOME).name(HOME, relative)
    assert "~" in name
    assert name.isprintable()
    assert len(name.encode()) <= MAX_NAME_BYTES
    for part in name.split("/"):
        assert len(part.encode()) <= 200
        assert part not in ("", ".", "..")
        assert not part.endswith((".", " "))
        assert not part.startswith(LEFTOVER_PREFIX)
    assert not any(part.lower().endswith((".png", ".jpg")) for part in name.split("/")[:-1])


def test_a_file_and_a_folder_named_like_its_mask_do_not_meet() -> None:
    namer = Namer(HOME)
    mask = namer.name(HOME, "a.jpg") + ".png"
    assert not namer.name(HOME, "a.jpg.png/b.jpg").startswith(mask + "/")


def test_twins_on_a_file_system_that_ignores_case() -> None:
    namer = Namer(HOME, case_sensitive=False)
    twins = ["a.jpg", "A.jpg", "A.JPG", "stra\u00dfe.jpg", "strasse.jpg", "\u00fc.jpg", "u\u0308.jpg"]
    names = [namer.name(HOME, twin).casefold() for twin in twins]
    assert len(set(names)) == len(twins)
    assert names[0] == "a.jpg"
    assert Namer(HOME).name(HOME, "A.jpg") == "A.jpg"


PARTS = st.one_of(
    st.text(st.sampled_from("aA1.~-_ \n\u00fc\u0131\udcff"), min_size=1, max_size=6),
    st.text(string.ascii_letters, min_size=190, max_size=210),
    st.sampled_from(["con", "a.png", "a~0123456789abcdef", "b-0123456789ab"]),
).filter(lambda part: part not in (".", ".."))
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
ROOTS = st.sampled_from([HOME, f"{HOME}/a", "/a", "/b/a", "/home", "/"])


@given(st.tuples(ROOTS, PATHS), st.tuples(ROOTS, PATHS), st.booleans())
def test_no_two_photographs_share_a_name(
    one: tuple[str, str], other: tuple[str, str], case_sensitive: bool
) -> None:
    namer = Namer(HOME, case_sensitive=case_sensitive)
    names = [namer.name(*one), namer.name(*other)]
    if not case_sensitive:
        names = [name.casefold() for name in names]
    same_file = one == other or os.path.join(*one) == os.path.join(*other)  # noqa: PTH118
    if not same_file:
        assert names[0] != names[1]
    # Neither is a folder of the other's mask.
    assert not names[0].startswith(f"{names[1]}.png/")
    assert Namer(HOME, case_sensitive=case_sensitive).name(*one) == namer.name(*one)


def test_path_below() -> None:
    assert path_below("/a/b", "/a") == "b"
    assert path_below("/a", "/a") == "."
    assert path_below("/ab", "/a") is None
    assert path_below("/ab", "/") == "ab"


def test_case_is_tried_out(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    assert is_case_sensitive(tmp_path) == (not (tmp_path / "PROBE").exists())
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]
