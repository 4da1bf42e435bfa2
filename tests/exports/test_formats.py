"""Every format read back by its own reader, or by one restated from its documents, against the faces' masks.

Holes, several pieces, faces that the frame cuts, overlapping faces, no face, 300 faces, and photographs
turned by EXIF on both grids.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pycocotools import mask as coco_api
from pycocotools.coco import COCO

from landmarks.arrays import Mask
from pipeline.cli import main
from pipeline.corrections.layer import Corrections
from pipeline.manifest.journal import read_manifest, to_line
from tests.exports.runs import SHOTS, TO_STORED, Shot, crowd, disc, write_run_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")

ALL = {shot.name: shot for shot in (*SHOTS, crowd())}
Read = dict[str, list[Mask]]


def export(run: Path, destination: Path, *arguments: str) -> Path:
    """Export with names from the photographs' folder."""
    root = ["--root", str(run.parent / "photos")]
    assert main(["export", str(run), "--to", arguments[0], str(destination), *root, *arguments[1:]]) == 0
    return destination


def iou(first: Mask, second: Mask) -> float:
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0


def check(read: Read, grid: str, least: float = 1.0, shots: dict[str, Shot] | None = None) -> None:
    """All photographs are there, with all their faces in order, and no mask is worse than ``least``."""
    expected = ALL if shots is None else shots
    assert sorted(read) == sorted(expected)
    for name, masks in read.items():
        truth = expected[name].masks(grid)
        assert len(masks) == len(truth), name
        for mask, right in zip(masks, truth, strict=True):
            assert mask.shape == right.shape, name
            assert iou(mask, right) >= least, name


def seen_size(path: Path, grid: str) -> tuple[int, int]:
    """Width and height of a photograph for a reader that turns it upright, or one that does not."""
    with Image.open(path) as image:
        return (ImageOps.exif_transpose(image) if grid == "upright" else image).size


# ---- COCO: pycocotools


