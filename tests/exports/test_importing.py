"""Corrected masks come back to the right photograph and face, and untouched ones change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_api

from landmarks.arrays import Mask
from pipeline.cli import main
from pipeline.corrections.layer import Corrections
from pipeline.exports.reader import RunReader
from pipeline.exports.rle import encode_coco
from tests.exports.runs import SHOTS, Shot, disc, write_run_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")

IMPORTED = ("coco", "fiftyone", "cvat", "label-studio", "voc", "yolo")
SIZE = (60, 40)
PAIR = Shot("pair.png", SIZE, (disc(SIZE, (20, 20), 10), disc(SIZE, (42, 20), 10)))


def export(run: Path, name: str, *arguments: str) -> Path:
    folder = run.parent / f"{name}{len(list(run.parent.glob(f'{name}*')))}"
    assert main(["export", str(run), "--to", name, str(folder), *arguments]) == 0
    return folder


def take_in(run: Path, name: str, path: Path, *arguments: str) -> int:
    return main(["import", str(run), "--from", name, str(path), "--who", "anna", *arguments])


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def faces(run: Path, name: str = "photos/pair.png") -> dict[int, Mask]:
    [photo] = [photo for photo in RunReader(run).photos() if photo.name == name]
    return {instance.number: instance.mask.frame(photo.size_wh) for instance in photo.instances}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, arguments) for name in IMPORTED for arguments in ([], ["--orientation", "stored"])),
        *((name, ["--shapes", "polygons"]) for name in ("coco", "fiftyone", "cvat")),
    ],
)
def test_an_untouched_export_changes_nothing(tmp_path: Path, name: str, arguments: list[str]) -> None:
    run = write_run_of(tmp_path, SHOTS)
    first = export(run, name, *arguments)
    assert take_in(run, name, first, *(arguments if "--orientation" in arguments else [])) == 0
    assert not (run / "review.jsonl").exists()
    assert content(export(run, name, *arguments)) == content(first)


def change_coco(folder: Path, faces_of: Callable[[list[Any]], list[Any]]) -> None:
    """Rewrite the annotations of the one photograph."""
    file = folder / "instances.json"
    value = json.loads(file.read_bytes())
    value["annotations"] = faces_of(value["annotations"])
    file.write_text(json.dumps(value))


def annotation(mask: Mask, **values: Any) -> dict[str, Any]:
    segmentation = {"size": list(mask.shape), "counts": encode_coco(mask)}
    return {"image_id": 1, "category_id": 1, "segmentation": segmentation, **values}


@pytest.mark.parametrize("crop_masks", [True, False])
def test_drawn_added_and_removed_faces(tmp_path: Path, crop_masks: bool) -> None:
    run = write_run_of(tmp_path, [PAIR, Shot("other.png", SIZE, PAIR.faces)], crop_masks=crop_masks)
    folder = export(run, "coco")
    smaller, new = disc(SIZE, (20, 20), 8), disc(SIZE, (30, 35), 4)
    value = json.loads((folder / "instances.json").read_bytes())
    pair = next(image["id"] for image in value["images"] if image["file_name"].endswith("pair.png"))
    change_coco(
        folder,
        lambda old: [
            *(one for one in old if one["image_id"] != pair),
            annotation(smaller, image_id=pair),  # its number was lost on the way
            annotation(new, image_id=pair),
        ],
    )
    assert take_in(run, "coco", folder) == 0
    found = faces(run)
    assert list(found) == [1, 3]
    assert np.array_equal(found[1], smaller)
    assert np.array_equal(found[3], new)
    layer = Corrections(run)
    assert len(layer) == 1
    [line] = layer.history("photos/pair.png")
    assert (line.verdict, line.who) == ("correct", "anna")
    assert all(
        np.array_equal(*both)
        for both in zip(faces(run, "photos/other.png").values(), PAIR.faces, strict=True)
    )
    second = export(run, "coco")
    assert take_in(run, "coco", second) == 0
    assert len(layer.history("photos/pair.png")) == 1
    assert content(export(run, "coco")) == content(second)


def test_corrected_faces_that_overlap_stay_whole(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR])
    folder = export(run, "coco")
    wide = (disc(SIZE, (20, 20), 15), disc(SIZE, (42, 20), 15))
    change_coco(
        folder, lambda _: [annotation(mask, face=number) for number, mask in enumerate(wide, start=1)]
    )
    assert take_in(run, "coco", folder) == 0
    assert all(np.array_equal(*both) for both in zip(faces(run).values(), wide, strict=True))
    assert (run / "corrected_faces/photos/pair.png_1.png").is_file()


def test_a_face_that_was_removed_last_leaves_a_photograph_without_faces(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR])
    folder = export(run, "coco")
    change_coco(folder, lambda _: [])
    assert take_in(run, "coco", folder) == 0
    assert faces(run) == {}


def test_outlines_of_other_tools_are_taken(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR])
    folder = export(run, "coco")
    ring = [10.2, 9.7, 30.4, 11, 25, 33.3]
    change_coco(folder, lambda _: [{"image_id": 1, "category_id": 1, "segmentation": [ring]}])
    assert take_in(run, "coco", folder) == 0
    [mask] = faces(run).values()
    rows, columns = np.mgrid[:40, :60] + 0.5
    edges = np.array(ring).reshape(3, 2)
    inside = np.ones((40, 60), bool)
    for (x0, y0), (x1, y1) in zip(edges, np.roll(edges, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) > 0
    assert np.array_equal(mask, inside)
    theirs = coco_api.decode(coco_api.merge(coco_api.frPyObjects([ring], 40, 60))) > 0
    assert (mask ^ theirs).sum() <= 0.02 * mask.sum()  # theirs rounds to fifths of a pixel


def test_what_was_drawn_in_cvat_label_studio_voc_and_yolo(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [PAIR])
    cvat = export(run, "cvat") / "annotations.xml"
    tree = ET.parse(cvat)
    mask = tree.getroot().find("image/mask")
    assert mask is not None
    mask.attrib |= {"rle": "1, 2, 1, 2", "left": "20", "top": "18", "width": "3", "height": "2"}
    tree.write(cvat)
    assert take_in(run, "cvat", cvat) == 0
    found = faces(run)
    assert list(found) == [1, 2]  # its attribute tells its number, little as it has in common
    assert np.argwhere(found[1]).tolist() == [[18, 21], [18, 22], [19, 21], [19, 22]]
    for number in mask.findall("attribute"):
        mask.remove(number)
    mask.attrib |= {"left": "30"}
    tree.write(cvat)
    assert take_in(run, "cvat", cvat) == 0
    found = faces(run)
    assert list(found) == [2, 3]  # too little in common with the first face to be it
    assert np.argwhere(found[3]).tolist() == [[18, 31], [18, 32], [19, 31], [19, 32]]

    studio = export(run, "label-studio") / "tasks.json"
    tasks = json.loads(studio.read_bytes())
    assert "predictions" not in tasks[0]
    assert tasks[0]["annotations"][0]["ground_truth"] is True
    tasks[0]["annotations"].insert(0, {"was_cancelled": True, "result": []})
    tasks[0]["annotations"][1]["result"].pop()
    studio.write_text(json.dumps(tasks))
    assert take_in(run, "label-studio", studio) == 0
    assert list(faces(run)) == [2]

    voc = export(run, "voc")
    numbers = np.zeros((40, 60), np.uint8)
    numbers[5:9, 5:9] = 255  # VOC's border is no face
    numbers[20:30, 35:50] = 2
    with (voc / "SegmentationObject/photos/pair.png").open("wb") as file:
        Image.fromarray(numbers).save(file, "PNG")
    assert take_in(run, "voc", voc) == 0
    assert {number: int(mask.sum()) for number, mask in faces(run).items()} == {2: 150}

    yolo = export(run, "yolo")
    label = yolo / "labels/train/photos/pair.txt"
    label.write_text(label.read_text() + "0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    assert take_in(run, "yolo", yolo) == 0
    canvas = np.zeros((40, 60), np.uint8)
    cv2.fillPoly(canvas, [np.array([[6, 4], [12, 4], [12, 8]])], (1,))
    found = faces(run)
    assert list(found) == [2, 3]
    assert np.array_equal(found[3], canvas > 0)


def test_photographs_are_known_by_content_wherever_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run_of(tmp_path, [PAIR, Shot("b/other.png", SIZE)])
    folder = export(run, "coco")
    file = folder / "instances.json"
    value = json.loads(file.read_bytes())
    names = ["renamed.jpg", "elsewhere/2.jpg"]
    for image, name in zip(value["images"], names, strict=True):
        image["file_name"] = name
    file.write_text(json.dumps(value))
    capsys.readouterr()
    assert take_in(run, "coco", file) == 0
    assert "2 photographs known by content, 0 by name; 0 corrected, 2 unchanged" in capsys.readouterr().out
    for image in value["images"]:
        del image["sha256"]
    file.write_text(json.dumps(value))
    assert take_in(run, "coco", file) == 1
    assert "renamed.jpg: the run has no such photograph" in capsys.readouterr().err
    for image, source in zip(value["images"], ["b/other.png", "pair.png"], strict=True):
        target = tmp_path / "theirs" / image["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "photos" / source).read_bytes())
    assert take_in(run, "coco", file, "--photos", str(tmp_path / "theirs")) == 0
    assert "2 photographs known by content" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run_of(tmp_path, [PAIR])
    folder = export(run, "coco")
    change_coco(folder, lambda _: [])
    before = content(run)
    assert take_in(run, "coco", folder, "--dry-run") == 0
    assert "1 would be corrected" in capsys.readouterr().out
    assert content(run) == before


def test_another_size_is_refused_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run_of(tmp_path, [Shot("a.jpg", SIZE, PAIR.faces, 6)])
    folder = export(run, "coco", "--orientation", "stored")
    assert take_in(run, "coco", folder) == 1
    assert "has 40 x 60 pixels there, but 60 x 40 here" in capsys.readouterr().err
    assert take_in(run, "coco", folder, "--orientation", "stored") == 0


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("coco", "x.json", "{", "cannot be read as JSON"),
        ("coco", "x.json", '{"images": [{}], "annotations": []}', "is not COCO's instances: KeyError: 'id'"),
        ("cvat", "x.xml", "<annotations>", "cannot be read as XML"),
        ("cvat", "x.xml", "<html></html>", "begins with <html>"),
        ("cvat", "x.xml", "<annotations><image id='0' name='a'/></annotations>", "lacks 'width'"),
        (
            "cvat",
            "x.xml",
            "<annotations><image id='0' name='a' width='9' height='9'><box/></image></annotations>",
            "holds <box>",
        ),
        ("label-studio", "x.json", '[{"data": {}}]', "KeyError: 'image'"),
        (
            "label-studio",
            "x.json",
            '[{"data": {"image": "a"}, "annotations": [{"result": [{"type": "rectanglelabels"}]}]}]',
            "only brushlabels",
        ),
        ("yolo", "labels/train/a.txt", "0 0.1 0.2\n", "a.txt: line 1: a class and three or more points"),
        ("yolo", "labels/train/a.txt", "0 1 1 0 0 2 2\n", "between 0 and 1"),
        ("voc", "SegmentationObject/a.png", "nonsense", "cannot be read as PNG"),
        ("csv", "faces.csv", "", "is only written"),
        ("huggingface", "metadata.jsonl", "", "is only written"),
    ],
)
def test_what_is_none_of_the_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, text: str, message: str
) -> None:
    run = write_run_of(tmp_path, [PAIR])
    path = tmp_path / "theirs" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert take_in(run, name, tmp_path / "theirs") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio", "voc", "yolo"])
def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    run = write_run_of(tmp_path, [PAIR])
    (tmp_path / "empty").mkdir()
    assert take_in(run, name, tmp_path / "empty") == 2
    assert "holds no" in capsys.readouterr().err
    assert take_in(run, name, tmp_path / "nowhere") == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert take_in(run, "tiff", tmp_path) == 2
    assert "no such format; there are coco, yolo" in capsys.readouterr().err
