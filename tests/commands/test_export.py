"""``uncrop export``: what it says, what it refuses, and that a folder appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.corrections.layer import Corrections
from pipeline.exports.registry import FORMATS, format_of
from pipeline.manifest.journal import read_manifest
from tests.exports.runs import SHOTS, Shot, disc, write_run_of

SIZE = (60, 40)
PAIR = Shot("a/pair.png", SIZE, (disc(SIZE, (20, 20), 12), disc(SIZE, (32, 20), 12)))


def test_every_format_of_the_registry_is_there() -> None:
    for name in FORMATS:
        assert format_of(name).__module__ in FORMATS[name]


def test_it_goes_into_the_output_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run_of(tmp_path, [PAIR])
    assert main(["export", str(run), "--to", "coco"]) == 0
    assert capsys.readouterr().out == f"1 photograph, 2 faces -> {run / 'exports/coco'}\n"
    assert json.loads((run / "exports/coco/instances.json").read_bytes())["images"][0]["width"] == 60


def test_the_same_export_has_the_same_bytes_and_replaces_the_earlier_one(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR, Shot("b.png", SIZE)])
    arguments = [
        "export",
        str(run),
        "--to",
        "yolo",
        str(tmp_path / "set"),
        "--split",
        "0.5,0.5",
        "--by",
        "folder",
    ]
    assert main(arguments) == 0
    before = {path: path.read_bytes() for path in sorted((tmp_path / "set").rglob("*")) if path.is_file()}
    [record] = [one for one in read_manifest(run) if one["name"] == "photos/b.png"]
    assert main(arguments) == 0
    assert {path: path.read_bytes() for path in before} == before
    Corrections(run).judge(record, "reject", who="anna")
    assert main(arguments) == 0
    gone = {path.name for path in before if not path.exists()}
    assert gone == {"b.png", "b.txt"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_else_stands_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run_of(tmp_path, [PAIR])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name in ("mine", "file"):
        assert main(["export", str(run), "--to", "coco", str(tmp_path / name)]) == 2
        assert "is there already and holds no earlier export" in capsys.readouterr().err
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert main(["export", str(run), "--to", "coco", str(tmp_path / "empty")]) == 0


def test_an_export_that_fails_leaves_the_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run_of(tmp_path, [PAIR])
    arguments = ["export", str(run), "--to", "yolo", str(tmp_path / "set")]
    assert main(arguments) == 0
    (tmp_path / "photos/a/pair.png").unlink()
    assert main(arguments) == 2
    assert "is no longer there; bring it back, or export with --images none" in capsys.readouterr().err
    assert (tmp_path / "set/labels/train/photos/a/pair.txt").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert main([*arguments, "--images", "none"]) == 0
    assert not (tmp_path / "set/images").exists()


def test_photographs_are_linked_or_copied(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR])
    for images in ("link", "copy"):
        folder = tmp_path / images
        assert main(["export", str(run), "--to", "voc", str(folder), "--images", images]) == 0
        photo = folder / "JPEGImages/photos/a/pair.jpg"
        assert photo.is_symlink() == (images == "link")
        assert photo.read_bytes() == (tmp_path / "photos/a/pair.png").read_bytes()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_split_divides_every_format(tmp_path: Path, name: str) -> None:
    run = write_run_of(tmp_path, [Shot(f"{number}.png", SIZE, PAIR.faces[:1]) for number in range(8)])
    folder = tmp_path / "set"
    assert main(["export", str(run), "--to", name, str(folder), "--split", "0.5,0.25,0.25"]) == 0
    parts = json.loads((folder / ".uncrop-export.json").read_bytes())["parts"]
    assert list(parts) == ["train", "val", "test"]
    assert sum(parts.values()) == 8
    names = " ".join(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    for part, count in parts.items():
        assert (("validation" if name == "huggingface" and part == "val" else part) in names) or not count


def test_it_says_what_the_export_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run_of(tmp_path, SHOTS, orientation="stored", crop_masks=False)
    records = {record["name"]: record for record in read_manifest(run)}
    layer = Corrections(run)
    layer.judge(records["photos/hole.jpg"], "reject", who="anna")
    layer.judge(records["photos/cut.jpg"], "reject", who="anna", face=1)
    (run / "instances/photos/turned/2.jpg.png").unlink()
    assert main(["export", str(run), "--to", "cvat", str(tmp_path / "set")]) == 1
    told = capsys.readouterr()
    assert told.out == f"10 photographs, 10 faces -> {tmp_path / 'set'}\n"
    assert "note: left out: 1 photograph and 1 face that were rejected in the review" in told.err
    assert "note: left out: 1 photograph with masks that cannot be read" in told.err
    assert "failed: " in told.err
    assert "note: in 1 picture faces may overlap" in told.err
    assert "note: 6 pictures turned by EXIF" in told.err
    assert main(["export", str(run), "--to", "cvat", str(tmp_path / "set"), "--orientation", "upright"]) == 1
    assert "turned by EXIF" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "tiff"], "--to tiff: no such format; there are coco, yolo"),
        (["--to", "coco", "a", "b"], "a format and one folder are expected"),
        (["--to", "coco", "~no-one/set"], "--to coco: ~no-one/set: there is no user no-one"),
        (["--to", "coco", ""], "--to coco: a path is empty"),
        (["--to", "yolo", "--shapes", "masks"], "yolo holds polygons only"),
        (["--to", "coco", "--split", "2,3"], "two or three shares"),
        (["--to", "coco", "--root", "/elsewhere"], "does not lie below it"),
    ],
)
def test_wrong_use_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    run = write_run_of(tmp_path, [PAIR])
    assert main(["export", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "exports").exists() or list((run / "exports").iterdir()) == []


def test_an_output_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "coco"]) == 2
    assert "name the output directory of a run" in capsys.readouterr().err
