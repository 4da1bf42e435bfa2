"""Paths and files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
from argparse import ArgumentTypeError
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pipeline.files import (
    LEFTOVER_PREFIX,
    FileHashes,
    append_whole,
    locked,
    path_argument,
    printable,
    sha256_of,
    whole_file,
    write_whole,
)


def test_printable() -> None:
    assert printable("a ü.jpg") == "a ü.jpg"
    assert printable(os.fsdecode(b"a\xff\n.jpg")) == "a\\xff\\n.jpg"


def test_paths_on_command_lines_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert path_argument("~/masks") == Path("/home/anna/masks")
    assert path_argument("a/~") == Path("a/~")
    for text, message in (
        ("", "empty"),
        ("~no-one/x", "no user no-one"),
        ("${NO_ONE}/x", "no variable NO_ONE"),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            path_argument(text)


def test_every_command_takes_paths_so() -> None:
    root = Path(__file__).parents[1]
    files = [
        file for folder in ("pipeline", "training", "benchmarks") for file in (root / folder).rglob("*.py")
    ]
    assert [file.name for file in files if "type=Path" in file.read_text("utf-8")] == []


def test_a_whole_file_replaces_the_old_one_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_whole(path, [b"one", b"two"])
    assert path.read_bytes() == b"onetwo"
    write_whole(path, iter([b"three"]), sync=True)
    assert path.read_bytes() == b"three"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, [b"old"])

    def interrupted() -> None:
        with whole_file(path) as file:
            file.write(b"half of the new")
            assert any(name.name.startswith(LEFTOVER_PREFIX) for name in tmp_path.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "a", [b"x"])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(FileExistsError, match="A device or pipe stands there"):
            write_whole(tmp_path / name, [b"x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == expected


def test_a_file_is_read_again_only_after_it_has_changed(tmp_path: Path) -> None:
    path, read = tmp_path / "a", list[Path]()

    def reading(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    path.write_bytes(b"abc")
    hashes = FileHashes()
    expected = sha256_of(path)
    assert [hashes.of(path, reading) for _ in range(2)] == [expected, expected]
    hashes = pickle.loads(pickle.dumps(hashes))
    assert hashes.of(path, reading) == expected
    assert len(read) == 1
    path.write_bytes(b"abcd")
    assert hashes.of(path, reading) == sha256_of(path) != expected
    status = path.stat()
    other = tmp_path / "b"
    other.write_bytes(b"dcba")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)  # as long and as old, but another file
    assert hashes.of(path, reading) == sha256_of(path)
    assert len(read) == 3


def test_a_file_that_is_not_there_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileHashes().of(tmp_path / "none")


@pytest.mark.parametrize("fails", [False, True])
def test_lines_are_appended_whole_or_not_at_all(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write, left = tmp_path / "lines", os.write, [2 if fails else 9]

    def piecewise(descriptor: int, content: memoryview) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, content[:3])

    path.write_bytes(b"first\n")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", piecewise)
        if fails:
            with pytest.raises(OSError, match="full"):
                append_whole(descriptor, b"second line\n")
        else:
            append_whole(descriptor, b"second line\n")
    os.close(descriptor)
    assert path.read_bytes() == (b"first\n" if fails else b"first\nsecond line\n")


def hold(path: Path, connection: Connection) -> None:
    with locked(path):
        connection.send("held")
        connection.recv()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_keeps_another_process_out_until_it_is_gone(kind: str, tmp_path: Path) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "lock"
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(path, theirs), daemon=True)
    process.start()
    assert ours.recv() == "held"
    with pytest.raises(BlockingIOError), locked(path, wait=False):
        pytest.fail("two hold it")
    process.kill()
    process.join()
    with locked(path, wait=False):
        assert path.exists()
