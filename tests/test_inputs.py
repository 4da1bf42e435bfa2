"""Listing photographs."""

import io
import json
import os
import time
from pathlib import Path

import pytest

from pipeline.config import InputConfig
from pipeline.errors import ConfigError
from pipeline.inputs import list_photos

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def put(*paths: str, content: bytes = PNG) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def names(*inputs: str, recursive: bool = True, output: str = "output", stdin: bytes = b"") -> list[str]:
    config = InputConfig(paths=inputs, recursive=recursive)
    photos = list_photos(config, output_directory=output, stdin=io.BytesIO(stdin))
    return [photo.name for photo in photos]


def test_folder_by_content_in_byte_order() -> None:
    put("in/b.jpg", "in/a/2.png", "in/Z.png", "in/ü.png", "in/no_suffix")
    put("in/README.md", "in/notes.txt", "in/script", content=b"text")
    put("in/broken.JPG", content=b"text")
    put("in/empty.png", content=b"")
    assert names("in") == [
        "in/Z.png",
        "in/a/2.png",
        "in/b.jpg",
        "in/broken.JPG",
        "in/empty.png",
        "in/no_suffix",
        "in/ü.png",
    ]
    assert names("in", recursive=False) == [name for name in names("in") if name != "in/a/2.png"]


def test_deep_folders() -> None:
    paths = ["in/1.png", "in/a/2.png", "in/a/x/3.png", "in/a/x/y/4.png", "in/b/5.png", "in/b/z/6.png"]
    put(*paths)
    assert names("in") == sorted(paths)


def test_each_path_once_and_inputs_in_order() -> None:
    put("b/1.png", "a/1.png")
    assert names("b", "a", "a/1.png", "./b//1.png", "b/../a") == ["b/1.png", "a/1.png"]


def test_named_files_are_always_listed(tmp_path: Path) -> None:
    put("notes.txt", content=b"text")
    put("../elsewhere/x.png")
    assert names("notes.txt") == ["notes.txt"]
    [photo] = list_photos(InputConfig(paths=("../elsewhere/x.png",)), output_directory="output")
    assert photo.path == str(tmp_path / "elsewhere/x.png")
    assert photo.root == str(tmp_path / "elsewhere")
    assert photo.name.startswith("elsewhere-")


def test_a_mark_gives_the_root() -> None:
    put("../elsewhere/deep/x.png")
    assert names("../elsewhere/./deep/x.png") == names("../elsewhere")
    assert names("../elsewhere/./deep") == names("../elsewhere")
    assert names("../elsewhere/deep/x.png") != names("../elsewhere")


def test_globs() -> None:
    put("in/a/1.jpg", "in/b/2.jpg", "in/b/3.png")
    put("in/b/notes.txt", content=b"text")
    assert names("in/**/*.jpg") == ["in/a/1.jpg", "in/b/2.jpg"]
    assert names("in/b/*") == ["in/b/2.jpg", "in/b/3.png"]
    assert names("in/*") == ["in/a/1.jpg", "in/b/2.jpg", "in/b/3.png"]
    put("in/[x].png")
    assert names("in/[x].png") == ["in/[x].png"]
    with pytest.raises(ConfigError, match="nothing matches this pattern"):
        names("in/*.webp")


def test_list_files_and_stdin() -> None:
    put("in/a.png", "in/b c.png", "in/d.png")
    Path("list.txt").write_bytes(b"\xef\xbb\xbfin/b c.png\r\n\r\nin/missing.png\nin/a.png")
    expected = ["in/b c.png", "in/missing.png", "in/a.png"]
    assert names("@list.txt") == expected
    assert names("-", stdin=Path("list.txt").read_bytes()) == expected
    assert names("0:-", stdin=b"in/a.png\0in/two\nlines.png\0")[0] == "in/a.png"
    assert len(names("0:-", stdin=b"in/a.png\0in/two\nlines.png\0")) == 2


