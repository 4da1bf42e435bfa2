"""Figures of merit on small literal masks, and the command around them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cli import main
from pipeline.evaluate.comparison import evaluate_folders, summarise, write_sheet
from pipeline.metrics import compare


def mask(*rows: str) -> NDArray[np.bool_]:
    return np.array([[mark == "#" for mark in row] for row in rows])


def square(x: int, size: int = 20, side: int = 60) -> NDArray[np.bool_]:
    picture = np.zeros((side, side), bool)
    picture[10 : 10 + size, x : x + size] = True
    return picture


def save(path: Path, picture: NDArray[np.bool_]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture.astype(np.uint8) * 255)


def evaluate(predictions: Path, truth: Path) -> int:
    return main(["evaluate", "--predictions", str(predictions), "--truth", str(truth)])


def test_iou_and_accuracy() -> None:
    scores = compare(mask("##..", "...."), mask(".##.", "...."))
    assert scores.iou == pytest.approx(1 / 3)
    assert scores.pixel_accuracy == pytest.approx(6 / 8)


def test_ignored_pixels_count_nowhere() -> None:
    scores = compare(mask("##.."), mask(".##."), ignore=mask("#..."))
    assert scores.iou == pytest.approx(1 / 2)
    assert scores.pixel_accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(("prediction", "expected"), [("....", 1.0), ("#...", 0.0)])
def test_empty_truth(prediction: str, expected: float) -> None:
    scores = compare(mask(prediction), mask("...."))
    assert (scores.iou, scores.boundary_f, scores.faces) == (expected, expected, 0)


def test_boundary_f_forgives_less_than_the_tolerance() -> None:
    truth = np.zeros((400, 400), bool)
    truth[100:300, 100:300] = True
    near, far = np.roll(truth, 4, axis=1), np.roll(truth, 40, axis=1)
    assert compare(truth, truth).boundary_f == 1.0
    assert compare(near, truth).boundary_f == 1.0  # tolerance: 0.0075 x 566 = 4.2 pixels
    assert 0.3 < compare(far, truth).boundary_f < 0.7


def test_a_face_is_found_when_half_of_it_is_covered() -> None:
    truth = square(5) | square(35)
    prediction = square(5) | square(46)
    scores = compare(prediction, truth)
    assert (scores.faces, scores.faces_found) == (2, 1)
    truth[0, 0] = True  # a speck is no face
    assert compare(prediction, truth).faces == 2


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected shape"):
        compare(mask("#"), mask("##"))


def test_folders_are_matched_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    save(tmp_path / "truth/a/one.png", square(5))
    save(tmp_path / "truth/two.png", square(5))
    save(tmp_path / "truth/three.png", square(5))
    save(tmp_path / "out/a/one.jpg.png", square(5))
    save(tmp_path / "out/elsewhere/two.jpeg.png", square(10))
    results = evaluate_folders(tmp_path / "out", tmp_path / "truth")
    assert {result.name: round(result.scores.iou, 2) for result in results} == {
        "a/one": 1,
        "two": 0.6,
        "three": 0,
    }
    summary = summarise(results)
    assert summary["photographs"] == 3
    assert summary["without_prediction"] == 1
    assert summary["iou_mean"] == pytest.approx(1.6 / 3)
    assert summary["face_recall"] == pytest.approx(2 / 3)


def test_command_writes_csv_and_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        save(tmp_path / f"truth/{number}.png", square(5))
        save(tmp_path / f"out/masks/{number}.jpg.png", square(5 + 5 * number))
        save(tmp_path / f"photos/{number}.jpg", square(5))
    folders = ["--predictions", str(tmp_path / "out"), "--truth", str(tmp_path / "truth")]
    files = ["--csv", str(tmp_path / "all.csv"), "--sheet", str(tmp_path / "worst.png")]
    assert main(["evaluate", *folders, *files, "--photos", str(tmp_path / "photos"), "--worst", "2"]) == 0
    assert "iou_median" in capsys.readouterr().out
    with (tmp_path / "all.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [round(float(line["iou"]), 2) for line in lines] == [1.0, 0.6, 0.33]
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet is not None
    assert sheet.shape == (264, 480, 3)


def test_the_sheet_shows_photographs_as_they_were_segmented(tmp_path: Path) -> None:
    for folder in ("truth", "out"):
        save(tmp_path / folder / "a.png", square(5, side=240))
    hidden = np.zeros((240, 240, 4), np.uint8)
    hidden[:120] = (0, 0, 255, 255)  # below is black that nobody sees: transparent
    (tmp_path / "photos").mkdir()
    assert cv2.imwrite(str(tmp_path / "photos/a.png"), hidden)
    (result,) = evaluate_folders(tmp_path / "out", tmp_path / "truth")
    write_sheet(tmp_path / "sheet.png", [result], {"a": tmp_path / "photos/a.png"})
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert (sheet[60, 60].tolist(), sheet[180, 60].tolist()) == ([0, 0, 255], [255, 255, 255])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--predictions", "nowhere", "--truth", "."], "--predictions nowhere: no such folder"),
        (["--predictions", ".", "--truth", "."], "holds no pictures"),
        (["--predictions", ".", "--truth", ".", "--config", "x.yaml"], "say which with --photos"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *arguments]) == 2
    assert part in capsys.readouterr().err


def test_sizes_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "truth/a.png", square(5))
    save(tmp_path / "out/a.png", square(5, side=61))
    assert evaluate(tmp_path / "out", tmp_path / "truth") == 2
    assert "61 x 61 pixels" in capsys.readouterr().err


def test_nested_folders_are_matched_below_the_label_of_the_root(tmp_path: Path) -> None:
    for person, x in (("anna", 5), ("bob", 25)):
        save(tmp_path / "truth" / person / "1.png", square(x))
        save(tmp_path / "masks" / "photos-0123456789ab" / person / "1.jpg.png", square(x))
    results = evaluate_folders(tmp_path / "masks", tmp_path / "truth")
    assert [result.scores.iou for result in results] == [1.0, 1.0]


def test_another_persons_prediction_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "truth" / "anna" / "7.png", square(5))
    save(tmp_path / "truth" / "bob" / "7.png", square(25))
    save(tmp_path / "masks" / "p" / "anna" / "7.jpg.png", square(5))
    assert evaluate(tmp_path / "masks", tmp_path / "truth") == 0
    told = capsys.readouterr()
    assert "no prediction for 1 of 2 truths" in told.err
    assert "bob" in told.err
    assert "0.5000" in told.out


def test_two_formats_of_one_name_stay_two_photographs(tmp_path: Path) -> None:
    for suffix, x in (("jpg", 5), ("png", 25)):
        save(tmp_path / "truth" / f"1.{suffix}.png", square(x))
        save(tmp_path / "masks" / "p" / f"1.{suffix}.png", square(x))
    results = evaluate_folders(tmp_path / "masks", tmp_path / "truth")
    assert [result.scores.iou for result in results] == [1.0, 1.0]


def test_two_predictions_for_one_truth_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "truth" / "1.png", square(5))
    for folder in ("p", "q"):
        save(tmp_path / "masks" / folder / "1.png", square(5))
    assert evaluate(tmp_path / "masks", tmp_path / "truth") == 2
    assert "both fit 1" in capsys.readouterr().err
