"""Figures face by face: literal ones, those of COCO's own evaluation, and the command."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.cli import main
from pipeline.corrections.layer import Corrections
from pipeline.evaluate.instances import InstanceTotals
from pipeline.exports.reader import RunReader
from pipeline.exports.rle import encode_coco
from pipeline.exports.values import MaskWindow
from pipeline.manifest.journal import read_manifest
from tests.exports.clip_runs import walk, write_clips_of
from tests.exports.runs import Shot, disc, write_run_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")

SIZE = (60, 40)


def strip(start: int, stop: int) -> MaskWindow:
    mask = np.zeros((1, 100), bool)
    mask[0, start:stop] = True
    return MaskWindow.of(mask)


def test_literal_figures() -> None:
    totals = InstanceTotals()
    # pairs of IoU 0.8 and 0.6, a face that is none, one that was missed
    totals.add(
        [strip(0, 8), strip(20, 26), strip(90, 99)],
        [0.9, 0.8, 0.95],
        [strip(0, 10), strip(20, 30), strip(50, 60)],
    )
    figures = totals.figures()
    assert (figures["true_faces"], figures["predicted_faces"]) == (3, 3)
    assert figures["precision_50"] == figures["recall_50"] == pytest.approx(2 / 3)
    assert figures["segmentation_quality"] == pytest.approx(0.7)
    assert figures["recognition_quality"] == pytest.approx(2 / 3)
    assert figures["panoptic_quality"] == pytest.approx(1.4 / 3)
    # by score: wrong, right, right: precision 0, 1/2, 2/3, at best 2/3 up to a recall of 2/3, 0 beyond
    assert figures["ap_50"] == pytest.approx(2 / 3 * 67 / 101)
    # at 0.75 one of them is right: precision 1/2 up to a recall of 1/3
    assert figures["ap_75"] == pytest.approx(1 / 2 * 34 / 101)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [([], [], 1.0), ([strip(0, 5)], [], 0.0), ([], [strip(0, 5)], 0.0), ([strip(0, 5)], [strip(0, 5)], 1.0)],
)
def test_nothing_to_find(predicted: list[MaskWindow], truth: list[MaskWindow], expected: float) -> None:
    totals = InstanceTotals()
    totals.add(predicted, [1.0] * len(predicted), truth)
    figures = totals.figures()
    assert (figures["ap"], figures["panoptic_quality"]) == (expected, expected)


def test_a_true_face_is_found_once() -> None:
    totals = InstanceTotals()
    totals.add([strip(0, 10), strip(0, 9)], [0.5, 0.9], [strip(0, 10)])
    figures = totals.figures()
    assert figures["precision_50"] == 0.5
    assert figures["segmentation_quality"] == 1.0  # of the pair that shares most
    assert figures["recognition_quality"] == pytest.approx(1 / 1.5)


def _random_faces(rng: np.random.Generator, count: int) -> list[NDArray[np.bool_]]:
    return [disc((80, 60), tuple(rng.uniform(5, 55, 2)), rng.uniform(4, 12)) for _ in range(count)]


def test_average_precision_is_that_of_coco() -> None:
    rng = np.random.default_rng(5)
    totals = InstanceTotals()
    images: list[dict[str, Any]] = []
    truths: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    for image in range(1, 31):
        truth = _random_faces(rng, int(rng.integers(0, 5)))
        guess = [np.roll(mask, rng.integers(-3, 4, 2), (0, 1)) for mask in truth if rng.random() < 0.8]
        guess += _random_faces(rng, int(rng.integers(0, 2)))
        scores = [round(float(score), 6) for score in rng.random(len(guess))]
        totals.add([MaskWindow.of(m) for m in guess], scores, [MaskWindow.of(m) for m in truth])
        images.append({"id": image, "width": 80, "height": 60})
        for mask in truth:
            entry = {
                "image_id": image,
                "category_id": 1,
                "iscrowd": 0,
                "area": int(mask.sum()),
                "bbox": [0, 0, 1, 1],
            }
            segmentation = {"size": [60, 80], "counts": encode_coco(mask)}
            truths.append({"id": len(truths) + 1, "segmentation": segmentation, **entry})
        for mask, score in zip(guess, scores, strict=True):
            segmentation = {"size": [60, 80], "counts": encode_coco(mask)}
            guesses.append(
                {"image_id": image, "category_id": 1, "segmentation": segmentation, "score": score}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": truths, "categories": [{"id": 1, "name": "face"}]}
        coco.createIndex()
        theirs = COCOeval(coco, coco.loadRes(guesses), "segm")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    figures = totals.figures()
    assert 0.1 < figures["ap"] < 0.9
    assert [figures["ap"], figures["ap_50"], figures["ap_75"]] == pytest.approx(theirs.stats[:3].tolist())


def figures_of(text: str) -> dict[str, float]:
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if len(line.split()) == 2}


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, float]:
    capsys.readouterr()
    assert main(["evaluate", *map(str, arguments)]) == 0
    return figures_of(capsys.readouterr().out)


def shots() -> list[Shot]:
    return [
        Shot("a/1.png", SIZE, (disc(SIZE, (15, 20), 10), disc(SIZE, (45, 20), 10))),
        Shot("b/1.png", SIZE, (disc(SIZE, (15, 20), 10),)),
        Shot("b/2.png", SIZE),
    ]


def test_a_run_against_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run_of(tmp_path, shots())
    assert main(["export", str(run), "--to", "coco", str(tmp_path / "truth")]) == 0
    for truth in (tmp_path / "truth", tmp_path / "truth/instances.json"):
        figures = evaluate(capsys, "--predictions", run, "--truth", truth)
        assert figures["photographs"] == 3
        assert (figures["iou_mean"], figures["ap"], figures["panoptic_quality"]) == (1, 1, 1)
        assert (figures["true_faces"], figures["predicted_faces"]) == (3, 3)
    content = json.loads((tmp_path / "truth/instances.json").read_bytes())
    content["images"] = [one for one in content["images"] if not one["file_name"].endswith("2.png")]
    content["images"][1]["file_name"], content["images"][1]["sha256"] = "elsewhere/1.png", ""
    missed = disc(SIZE, (30, 35), 4)
    content["annotations"].append(
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [40, 60], "counts": encode_coco(missed)}}
    )
    (tmp_path / "theirs.json").write_text(json.dumps(content))
    table = tmp_path / "all.csv"
    figures = evaluate(capsys, "--predictions", run, "--truth", tmp_path / "theirs.json", "--csv", table)
    assert (figures["photographs"], figures["without_prediction"]) == (2, 1)
    assert (figures["true_faces"], figures["predicted_faces"]) == (4, 2)
    assert (figures["precision_50"], figures["recall_50"]) == (1, 0.5)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["photos/a/1.png", "elsewhere/1.png"]
    assert [bool(row["prediction"]) for row in rows] == [True, False]


def test_a_run_against_what_people_have_left_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run_of(tmp_path, shots())
    records = {record["name"]: record for record in read_manifest(run)}
    with pytest.raises(AssertionError):
        evaluate(capsys, "--predictions", run, "--truth", run)
    assert "no photograph there was accepted or corrected" in capsys.readouterr().err
    layer = Corrections(run)
    layer.judge(records["photos/b/2.png"], "accept", who="anna")
    drawn = np.zeros((40, 60), np.uint8)
    drawn[shots()[0].faces[0]] = 1
    layer.correct(records["photos/a/1.png"], drawn, who="anna")  # its second face is none
    figures = evaluate(capsys, "--predictions", run, "--truth", run)
    assert (figures["photographs"], figures["true_faces"], figures["predicted_faces"]) == (2, 1, 2)
    assert (figures["precision_50"], figures["recall_50"]) == (0.5, 1)
    assert 0.5 < figures["iou_mean"] < 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--truth", "truth", "--sheet", "x.png"], "--sheet is for --truth that is a folder of masks"),
        (["--truth", "truth", "--ignore-value", "9"], "--ignore-value is for --truth"),
        (["--truth", "nowhere.json"], "--truth nowhere.json: no such file or folder"),
        (["--truth", "truth", "--predictions", "photos"], "so its faces cannot be told apart"),
        (["--truth", "small.json"], "60 x 40 pixels in --predictions, 40 x 60 in --truth"),
        (["--truth", "twice.json"], "both fit 1.png"),
    ],
)
def test_wrong_use_is_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run_of(tmp_path, shots())
    assert main(["export", "out", "--to", "coco", "truth"]) == 0
    images = [{"id": 1, "width": 40, "height": 60, "file_name": "a/1.png"}]
    Path("small.json").write_text(json.dumps({"images": images, "annotations": []}))
    images = [{"id": 1, "width": 60, "height": 40, "file_name": "1.png"}]
    Path("twice.json").write_text(json.dumps({"images": images, "annotations": []}))
    assert main(["evaluate", "--predictions", "out", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_frames_of_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames that people have accepted or corrected are truth, from the run itself and as COCO."""
    photo = Shot("a.png", SIZE, (disc(SIZE, (20, 20), 12),))
    run = write_clips_of(tmp_path, [walk(), replace(walk(), name="b.mkv")], [photo])
    reader = RunReader(run)
    clip = next(clip for clip in reader.clips() if clip["name"].endswith("walk.mkv"))
    for index, record, frame in reader.frames(clip, (2, 3, 8).__contains__):
        if index == 8:
            reader.corrections.judge(record, "accept", who="anna")
            continue
        numbers = np.zeros(frame.size_wh[::-1], np.uint8)
        for instance in frame.instances[: 1 if index == 2 else None]:  # one of two faces is wrong in frame 2
            numbers[instance.mask.frame(frame.size_wh)] = instance.number
        reader.corrections.correct(record, numbers, who="anna")
    table = tmp_path / "all.csv"
    arguments = ["evaluate", "--predictions", str(run), "--csv", str(table)]
    assert main([*arguments, "--truth", str(run)]) == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (said["photographs"], said["true_faces"], said["predicted_faces"]) == ("3", "4", "5")
    assert float(said["precision_50"]) == pytest.approx(4 / 5)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [next(iter(row.values())) for row in rows] == [
        f"photos/walk.mkv/{index:06d}.png" for index in (2, 3, 8)
    ]

    assert main(["export", str(run), "--to", "coco", str(tmp_path / "c")]) == 0
    capsys.readouterr()
    assert main([*arguments, "--truth", str(tmp_path / "c/instances.json")]) == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    decoded = [frame for frame in walk().frames if frame is not None]
    assert int(said["photographs"]) == 2 * len(decoded) + 1
    assert int(said["predicted_faces"]) == 2 * sum(map(len, decoded)) + 1 == int(said["true_faces"]) + 1
    assert main(["evaluate", "--predictions", str(tmp_path / "c"), "--truth", str(run)]) == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (said["photographs"], float(said["panoptic_quality"])) == ("3", 1.0)