def test_names_that_are_no_text() -> None:
    path = os.fsdecode(b"in/caf\xe9.png")
    put(path, "in/two\nlines.png")
    listed = [photo.path for photo in list_photos(InputConfig(paths=("in",)), output_directory="output")]
    assert listed == [path, "in/two\nlines.png"]
    assert Path(listed[0]).read_bytes() == PNG
    assert len(set(names("in"))) == 2


def test_links_are_followed_once() -> None:
    put("in/real/1.png", "../elsewhere/2.png", "../elsewhere/sub/3.png")
    Path("in/a_loop").symlink_to(".")
    Path("in/real/up").symlink_to("..")
    Path("in/a_twin").symlink_to("real")
    Path("in/other").symlink_to("../../elsewhere")
    Path("in/other_again").symlink_to("../../elsewhere")
    Path("in/a_file_twin.png").symlink_to("real/1.png")
    Path("in/far.png").symlink_to("../../elsewhere/2.png")
    Path("in/broken.png").symlink_to("nowhere")
    Path("in/broken").symlink_to("nowhere")
    Path("in/loop.png").symlink_to("loop.png")
    assert names("in") == [
        "in/broken.png",
        "in/loop.png",
        "in/other/2.png",
        "in/other/sub/3.png",
        "in/real/1.png",
    ]


def test_hard_links_are_photographs_of_their_own() -> None:
    put("in/a.png")
    os.link("in/a.png", "in/b.png")
    assert names("in") == ["in/a.png", "in/b.png"]


def test_output_directory_is_not_read() -> None:
    put("in/1.png", "in/results/masks/in/1.png.png")
    assert names("in", output="in/results") == ["in/1.png"]
    Path("in/link").symlink_to("results")
    assert names("in", output="in/results") == ["in/1.png"]
    with pytest.raises(ConfigError, match=r"input\.paths\.0: in: is output.directory itself"):
        names("in", output="in")


def test_folders_named_like_pictures_and_odd_files() -> None:
    put("in/album.jpg/1.png")
    os.mkfifo("in/pipe.png")
    os.mkfifo("in/pipe")
    listed = names("in")
    assert len(listed) == 2
    assert listed[0].endswith("/1.png")
    assert listed[1] == "in/pipe.png"


def test_every_problem_at_once() -> None:
    put("in/1.png")
    with pytest.raises(ConfigError) as caught:
        names("missing", "in", "@no_list.txt", "x/*.jpg")
    assert [problem.key for problem in caught.value.problems] == [
        "input.paths.0",
        "input.paths.2",
        "input.paths.3",
    ]
    assert "missing: no such file or folder" in str(caught.value)


def test_nothing_at_all() -> None:
    Path("in").mkdir()
    with pytest.raises(ConfigError, match=r"input\.paths: no photographs in in; name a folder"):
        names("in")


def test_names_do_not_depend_on_other_files() -> None:
    put("in/a.png")
    alone = names("in")
    put("in/A.png", "in/a.jpg", "in/a", "in/a.png.png")
    assert set(alone) < set(names("in"))


@pytest.mark.parametrize("text", ["@endless", "@0:endless", "-", "0:-"])
def test_a_list_without_an_end_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inputs._MOST_LIST_BYTES", 1_000_000)
    Path("endless").symlink_to("/dev/zero")
    with (
        Path("/dev/zero").open("rb") as zeros,
        pytest.raises(ConfigError, match=f"{text}: is longer than 1 MB"),
    ):
        list_photos(InputConfig(paths=(text,)), output_directory="output", stdin=zeros)


def test_ten_times_the_files_are_listed_in_some_ten_times_the_time() -> None:
    seconds = []
    for folder, count in (("few", 500), ("many", 5000)):
        Path(folder).mkdir()
        for index in range(count):
            os.close(os.open(f"{folder}/{index:05}.jpg", os.O_CREAT | os.O_WRONLY))
        start = time.process_time()
        assert len(names(folder)) == count
        seconds.append(time.process_time() - start)
    assert seconds[1] < 50 * seconds[0]  # a hundred times, were each compared with all the others