def read_coco(file: Path, photos: Path | None, grid: str) -> Read:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    assert coco.loadCats(coco.getCatIds(["face"]))[0]["id"] == 1
    read: Read = {}
    for image in coco.loadImgs(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"], iscrowd=False))
        read[image["file_name"]] = [coco.annToMask(annotation) > 0 for annotation in annotations]
        for annotation, mask in zip(annotations, read[image["file_name"]], strict=True):
            x, y, width, height = annotation["bbox"]
            rows, columns = np.nonzero(mask)
            assert (x, y) == (columns.min(), rows.min())
            assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert annotation["area"] == mask.sum()
        if photos is not None:
            assert seen_size(photos / image["file_name"], grid) == (image["width"], image["height"])
    return read


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_coco_upright(upright_run: Path, tmp_path: Path, shapes: str) -> None:
    file = export(upright_run, tmp_path / "coco", "coco", "--shapes", shapes) / "instances.json"
    check(read_coco(file, upright_run.parent / "photos", "upright"), "upright")


@pytest.mark.parametrize("grid", ["stored", "upright"])
def test_coco_on_both_grids_from_both(upright_run: Path, stored_run: Path, tmp_path: Path, grid: str) -> None:
    for run, shots in ((upright_run, None), (stored_run, {shot.name: shot for shot in SHOTS})):
        folder = export(run, tmp_path / run.parent.name, "coco", "--orientation", grid)
        check(read_coco(folder / "instances.json", run.parent / "photos", grid), grid, shots=shots)


def test_coco_lies_on_the_grid_of_the_runs_masks_by_default(stored_run: Path, tmp_path: Path) -> None:
    file = export(stored_run, tmp_path / "coco", "coco") / "instances.json"
    shots = {shot.name: shot for shot in SHOTS}
    check(read_coco(file, stored_run.parent / "photos", "stored"), "stored", shots=shots)


def test_coco_keypoints_are_the_landmarks(upright_run: Path, tmp_path: Path) -> None:
    content = json.loads((export(upright_run, tmp_path / "coco", "coco") / "instances.json").read_bytes())
    [category] = content["categories"]
    assert len(category["keypoints"]) == 68
    assert {point for line in category["skeleton"] for point in line} == set(range(1, 69))
    records = [json.loads(line) for line in (upright_run / "manifest.jsonl").read_bytes().splitlines()]
    images = {image["file_name"]: image for image in content["images"]}
    image = images["cut.jpg"]
    [record] = [record for record in records if record["photo"] == "photos/cut.jpg"]
    annotations = [one for one in content["annotations"] if one["image_id"] == image["id"]]
    for annotation, face in zip(annotations, record["faces"], strict=True):
        assert annotation["score"] == face["score"]
        triples = np.array(annotation["keypoints"]).reshape(68, 3)
        for (x, y, visible), point in zip(triples, face["landmarks"], strict=True):
            inside = 0 <= point[0] < image["width"] and 0 <= point[1] < image["height"]
            assert (x, y, visible) == ((*point, 2) if inside else (0, 0, 0))
        assert annotation["num_keypoints"] == (triples[:, 2] == 2).sum() < 68


def test_landmarks_turn_with_the_grid(upright_run: Path, tmp_path: Path) -> None:
    content = json.loads(
        (
            export(upright_run, tmp_path / "c", "coco", "--orientation", "stored") / "instances.json"
        ).read_bytes()
    )
    images = {image["id"]: image["file_name"] for image in content["images"]}
    turned = 0
    for annotation in content["annotations"]:
        shot = ALL[images[annotation["image_id"]]]
        if shot.orientation == 1:
            continue
        turned += 1
        width, height = shot.size_wh
        dots = np.zeros((height, width), np.int32)  # the run's landmarks, numbered, on the upright grid
        x0, y0 = (
            np.flatnonzero(shot.faces[0].any(axis=0))[0] - 3,
            np.flatnonzero(shot.faces[0].any(axis=1))[0] - 2,
        )
        for number in range(68):
            if 0 <= x0 + number < width and 0 <= y0 + number < height:
                dots[y0 + number, x0 + number] = number + 1
        stored = TO_STORED[shot.orientation](dots)
        for number, (x, y, visible) in enumerate(np.array(annotation["keypoints"]).reshape(68, 3), start=1):
            if visible:
                assert stored[y, x] == number
    assert turned == 7


# ---- FiftyOne: COCO in its layout


def test_fiftyone_has_its_layout(upright_run: Path, tmp_path: Path) -> None:
    folder = export(upright_run, tmp_path / "set", "fiftyone")
    check(read_coco(folder / "labels.json", folder / "data", "upright"), "upright")
    split = export(upright_run, tmp_path / "split", "fiftyone", "--split", "0.5,0.5")
    names = [name for part in ("train", "val") for name in read_coco(split / part / "labels.json", None, "")]
    assert sorted(names) == sorted(ALL)
    for name in names:
        assert sum((split / part / "data" / name).is_file() for part in ("train", "val")) == 1


# ---- YOLO: as Ultralytics reads and paints


def read_yolo(folder: Path, rounding: Callable[[NDArray[Any]], NDArray[Any]]) -> Read:
    read: Read = {}
    images = sorted(path for path in (folder / "images/train").rglob("*") if path.is_file())
    for image in images:
        label = Path(str(image).replace("/images/", "/labels/", 1)).with_suffix(".txt")
        picture = cv2.imread(str(image))
        assert picture is not None
        height, width = picture.shape[:2]
        masks = []
        for line in label.read_text().splitlines():
            number, *values = line.split()
            points = np.array(values, np.float32).reshape(-1, 2)
            assert number == "0"
            assert len(points) >= 3
            assert points.min() >= 0
            assert points.max() <= 1
            canvas = np.zeros((height, width), np.uint8)
            polygon = rounding(points * np.array([width, height], np.float32)).astype(np.int32)
            cv2.fillPoly(canvas, [polygon], color=1)
            masks.append(canvas > 0)
        read[image.relative_to(folder / "images/train").as_posix()] = masks
    return read


@pytest.mark.parametrize("rounding", [np.trunc, np.rint])
def test_yolo(upright_run: Path, tmp_path: Path, rounding: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    folder = export(upright_run, tmp_path / "yolo", "yolo", "--images", "copy")
    read = read_yolo(folder, rounding)
    check(read, "upright", 0.99)
    assert all(iou(*pair) == 1 for pair in zip(read["hole.jpg"], ALL["hole.jpg"].faces, strict=True))
    assert (folder / "labels/train/empty.txt").read_bytes() == b""
    assert (folder / "data.yaml").read_text() == "train: images/train\nval: images/train\nnames:\n  0: face\n"


def test_yolo_keeps_photographs_apart_that_differ_in_their_suffix_only(tmp_path: Path) -> None:
    shots = [
        Shot(f"1.{suffix}", (30, 20), (disc((30, 20), (x, 9), 5),)) for suffix, x in (("jpg", 8), ("png", 20))
    ]
    folder = export(write_run_of(tmp_path, shots), tmp_path / "yolo", "yolo")
    read = read_yolo(folder, np.trunc)
    assert sorted(read) == ["1.jpg", "1_png.png"]
    assert np.array_equal(read["1_png.png"][0], shots[1].faces[0])


# ---- CVAT: a reader restated from the documents of the format


def read_cvat(file: Path) -> Read:
    read: Read = {}
    root = ET.parse(file).getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    for index, image in enumerate(root.findall("image")):
        assert image.attrib["id"] == str(index)
        shape = int(image.attrib["height"]), int(image.attrib["width"])
        masks = []
        for element in image.findall("mask"):
            left, top, width, height = (
                int(element.attrib[key]) for key in ("left", "top", "width", "height")
            )
            row_major: list[bool] = []
            for place, run in enumerate(element.attrib["rle"].split(", ")):
                row_major += [place % 2 == 1] * int(run)
            mask = np.zeros(shape, bool)
            mask[top : top + height, left : left + width] = np.array(row_major).reshape(height, width)
            masks.append(mask)
        groups: dict[str, Mask] = {}
        for place, element in enumerate(image.findall("polygon")):
            points = [tuple(map(float, point.split(","))) for point in element.attrib["points"].split(";")]
            flat = [value for point in points for value in point]
            piece = coco_api.decode(coco_api.merge(coco_api.frPyObjects([flat], *shape))) > 0
            group = element.attrib.get("group_id", f"alone {place}")
            groups[group] = groups.get(group, np.zeros(shape, bool)) | piece
        read[image.attrib["name"]] = masks + list(groups.values())
    return read


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_cvat(upright_run: Path, tmp_path: Path, shapes: str) -> None:
    folder = export(upright_run, tmp_path / "cvat", "cvat", "--shapes", shapes)
    check(read_cvat(folder / "annotations.xml"), "upright")


# ---- Label Studio: its stream of bits restated


def read_brush(code: list[int], shape: tuple[int, int]) -> Mask:
    bits = "".join(f"{byte:08b}" for byte in code)
    at = 0

    def take(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    lengths: list[int] = []
    while sum(lengths) < count:
        run = take(1)
        length = take(sizes[take(2)]) + 1
        for value, times in [(take(word), length)] if run else [(take(word), 1) for _ in range(length)]:
            values.append(value)
            lengths.append(times)
    pixels = np.repeat(np.array(values, np.uint8), lengths).reshape(*shape, 4)
    return np.asarray(pixels[:, :, 3] > 128)


def test_label_studio(upright_run: Path, tmp_path: Path) -> None:
    folder = export(upright_run, tmp_path / "ls", "label-studio")
    read: Read = {}
    for task in json.loads((folder / "tasks.json").read_bytes()):
        assert task["data"]["image"].startswith("/data/local-files/?d=")
        assert " " not in task["data"]["image"]
        [prediction] = task["predictions"]
        masks = []
        for item in prediction["result"]:
            assert (item["type"], item["from_name"], item["to_name"]) == ("brushlabels", "brush", "image")
            assert item["value"]["brushlabels"] == ["face"]
            masks.append(read_brush(item["value"]["rle"], (item["original_height"], item["original_width"])))
        read[task["data"]["file_name"]] = masks
    check(read, "upright")
    interface = ET.parse(folder / "interface.xml").getroot()
    assert interface.find("BrushLabels").attrib == {"name": "brush", "toName": "image"}  # type: ignore[union-attr]


# ---- Pascal VOC: palette PNGs


def test_voc(upright_run: Path, tmp_path: Path) -> None:
    folder = export(upright_run, tmp_path / "voc", "voc")
    names = (folder / "ImageSets/Segmentation/train.txt").read_text().splitlines()
    assert names == (folder / "ImageSets/Main/train.txt").read_text().splitlines()
    assert sorted(names) == sorted(str(Path(name).with_suffix("")) for name in ALL)
    shots = {str(Path(name).with_suffix("")): shot for name, shot in ALL.items()}
    for name in names:
        with Image.open(folder / f"SegmentationObject/{name}.png") as picture:
            numbers = np.asarray(picture)
            assert picture.mode == ("I;16" if name == "crowd" else "P")
            if picture.mode == "P":
                assert picture.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # type: ignore[index]
        with Image.open(folder / f"SegmentationClass/{name}.png") as picture:
            classes = np.asarray(picture)
        masks = shots[name].masks("upright")
        expected = np.zeros(numbers.shape, numbers.dtype)
        for number, mask in enumerate(masks, start=1):
            expected[mask] = number
        assert np.array_equal(numbers, expected)
        assert np.array_equal(classes, np.where(expected > 0, 15, 0))
        annotation = ET.parse(folder / f"Annotations/{name}.xml").getroot()
        boxes = [[int(value.text or "") for value in box] for box in annotation.iter("bndbox")]
        for box, mask in zip(boxes, masks, strict=True):
            rows, columns = np.nonzero(mask)
            assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
        with Image.open(folder / f"JPEGImages/{name}.jpg") as photo:
            assert ImageOps.exif_transpose(photo).size == numbers.shape[::-1]


# ---- Hugging Face: datasets itself


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for key in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(key, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield


@pytest.mark.filterwarnings("default")
def test_hugging_face(upright_run: Path, tmp_path: Path, offline: None) -> None:
    import datasets

    folder = export(upright_run, tmp_path / "hf set", "huggingface", "--split", "0.6,0.2,0.2")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) <= {"train", "validation", "test"}
    rows = [row for part in loaded.values() for row in part]
    hashes = {}
    for line in (upright_run / "manifest.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        hashes[record["sha256"]] = record["photo"].removeprefix("photos/")
    read: Read = {}
    for row in rows:
        name = hashes[row["sha256"]]
        numbers = np.asarray(row["instances"])
        assert row["image"].size == row["mask"].size == ALL[name].size_wh
        union = np.zeros(numbers.shape, bool)
        for mask in ALL[name].faces:
            union |= mask
        assert np.array_equal(np.asarray(row["mask"]), np.where(union, 255, 0))
        assert np.array_equal(numbers > 0, union)
        objects = row["objects"]
        height, width = numbers.shape
        read[name] = [
            coco_api.decode({"size": [height, width], "counts": counts}) > 0 for counts in objects["rle"]
        ]
        assert objects["number"] == list(range(1, len(ALL[name].faces) + 1))
    check(read, "upright")


# ---- CSV


def test_csv(upright_run: Path, tmp_path: Path) -> None:
    folder = export(upright_run, tmp_path / "csv", "csv")
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    read: Read = {}
    for row in rows:
        masks = read.setdefault(row["file_name"], [])
        if row["face"]:
            size = [int(row["height"]), int(row["width"])]
            masks.append(coco_api.decode({"size": size, "counts": row["rle"]}) > 0)
            assert int(row["area_px"]) == masks[-1].sum()
            assert 0 < float(row["score"]) < 1
            assert int(row["x68"]) == int(row["x1"]) + 67
    check(read, "upright")


# ---- How good faces are


def _of_coco(folder: Path) -> Iterator[tuple[Any, Any]]:
    for one in json.loads((folder / "instances.json").read_bytes())["annotations"]:
        yield one["attributes"].get("confidence"), one["attributes"].get("landmark_quality")


def _of_csv(folder: Path) -> Iterator[tuple[Any, Any]]:
    for row in csv.DictReader(io.StringIO((folder / "faces.csv").read_text("utf-8"))):
        if row["face"]:
            figures = row["confidence"], row["landmark_quality"]
            yield tuple(float(figure) if figure else None for figure in figures)  # type: ignore[misc]


def _of_cvat(folder: Path) -> Iterator[tuple[Any, Any]]:
    root = ET.parse(folder / "annotations.xml").getroot()
    declared = [one.findtext("name") for one in root.iter("attribute") if one.find("name") is not None]
    for mask in root.iter("mask"):
        told = {one.attrib["name"]: float(one.text or "nan") for one in mask.findall("attribute")}
        assert set(told) <= set(declared)
        yield told.get("confidence"), told.get("landmark_quality")


def _of_label_studio(folder: Path) -> Iterator[tuple[Any, Any]]:
    for task in json.loads((folder / "tasks.json").read_bytes()):
        for one in (task.get("predictions") or task["annotations"])[0]["result"]:
            yield one["meta"].get("confidence"), one["meta"].get("landmark_quality")


def _of_hugging_face(folder: Path) -> Iterator[tuple[Any, Any]]:
    for line in (folder / "train/metadata.jsonl").read_text().splitlines():
        faces = json.loads(line)["objects"]
        yield from zip(faces["confidence"], faces["landmark_quality"], strict=True)


QUALITIES: dict[str, Callable[[Path], Iterator[tuple[Any, Any]]]] = {
    "coco": _of_coco,
    "csv": _of_csv,
    "cvat": _of_cvat,
    "label-studio": _of_label_studio,
    "huggingface": _of_hugging_face,
}


@pytest.mark.parametrize("name", QUALITIES)
def test_confidence_and_quality_of_landmarks(tmp_path: Path, name: str) -> None:
    """As the run says; a face that a person has drawn has no confidence, but landmarks as good as before."""
    shots = [shot for shot in SHOTS if shot.name in ("cut.jpg", "empty.jpg", "hole.jpg", "turned/6.jpg")]
    run = write_run_of(tmp_path, shots)
    records = list(read_manifest(run))
    for number, record in enumerate(records):
        for face in record["faces"]:
            face |= {"confidence": 0.125 * number + 0.25, "landmark_quality": 0.5 / face["number"]}
    (run / "manifest.jsonl").write_bytes(b"".join(map(to_line, records)))
    drawn = next(record for record in records if record["name"].endswith("hole.jpg"))
    Corrections(run).correct(drawn, disc((150, 100), (60, 50), 20).astype(np.uint8), who="anna")
    expected = [
        (None if record is drawn else face["confidence"], face["landmark_quality"])
        for record in records
        for face in record["faces"]
    ]
    assert len(expected) == 4
    assert list(QUALITIES[name](export(run, tmp_path / "set", name))) == expected
