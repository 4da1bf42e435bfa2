"""List files in the encodings and habits that people have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config import Config, InputConfig, OutputConfig
from pipeline.errors import ConfigError
from pipeline.inputs import list_photos
from pipeline.lists import listed_paths
from pipeline.planning import plan
from tests.stand_ins import no_models, write_photo


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b c.png", "#1.png", "'q'.png"):
        write_photo(Path(name), 1)


def listed(content: bytes, text: str = "@list.txt") -> list[str]:
    Path("list.txt").write_bytes(content)
    return [photo.path for photo in list_photos(InputConfig(paths=(text,)), output_directory="out")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    assert listed(mark + "./a.png\r\nb c.png\r\n".encode(encoding)) == ["a.png", "b c.png"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"# my photographs\na.png", ["a.png"]),
        (b"#1.png\n", ["#1.png"]),
        (b"\"b c.png\"\n'a.png'\n", ["b c.png", "a.png"]),
        (b"'q'.png", ["'q'.png"]),
        (b"  a.png \t\n\n b c.png", ["a.png", "b c.png"]),
        (b"gone.png  \n", ["gone.png"]),
    ],
)
def test_lines_are_read_as_people_mean_them(text: bytes, expected: list[str]) -> None:
    assert listed(text) == expected


def test_nul_bytes_separate_when_asked_for_or_when_every_path_is_there() -> None:
    assert listed(b"a.png\0b c.png\0") == ["a.png", "b c.png"]
    assert listed(b"a.png\0gone.png\0", "@0:list.txt") == ["a.png", "gone.png"]
    with pytest.raises(ConfigError, match=r"@list\.txt: holds NUL bytes: .* or write @0:"):
        listed("./a.png\r\n".encode("utf-16-le"))


def test_a_damaged_list_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match="line 2 is no UTF-16-LE"):
        listed("a.png\n".encode("utf-16") + b"\x00\xd8a\x00")
    with pytest.raises(OSError, match="line 2 holds a NUL byte"):
        list(listed_paths(b"\xef\xbb\xbfa.png\nb\0.png"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'file;name\r\n"a.png";"Anna"\r\n',
            r'line 2 is one of a table: "a\.png";"Anna"\. Save the column .* a\.png',
        ),
        (
            "1,b c.png,yes\n",
            r"line 1 is one of a table: 1,b c\.png,yes\. Save the column that holds b c\.png",
        ),
        ("a.png\n7\tsub\\x.png\n", r"line 2 is one of a table: 7\\tsub\\x\.png\. Save the column"),
        ("C:\\photos\\a.png\n", r"line 1 holds a path of Windows: C:\\photos\\a\.png\. Write where"),
        ('"\\\\server\\a.png";"x"\n', r'line 1 holds a path of Windows: "\\\\server'),
    ],
)
def test_what_is_no_list_of_this_system_is_told_with_its_line(text: str, message: str) -> None:
    write_photo(Path("sub/x.png"), 1)
    with pytest.raises(ConfigError, match=message):
        listed(text.encode())


def test_backslashes_and_separators_that_belong_to_names_are_read() -> None:
    for name in ("sub/x.png", "c;d.png", "e\\f.png"):
        write_photo(Path(name), 1)
    Path("Smith").mkdir()
    text = b"sub\\x.png\n.\\sub\\x.png\nc;d.png\ne\\f.png\nSmith, John.png\n" + b"x" * 200_000 + b",a.png\n"
    *paths, long = listed(text)
    assert paths == ["sub/x.png", "c;d.png", "e\\f.png", "Smith, John.png"]
    assert long.endswith(",a.png")


def test_paths_that_are_not_there_are_counted_with_the_first_line() -> None:
    Path("list.txt").write_bytes(b"a.png\n\ngone.png\nlost.png\n")
    told: list[str] = []
    list_photos(InputConfig(paths=("@list.txt",)), output_directory="out", on_left_out=told.append)
    assert told == ["Not there: 2 of 3 paths in list.txt, the first in line 3: gone.png"]


def test_no_list_folder_or_pattern_walks_a_whole_disk() -> None:
    with pytest.raises(ConfigError, match=r"line 2: /: is a whole disk"):
        listed(b"a.png\n/\n")
    for text in ("/", os.fspath(Path.home().parent), "/**/*.jpg"):
        with pytest.raises(ConfigError, match="a whole disk or all users' folders; name the folders"):
            list_photos(InputConfig(paths=(text,)), output_directory="out")


def test_a_pattern_with_brackets_says_how_they_are_escaped() -> None:
    write_photo(Path("trip [2]/a.png"), 1)
    with pytest.raises(ConfigError, match=r"brackets .* escaped, as in trip \[\[\]2\]/\[\*\]\.png"):
        list_photos(InputConfig(paths=("trip [2]/*.png",)), output_directory="out")


@pytest.mark.parametrize("text", ["users", "users/**/*.png", "@list.txt"])
def test_force_lets_a_whole_disk_be_looked_through(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "users/anna"))
    write_photo(Path("users/ben/x.png"), 1)
    Path("list.txt").write_text("users\n")
    config = Config(input=InputConfig(paths=(text,)), output=OutputConfig(directory="out"))
    with pytest.raises(ConfigError, match=r"a whole disk or all users' folders; .* or add --force"):
        plan(config, model_hashes=no_models)
    assert [photo.path for photo in plan(config, force=True, model_hashes=no_models).photos] == [
        "users/ben/x.png"
    ]