def test_globs_leave_the_output_directory_out() -> None:
    put("a.jpg", "b/c.jpg", "output/overlays/a.jpg.jpg", "output/masks/b/c.jpg.png")
    assert names("**/*.jpg") == ["a.jpg", "b/c.jpg"]
    assert names("*") == ["a.jpg", "b/c.jpg"]
    assert names("**") == ["a.jpg", "b/c.jpg"]


def test_globs_list_a_file_once_whatever_links_lead_to_it() -> None:
    put("p/x.jpg", "p/y.jpg")
    Path("p/self").symlink_to(".")
    Path("p/alias.jpg").symlink_to("x.jpg")
    assert names("p/**/*.jpg") == ["p/x.jpg", "p/y.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any folder")
def test_a_list_with_a_closed_folder_names_it(tmp_path: Path) -> None:
    put("open/a.jpg", "closed/b.jpg")
    Path("closed").chmod(0)
    Path("list.txt").write_text("open\nclosed\n", encoding="utf-8")
    try:
        with pytest.raises(ConfigError, match=r"@list\.txt: .*closed: Permission denied"):
            names("@list.txt")
    finally:
        Path("closed").chmod(0o755)


def left_out(*inputs: str, output: str = "output") -> tuple[list[str], list[str]]:
    told: list[str] = []
    photos = list_photos(InputConfig(paths=inputs), output_directory=output, on_left_out=told.append)
    return [photo.name for photo in photos], told


def put_run(folder: str) -> None:
    run = {"state": "finished", "config": {}, "digest": "0", "models": {}, "working_directory": "/"}
    put(f"{folder}/masks/in/1.png.png", f"{folder}/overlays/in/1.png.jpg")
    put(f"{folder}/run.json", content=json.dumps(run).encode())


def test_outputs_of_other_runs_are_left_out_and_said_once() -> None:
    put("in/1.png", "in/b/2.png")
    put_run("in/a")
    put_run("in/b/deep")
    told = [
        f"Left out: in/{folder}, the results of another run. "
        "Name a folder in it to read its pictures all the same"
        for folder in ("a", "b/deep")
    ]
    assert left_out("in") == (["in/1.png", "in/b/2.png"], told)
    assert left_out("in", "in/b", "in") == (["in/1.png", "in/b/2.png"], told)
    assert left_out("in/**/*.*") == (["in/1.png", "in/b/2.png"], told)
    assert left_out("in/*")[0] == ["in/1.png", "in/b/2.png"]
    assert left_out("in/a/overlays") == (["in/a/overlays/in/1.png.jpg"], [])
    assert left_out("in/a/overlays/**/*.jpg") == (["in/a/overlays/in/1.png.jpg"], [])
    assert left_out("in/a/masks/in/1.png.png") == (["in/a/masks/in/1.png.png"], [])
    with pytest.raises(ConfigError, match=r"no photographs in in/a; .*Left out: in/a, the results of"):
        left_out("in/a")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"state": "finished"}', b"\xff", b"[" * 100_000])
def test_a_run_json_of_somebody_else_is_none_of_ours(content: bytes) -> None:
    put("in/1.png")
    put("in/run.json", content=content)
    assert left_out("in") == (["in/1.png"], [])


def test_pictures_of_kinds_that_are_not_read_are_named() -> None:
    put("in/1.png")
    put("in/a.psd", "in/deep/b.PSD", "in/c.exr", "in/d.svg", "in/notes.txt", content=b"8BPS")
    put("in/e.tga", content=PNG)  # read by its content
    told = "Not read, being pictures of other kinds: 1 .exr, 2 .psd, 1 .svg. Save them as JPEG, PNG or TIFF"
    assert left_out("in") == (["in/1.png", "in/e.tga"], [told])
    assert left_out("in/**/*")[1] == [told]
    Path("in/1.png").unlink()
    Path("in/e.tga").unlink()
    with pytest.raises(ConfigError, match=r"no photographs in in; .*1 \.exr, 2 \.psd, 1 \.svg"):
        left_out("in")
