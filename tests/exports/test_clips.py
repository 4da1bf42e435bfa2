"""Clips in every format, read back frame by frame by its own reader or one restated from its documents."""

from __future__ import annotations

import csv
import json
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
from pipeline.exports.values import ExportPhoto
from tests.exports.clip_runs import Clip, still, walk, write_clips_of, write_stream
from tests.exports.runs import TO_STORED, Shot, disc
from tests.exports.test_formats import (
    Read,
    check,
    export,
    offline,
    read_brush,
    read_coco,
    read_cvat,
    read_yolo,
)
from tests.exports.test_importing import IMPORTED, change_coco, content, take_in

__all__ = ["offline"]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")

PHOTO = Shot("photo.png", (60, 40), (disc((60, 40), (20, 20), 10),))


def shots_of(*clips: Clip, suffix: str = "png", every: int = 1) -> dict[str, Shot]:
    return {name: shot for clip in clips for name, shot in clip.shots(suffix, every).items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph and two clips."""
    return write_clips_of(tmp_path_factory.mktemp("clips"), [walk(), still()], [PHOTO])


ALL = {**shots_of(walk(), still()), PHOTO.name: PHOTO}


def frames_of(reader: RunReader) -> dict[str, ExportPhoto]:
    return {photo.file_name.removeprefix("photos/"): photo for photo in reader.photos()}


def masks_of(photos: dict[str, ExportPhoto]) -> Read:
    return {
        name: [instance.mask.frame(photo.size_wh) for instance in photo.instances]
        for name, photo in photos.items()
    }


# ---- Where the masks come from


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_streams_and_sequences_on_either_grid(tmp_path: Path, sequences: bool, orientation: str) -> None:
    clips = [still(f"{number}.mkv", number) for number in (1, 3, 6, 8)]
    run = write_clips_of(tmp_path, clips, orientation=orientation, sequences=sequences)
    for grid in ("upright", "stored"):
        read = frames_of(RunReader(run, grid=grid, every=1))
        check(masks_of(read), grid, shots=shots_of(*clips))


@pytest.mark.parametrize("sequences", [False, True])
def test_a_name_that_holds_a_pattern_itself(tmp_path: Path, sequences: bool) -> None:
    clip = still("shot %02d/100%.mkv")
    run = write_clips_of(tmp_path, [clip], sequences=sequences)
    check(masks_of(frames_of(RunReader(run, every=1))), "upright", shots=shots_of(clip))
    folder = export(run, tmp_path / "cvat", "cvat")
    assert list(read_tracks(folder / f"clips/{clip.name}.xml")[0]) == [0, 1, 2]
    assert take_in(run, "cvat", folder, "--root", str(tmp_path / "photos")) == 0


@pytest.mark.parametrize("sequences", [False, True])
def test_more_tracks_than_a_byte_holds(tmp_path: Path, sequences: bool) -> None:
    size_wh = (640, 480)
    centers = [(16 + 32 * (track % 20), 16 + 32 * (track // 20)) for track in range(300)]
    faces = {track: disc(size_wh, center, 12, 3) for track, center in enumerate(centers)}
    clip = Clip("crowd.mkv", size_wh, (faces, {}, {299: faces[299]}))
    reader = RunReader(write_clips_of(tmp_path, [clip], sequences=sequences), every=1)
    read = frames_of(reader)
    check(masks_of(read), "upright", shots=shots_of(clip))
    assert [face.track_id for face in read["crowd.mkv/000002.png"].instances] == [300]


def test_faces_that_overlap_are_whole_where_crop_masks_were_kept(tmp_path: Path) -> None:
    size_wh = (80, 60)
    faces = {track: disc(size_wh, (20 + 9 * track, 30), 14, 4) for track in range(4)}
    clip = Clip("pile.mkv", size_wh, (faces, faces))
    kept = RunReader(write_clips_of(tmp_path / "kept", [clip], crop_masks=True), every=1)
    check(masks_of(frames_of(kept)), "upright", shots=shots_of(clip))
    assert kept.counts["overlapping"] == 0
    flat = RunReader(write_clips_of(tmp_path / "flat", [clip]), every=1)
    first, second, *_ = frames_of(flat)["pile.mkv/000000.png"].instances
    assert np.array_equal(first.mask.frame(size_wh), faces[0])
    assert np.array_equal(second.mask.frame(size_wh), faces[1] & ~faces[0])
    assert flat.counts["overlapping"] == 2


def test_one_track_needs_no_instance_map(tmp_path: Path) -> None:
    clip = Clip("one.mkv", (80, 60), ({3: disc((80, 60), (30, 30), 12)},) * 2)
    run = write_clips_of(tmp_path, [clip])
    record = json.loads((run / "manifest.jsonl").read_bytes())
    maps = run / record["files"].pop("instances")
    (run / "masks/photos").mkdir(parents=True)
    record["files"]["masks"] = "masks/photos/one.mkv.mkv"
    maps.rename(run / record["files"]["masks"])
    (run / "manifest.jsonl").write_text(json.dumps(record) + "\n")
    assert next(RunReader(run, every=1).photos()).instances == ()  # numbers are no mask: all are below 128
    _make_a_mask(run / record["files"]["masks"], clip)
    check(masks_of(frames_of(RunReader(run, every=1))), "upright", shots=shots_of(clip))


def _make_a_mask(path: Path, clip: Clip) -> None:
    masks = {index: (faces or {})[3].astype(np.uint8) * 255 for index, faces in enumerate(clip.frames)}
    write_stream(path, masks, path.with_suffix(".nut"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda run, record: (run / record["files"]["instances"]).unlink(),
            "is not there; run the clip again",
        ),
        (lambda run, record: (run / record["files"]["tracks"]).unlink(), "is not there or damaged"),
        (lambda run, record: (run / record["files"]["tracks"]).write_text("{"), "is not there or damaged"),
        (
            lambda run, record: record["clip"].pop("undecoded"),
            "does not say which frames it could not decode",
        ),
        (lambda run, record: record["files"].pop("instances"), "nothing there tells the faces of"),
        (
            lambda run, record: record.update(size_wh=[96, 160]),
            "has 160 x 96 pixels, its record says 96 x 160",
        ),
        (
            lambda run, record: record["clip"].update(frames=14, decoded=13),
            "ends before frame 12; run the clip again",
        ),
    ],
)
def test_a_broken_clip_costs_only_itself(tmp_path: Path, change: Any, message: str) -> None:
    run = write_clips_of(tmp_path, [walk()], [PHOTO])
    records = [json.loads(line) for line in (run / "manifest.jsonl").read_bytes().splitlines()]
    change(run, records[1])
    (run / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reader = RunReader(run, every=1)
    assert PHOTO.name in frames_of(reader)
    assert (reader.counts["broken_clips"], reader.counts["photos"]) == (1, 1)
    assert message in reader.problems[0]


def test_clips_can_be_left_out(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(
        read_coco(export(run, tmp_path / "c", "coco", "--frames", "0") / "instances.json", None, ""),
        "upright",
        shots={PHOTO.name: PHOTO},
    )
    said = capsys.readouterr()
    assert "left out: 2 clips; --frames 1 takes every frame" in said.err
    assert "1 photograph, 1 face ->" in said.out
    assert main(["export", str(run), "--to", "coco", str(tmp_path / "d"), "--frames", "-1"]) == 2


# ---- COCO, as of videos


def test_coco(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = export(run, tmp_path / "coco", "coco") / "instances.json"
    assert "1 photograph, 14 frames of 2 clips, " in capsys.readouterr().out
    check(read_coco(file, None, ""), "upright", shots=ALL)
    value = json.loads(file.read_bytes())
    assert value["videos"] == [
        {"id": 1, "name": "b/still.mkv", "width": 240, "height": 180, "length": 3},
        {"id": 2, "name": "walk.mkv", "width": 160, "height": 96, "length": 12},
    ]
    assert value["tracks"] == [
        {"id": 1, "category_id": 1, "video_id": 1},
        *({"id": number, "category_id": 1, "video_id": 2} for number in (2, 3, 4)),
    ]
    images = {image["id"]: image for image in value["images"]}
    for image in images.values():
        clip, _, frame = image["file_name"].rpartition("/")
        if clip:
            names = {video["name"]: video["id"] for video in value["videos"]}
            assert image["video_id"] == names[clip]
            assert image["frame_id"] == image["frame_index"] == int(frame.removesuffix(".png"))
        else:
            assert not {"video_id", "frame_id", "frame_index"} & set(image)
    seen: dict[int, set[int]] = {}
    for one in value["annotations"]:
        image = images[one["image_id"]]
        if "video_id" in image:
            assert one["track_id"] == one["instance_id"] == one["attributes"]["track_id"]
            assert one["video_id"] == image["video_id"]
            seen.setdefault(one["track_id"], set()).add(image["frame_index"])
            assert one["score"] == pytest.approx(0.9 - (one["face"] - 1) / 1000)
            x, y = one["keypoints"][:2]
            assert (x, y) == (one["bbox"][0] - 2, one["bbox"][1] - 1)
        else:
            assert not {"video_id", "instance_id", "track_id"} & {*one, *one["attributes"]}
    assert seen == {1: {0, 1, 2}, 2: {0, 1, 2, 3, 7, 8, 10, 11}, 3: {0, 1, 2, 3, 5, 6}, 4: {10, 11}}


def test_every_third_frame_of_parts_that_keep_clips_whole(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "c", "coco", "--frames", "3", "--split", "0.5,0.5")
    read: Read = {}
    for part in ("train", "val"):
        file = folder / f"instances_{part}.json"
        value = json.loads(file.read_bytes())
        names = {image["file_name"].rpartition("/")[0] for image in value["images"]} - {""}
        assert names == {video["name"] for video in value.get("videos", [])}
        read |= read_coco(file, None, "")
    check(read, "upright", shots={**shots_of(walk(), still(), every=3), PHOTO.name: PHOTO})


def test_people_and_folders_are_the_clips(run: Path, tmp_path: Path) -> None:
    for key in ("folder", "person", "hash"):
        folder = export(run, tmp_path / key, "coco", "--split", "0.5,0.5", "--by", key)
        parts = [
            {image["file_name"].rpartition("/")[0] for image in json.loads(file.read_bytes())["images"]}
            for file in sorted(folder.glob("instances_*.json"))
        ]
        assert parts[0] & parts[1] == set()


# ---- CVAT for video: a reader restated from the documents of the format


def read_tracks(file: Path) -> tuple[dict[int, dict[int, Mask]], ET.Element]:
    """Index of every frame of the task to the masks of the tracks that are there; and the task."""
    root = ET.parse(file).getroot()
    assert (root.tag, root.findtext("version")) == ("annotations", "1.1")
    task = root.find("meta/task")
    assert task is not None
    assert task.findtext("mode") == "interpolation"
    width, height = (int(task.findtext(f"original_size/{side}") or "") for side in ("width", "height"))
    step = int((task.findtext("frame_filter") or "").removeprefix("step="))
    frames = range(int(task.findtext("start_frame") or ""), int(task.findtext("stop_frame") or "") + 1, step)
    assert task.findtext("size") == str(len(frames))
    shown: dict[int, dict[int, Mask]] = {frame: {} for frame in frames}
    for place, track in enumerate(root.findall("track")):
        assert (track.attrib["id"], track.attrib["label"]) == (str(place), "face")
        keyframes = {int(shape.attrib["frame"]): shape for shape in track}
        assert list(keyframes) == sorted(keyframes)
        assert len(keyframes) == len(track)
        last: Mask | None = None
        for frame in frames:
            shape = keyframes.get(frame)
            if shape is not None:
                assert (shape.attrib["keyframe"], shape.attrib["occluded"]) == ("1", "0")
                last = None if shape.attrib["outside"] == "1" else read_shape(shape, (height, width))
            if last is not None:
                shown[frame][place] = last
    return shown, task


def read_shape(shape: ET.Element, shape_hw: tuple[int, int]) -> Mask:
    if shape.tag == "polygon":
        flat = [float(value) for point in shape.attrib["points"].split(";") for value in point.split(",")]
        return np.asarray(coco_api.decode(coco_api.merge(coco_api.frPyObjects([flat], *shape_hw))) > 0)
    left, top, width, height = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
    values: list[bool] = []
    for place, length in enumerate(shape.attrib["rle"].split(", ")):
        values += [place % 2 == 1] * int(length)
    mask = np.zeros(shape_hw, bool)
    mask[top : top + height, left : left + width] = np.array(values).reshape(height, width)
    return mask


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_cvat_for_video(run: Path, tmp_path: Path, shapes: str, every: int) -> None:
    folder = export(run, tmp_path / "cvat", "cvat", "--shapes", shapes, "--frames", str(every))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {".uncrop-export.json", "annotations.xml", "clips/walk.mkv.xml", "clips/b/still.mkv.xml"}
    for clip in (walk(), still()):
        shown, task = read_tracks(folder / f"clips/{clip.name}.xml")
        assert task.findtext("name") == task.findtext("source") == clip.name
        assert list(shown) == list(range(0, len(clip.frames), every))
        for index, faces in shown.items():
            truth = clip.frames[index]
            if truth is None:
                continue  # the clip has no such frame
            assert len(faces) == len(truth), index
            for mask, right in zip(faces.values(), (truth[track] for track in sorted(truth)), strict=True):
                assert (mask ^ right).sum() <= (0 if shapes == "masks" else 0.01 * right.sum())


def test_cvat_has_images_where_frames_are_written(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "cvat", "cvat", "--write-frames", "png")
    check(read_cvat(folder / "annotations.xml"), "upright", shots=ALL)
    assert not (folder / "clips").exists()
    check_pictures(folder / "images", "png")


# ---- Formats that want pictures


def check_pictures(folder: Path, suffix: str) -> None:
    """Frames are there as pictures, and are the clip's."""
    for clip in (walk(), still()):
        for name in clip.shots(suffix):
            with Image.open(folder / name) as picture:
                pixels = np.asarray(picture.convert("RGB")).astype(int)
            difference = abs(pixels - clip.picture(int(Path(name).stem)))
            assert np.median(difference) <= (0 if suffix == "png" else 4), name


def test_yolo(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "yolo", "yolo", "--images", "copy")
    check(
        read_yolo(folder, np.trunc),
        "upright",
        0.99,
        {**shots_of(walk(), still(), suffix="jpg"), PHOTO.name: PHOTO},
    )
    check_pictures(folder / "images/train", "jpg")


def test_yolo_without_pictures(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "yolo", "yolo", "--images", "none")
    labels = {
        path.relative_to(folder / "labels/train").with_suffix(".png").as_posix()
        for path in folder.rglob("*.txt")
    }
    assert labels == set(ALL)
    assert not (folder / "images").exists()


def test_fiftyone(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "set", "fiftyone", "--write-frames", "png")
    check(read_coco(folder / "labels.json", folder / "data", "upright"), "upright", shots=ALL)
    check_pictures(folder / "data", "png")


def test_label_studio(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "ls", "label-studio")
    read: Read = {}
    for task in json.loads((folder / "tasks.json").read_bytes()):
        data, [prediction] = task["data"], task["predictions"]
        read[data["file_name"]] = [
            read_brush(item["value"]["rle"], (item["original_height"], item["original_width"]))
            for item in prediction["result"]
        ]
        if "clip" in data:
            assert data["file_name"] == f"{data['clip']}/{data['frame']:06d}.jpg"
            assert all(item["meta"]["track_id"] >= 1 for item in prediction["result"])
    check(read, "upright", shots={**shots_of(walk(), still(), suffix="jpg"), PHOTO.name: PHOTO})
    check_pictures(folder / "images", "jpg")


def test_voc(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "voc", "voc")
    for clip in (walk(), still()):
        for name, shot in clip.shots("jpg").items():
            below = Path(name).with_suffix("")
            with Image.open(folder / f"SegmentationObject/{below}.png") as picture:
                numbers = np.asarray(picture)
            truth = clip.frames[int(below.name)] or {}
            expected = np.zeros(numbers.shape, np.uint8)
            for track, mask in truth.items():
                expected[mask] = track + 1
            assert np.array_equal(numbers, expected), shot.name
    check_pictures(folder / "JPEGImages", "jpg")


@pytest.mark.filterwarnings("default")
def test_hugging_face(run: Path, tmp_path: Path, offline: None) -> None:
    import datasets

    folder = export(run, tmp_path / "hf", "huggingface", "--split", "0.5,0.5")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    read: Read = {}
    for row in (row for part in loaded.values() for row in part):
        name = f"{row['clip']}/{row['frame']:06d}.jpg" if row["clip"] else PHOTO.name
        numbers = np.asarray(row["instances"])
        assert row["image"].size == row["mask"].size == numbers.shape[::-1]
        size = list(numbers.shape)
        read[name] = [coco_api.decode({"size": size, "counts": code}) > 0 for code in row["objects"]["rle"]]
        assert all((track >= 1) == bool(row["clip"]) for track in row["objects"]["track_id"])
    check(read, "upright", shots={**shots_of(walk(), still(), suffix="jpg"), PHOTO.name: PHOTO})


def test_csv(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "csv", "csv")
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    read: Read = {}
    for row in rows:
        if row["clip"]:
            assert row["file_name"] == f"{row['clip']}/{int(row['frame']):06d}.png"
        masks = read.setdefault(row["file_name"], [])
        if row["face"]:
            assert bool(row["track_id"]) == bool(row["clip"])
            size = [int(row["height"]), int(row["width"])]
            masks.append(coco_api.decode({"size": size, "counts": row["rle"]}) > 0)
    check(read, "upright", shots=ALL)


def test_pictures_lie_on_the_grid_of_the_masks(tmp_path: Path) -> None:
    clip = still("a.mkv", 3)
    run = write_clips_of(tmp_path, [clip])
    # Matroska keeps no turn that this writer could set: the picture is read as it is stored.
    folder = export(run, tmp_path / "c", "coco", "--orientation", "stored", "--write-frames", "png")
    check(read_coco(folder / "instances.json", None, ""), "stored", shots=shots_of(clip))
    with Image.open(folder / "images/a.mkv/000001.png") as picture:
        stored = TO_STORED[3](clip.picture(1))
        assert np.array_equal(np.asarray(picture), TO_STORED[3](stored))


def test_a_clip_that_has_gone_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_clips_of(tmp_path, [walk()])
    (tmp_path / "photos/walk.mkv").unlink()
    assert main(["export", str(run), "--to", "yolo", str(tmp_path / "a")]) == 1
    assert (
        "no such file. It may have been moved since it was listed. Or export with" in capsys.readouterr().err
    )
    assert main(["export", str(run), "--to", "coco", str(tmp_path / "b")]) == 0


# ---- Back


@pytest.mark.parametrize("name", IMPORTED)
@pytest.mark.parametrize("every", ["1", "2"])
def test_an_untouched_export_changes_nothing(tmp_path: Path, name: str, every: str) -> None:
    run = write_clips_of(tmp_path, [walk(), still(), still("turned.mkv", 8)], [PHOTO])
    arguments = ["--frames", every]
    first = export(run, tmp_path / "first", name, *arguments)
    root = ["--root", str(tmp_path / "photos")]
    assert take_in(run, name, first, *root) == 0
    assert not (run / "review.jsonl").exists()
    assert content(export(run, tmp_path / "second", name, *arguments)) == content(first)


def test_a_frame_that_was_corrected_in_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = walk()
    run = write_clips_of(tmp_path, [clip])
    folder = export(run, tmp_path / "c", "coco")
    value = json.loads((folder / "instances.json").read_bytes())
    [image] = [image for image in value["images"] if image["file_name"] == "walk.mkv/000002.png"]
    drawn, added = disc(clip.size_wh, (28, 30), 9), disc(clip.size_wh, (80, 80), 7)

    def changed(old: list[Any]) -> list[Any]:
        kept = [one for one in old if one["image_id"] != image["id"]]
        for number, mask in ((1, drawn), (None, added)):  # the second face is removed
            code = coco_api.encode(np.asfortranarray(mask.astype(np.uint8)))
            segmentation = {"size": list(mask.shape), "counts": code["counts"].decode()}
            kept.append(
                {"image_id": image["id"], "category_id": 1, "segmentation": segmentation, "face": number}
            )
        return kept

    change_coco(folder, changed)
    root = ["--root", str(tmp_path / "photos")]
    capsys.readouterr()
    assert take_in(run, "coco", folder, *root) == 0
    assert "1 corrected, 10 unchanged" in capsys.readouterr().out
    read = frames_of(RunReader(run, every=1))
    faces = read["walk.mkv/000002.png"].instances
    assert [(face.number, face.source, face.track_id) for face in faces] == [
        (1, "corrected", 1),
        (4, "corrected", None),
    ]
    assert np.array_equal(faces[0].mask.frame(clip.size_wh), drawn)
    assert np.array_equal(faces[1].mask.frame(clip.size_wh), added)
    others = {name: shot for name, shot in shots_of(clip).items() if name != "walk.mkv/000002.png"}
    check(masks_of({name: read[name] for name in others}), "upright", shots=others)
    [line] = Corrections(run).history("photos/walk.mkv/000002.png")
    assert line.file == "corrected/photos/walk.mkv/000002.png.png"
    second = export(run, tmp_path / "d", "coco")
    assert take_in(run, "coco", second, *root) == 0
    assert content(export(run, tmp_path / "e", "coco")) == content(second)


def test_a_track_that_was_corrected_in_cvat(tmp_path: Path) -> None:
    clip = walk()
    run = write_clips_of(tmp_path, [clip])
    folder = export(run, tmp_path / "c", "cvat")
    file = folder / "clips/walk.mkv.xml"
    tree = ET.parse(file)
    _, second, third = tree.getroot().findall("track")
    for shape in list(second):  # the second face stands still from frame 1 to 5, and has gone then
        if int(shape.attrib["frame"]) in (2, 3, 5):
            second.remove(shape)
        if shape.attrib["frame"] == "6":
            shape.attrib["outside"] = "1"
    tree.getroot().remove(third)
    name = tree.getroot().find("meta/task/source")
    assert name is not None
    name.text = "walk.mkv"
    tree.write(file)
    assert take_in(run, "cvat", file) == 0
    read = frames_of(RunReader(run, every=1))
    assert clip.frames[1] is not None
    for index in (1, 2, 3, 5):
        faces = masks_of(read)[f"walk.mkv/{index:06d}.png"]
        assert np.array_equal(faces[-1], clip.frames[1][1]), index
    assert [face.number for face in read["walk.mkv/000006.png"].instances] == []
    assert [face.number for face in read["walk.mkv/000011.png"].instances] == [1]
    assert sorted(path.name for path in (run / "corrected/photos/walk.mkv").iterdir()) == [
        f"{index:06d}.png.png" for index in (2, 3, 5, 6, 10, 11)
    ]
    assert read["walk.mkv/000001.png"].source == "run"


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_a_track_of_cvat_stays_who_it_is(tmp_path: Path, shapes: str) -> None:
    """Wherever its mask has gone, and also in frames in which the run had lost its face."""
    clip = walk()
    run = write_clips_of(tmp_path, [clip])
    file = export(run, tmp_path / "c", "cvat", "--shapes", shapes) / "clips/walk.mkv.xml"
    tree = ET.parse(file)
    first = tree.getroot().findall("track")[0]
    assert {shape.findtext("attribute[@name='face']") for shape in first} == {"1"}
    assert tree.getroot().findtext("meta/task/labels/label/attributes/attribute/name") == "face"
    kept = next(shape for shape in first if shape.attrib["frame"] == "8")
    for shape in list(first):  # where frame 8 has it, from frame 3 on
        if int(shape.attrib["frame"]) in range(3, 9):
            first.remove(shape)
    kept.attrib["frame"] = "3"
    first.insert(3, kept)
    name = tree.getroot().find("meta/task/source")
    assert name is not None
    name.text = "walk.mkv"
    tree.write(file)
    assert take_in(run, "cvat", file) == 0
    read = frames_of(RunReader(run, every=1))
    right = clip.frames[8]
    assert right is not None
    for index in (3, 5, 6, 7):
        photo = read[f"walk.mkv/{index:06d}.png"]
        face = next(instance for instance in photo.instances if instance.number == 1)
        assert face.track_id == 1
        assert np.array_equal(face.mask.frame(photo.size_wh), right[0]), index
        assert {instance.number for instance in photo.instances} <= {1, 2}
    second = export(run, tmp_path / "d", "coco")
    annotations = json.loads((second / "instances.json").read_bytes())["annotations"]
    assert {one["track_id"] for one in annotations} == {1, 2, 3}


def test_what_fits_no_clip_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_clips_of(tmp_path, [walk()])
    folder = export(run, tmp_path / "c", "coco")
    file = folder / "instances.json"
    value = json.loads(file.read_bytes())
    value["images"][0] |= {"file_name": "walk.mkv/000099.png"}
    value["images"][1] |= {"file_name": "other.mkv/000001.png", "sha256": None}
    value["images"][2] |= {"file_name": "walk.mkv/000003.png"}
    file.write_text(json.dumps(value))
    capsys.readouterr()
    assert take_in(run, "coco", file) == 1
    said = capsys.readouterr().err
    assert "walk.mkv/000099.png: the clip has no such frame" in said
    assert "other.mkv/000001.png: the run has no such photograph or clip" in said
    assert "walk.mkv/000003.png: is there twice; only the first is taken" in said
    file.write_text("{}")
    tracks = tmp_path / "t.xml"
    tracks.write_text("<annotations><track id='0' label='face'></track></annotations>")
    assert take_in(run, "cvat", tracks) == 2
    assert "does not say which clip it is of" in capsys.readouterr().err


def test_corrected_frames_on_the_other_grid(tmp_path: Path) -> None:
    clip = still("a.mkv", 8)
    run = write_clips_of(tmp_path, [clip])
    folder = export(run, tmp_path / "c", "voc", "--orientation", "stored")
    path = folder / "SegmentationObject/a.mkv/000001.png"
    drawn = np.zeros((240, 180), np.uint8)
    drawn[20:60, 30:90] = 1
    assert cv2.imwrite(str(path), drawn)
    assert take_in(run, "voc", folder, "--orientation", "stored", "--root", str(tmp_path / "photos")) == 0
    for grid, expected in (("stored", drawn == 1), ("upright", np.rot90(drawn == 1))):
        read = masks_of(frames_of(RunReader(run, grid=grid, every=1)))  # type: ignore[arg-type]
        assert np.array_equal(read["a.mkv/000001.png"][0], expected)
