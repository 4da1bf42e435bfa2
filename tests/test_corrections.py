"""Judgements and corrected maps: what holds, what is stale, and that nothing is lost."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.corrections.judgements import Judgement, fingerprint
from pipeline.corrections.layer import Corrections
from pipeline.errors import OutputError, UsageError

WIDTH, HEIGHT = 6, 4


def record(name: str = "p/a.jpg", **values: Any) -> dict[str, Any]:
    face = {"number": 1, "box_xywh": [0, 0, 3, 3], "landmarks": [[1, 1]] * 68, "score": 0.9, "area_px": 4}
    return {
        "name": name,
        "sha256": "a" * 64,
        "size_wh": [WIDTH, HEIGHT],
        "orientation": "upright",
        "stored_orientation": 1,
        "digest": "d1",
        "faces": [face, {**face, "number": 2, "files": {"crops": "x"}}],
        **values,
    }


def other_faces() -> dict[str, Any]:
    return record(faces=[{**record()["faces"][0], "area_px": 5}])


def drawn() -> np.ndarray[Any, np.dtype[np.uint8]]:
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[0, :2] = 1
    instances[2:, 4:] = 3
    return instances


def test_nothing_is_said_of_a_photograph_at_first(tmp_path: Path) -> None:
    review = Corrections(tmp_path).review(record())
    assert (review.verdict, review.faces, review.correction, review.stale) == (None, {}, None, False)
    assert review.shown == fingerprint(record())
    assert list(tmp_path.iterdir()) == []


def test_the_latest_verdict_holds_and_reset_takes_it_back(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    assert layer.judge(record(), "accept", who="anna").verdict == "accept"
    assert layer.judge(record(), "reject", who="bob", face=2).faces == {2: "reject"}
    assert layer.judge(record(), "accept", who="bob", face=2).faces == {2: "accept"}
    assert layer.judge(record(), "reject", who="anna").verdict == "reject"
    review = layer.judge(record(), "reset", who="anna", face=2)
    assert (review.verdict, review.faces) == ("reject", {})
    review = layer.judge(record(), "reset", who="anna")
    assert (review.verdict, review.faces, review.stale) == (None, {}, False)
    lines = [json.loads(line) for line in (tmp_path / "review.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["accept", "reject", "accept", "reject", "reset", "reset"]
    assert lines[1] == {
        "name": "p/a.jpg",
        "face": 2,
        "verdict": "reject",
        "judged": fingerprint(record()),
        "photo_sha256": "a" * 64,
        "who": "bob",
        "when": lines[1]["when"],
        "file": None,
        "file_sha256": None,
        "face_files": {},
        "turn": 1,
        "schema": 1,
    }
    assert Corrections(tmp_path).history("p/a.jpg") == layer.history("p/a.jpg")


def test_verdicts_are_stale_when_the_faces_have_changed_but_not_when_only_settings_have(
    tmp_path: Path,
) -> None:
    layer = Corrections(tmp_path)
    layer.judge(record(), "accept", who="anna")
    layer.judge(record(), "reject", who="anna", face=1)
    assert layer.review(record(digest="d2", seconds={"read": 1})).verdict == "accept"
    for changed in (other_faces(), record(sha256="b" * 64)):
        review = layer.review(changed)
        assert (review.verdict, review.faces, review.stale) == (None, {}, True)
    assert layer.review(record()).stale is False


def test_a_corrected_map_holds_while_the_photograph_is_the_same(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    layer.judge(record(), "reject", who="anna")
    review = layer.correct(record(), drawn(), who="anna")
    assert review.correction is not None
    assert (review.verdict, review.rebased, review.stale) == (None, False, False)
    assert np.array_equal(layer.instances(review.correction), drawn())
    picture = cv2.imread(str(tmp_path / "corrected/p/a.jpg.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert np.array_equal(picture, drawn())
    review = layer.review(other_faces())
    assert review.correction is not None
    assert (review.rebased, review.stale) == (True, False)
    review = layer.review(record(sha256="b" * 64))
    assert (review.correction, review.stale) == (None, True)


def test_a_verdict_about_a_corrected_map_is_about_that_map(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    layer.correct(record(), drawn(), who="anna")
    assert layer.judge(record(), "accept", who="bob").verdict == "accept"
    assert layer.review(other_faces()).verdict == "accept"
    review = layer.correct(record(), drawn() // 3, who="anna")
    assert (review.verdict, review.stale) == (None, False)
    review = layer.judge(record(), "reset", who="anna")
    assert (review.correction, review.shown) == (None, fingerprint(record()))


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_files_lie_on_the_grid_of_the_runs_masks(tmp_path: Path, orientation: int) -> None:
    stored = record(orientation="stored", stored_orientation=orientation)
    layer = Corrections(tmp_path)
    whole = {3: np.eye(HEIGHT, WIDTH, dtype=bool)}
    review = layer.correct(stored, drawn(), who="anna", whole_faces=whole)
    assert review.correction is not None
    picture = cv2.imread(str(tmp_path / "corrected/p/a.jpg.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))
    assert np.array_equal(layer.instances(review.correction), drawn())
    assert np.array_equal(layer.whole_faces(review.correction)[3], whole[3])
    upright_again = layer.review(record(stored_orientation=orientation))
    assert upright_again.correction is not None
    assert np.array_equal(layer.instances(upright_again.correction), drawn())


def test_more_than_255_faces(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    numbers = drawn().astype(np.int64) * 100
    review = layer.correct(record(), numbers, who="anna")
    assert review.correction is not None
    assert layer.instances(review.correction).dtype == np.uint16
    assert np.array_equal(layer.instances(review.correction), numbers)


def test_wrong_maps_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    with pytest.raises(ValueError, match=r"expected shape \(4, 6\)"):
        layer.correct(record(), drawn().T, who="anna")
    with pytest.raises(ValueError, match="from 0 to 65535"):
        layer.correct(record(), drawn().astype(np.int32) - 1, who="anna")
    with pytest.raises(ValueError, match=r"whole_faces\[2\]"):
        layer.correct(record(), drawn(), who="anna", whole_faces={2: np.zeros((1, 1), bool)})
    with pytest.raises(ValueError, match=r"use correct\(\)"):
        layer.judge(record(), "correct", who="anna")
    with pytest.raises(ValueError, match="from 1 on"):
        layer.judge(record(), "accept", who="anna", face=0)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    layer.judge(record("a"), "accept", who="anna")
    layer.judge(record("b"), "accept", who="anna")
    path = tmp_path / "review.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = Corrections(tmp_path)
    assert "b" not in again
    again.judge(record("c"), "reject", who="anna")
    for reader in (again, Corrections(tmp_path)):
        assert [reader.review(record(name)).verdict for name in "abc"] == ["accept", None, "reject"]


def test_a_missing_map_says_what_to_do(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    review = layer.correct(record(), drawn(), who="anna")
    assert review.correction is not None
    (tmp_path / "corrected/p/a.jpg.png").unlink()
    with pytest.raises(UsageError, match=r"a\.jpg\.png: the corrected mask .* reset"):
        layer.instances(review.correction)


def test_a_path_that_leads_out_of_the_output_is_not_followed(tmp_path: Path) -> None:
    layer = Corrections(tmp_path / "out")
    (tmp_path / "out").mkdir()
    cv2.imwrite(str(tmp_path / "outside.png"), drawn())
    for file in ("../outside.png", str(tmp_path / "outside.png")):
        line = Judgement("a", None, "correct", "", None, "eve", "", file=file)
        with pytest.raises(UsageError, match="not there or damaged"):
            layer.instances(line)


def test_lines_of_a_later_schema_are_refused(tmp_path: Path) -> None:
    (tmp_path / "review.jsonl").write_text('{"name": "a", "schema": 2}\n')
    with pytest.raises(UsageError, match="schema 2"):
        Corrections(tmp_path)


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "review.jsonl").write_text('[1]\n{"name": "a", "verdict": "maybe"}\nnonsense\n')
    layer = Corrections(tmp_path)
    assert len(layer) == 0
    layer.judge(record("a"), "accept", who="anna")
    assert layer.review(record("a")).verdict == "accept"


def test_an_unwritable_layer_is_told(tmp_path: Path) -> None:
    layer = Corrections(tmp_path)
    (tmp_path / "review.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"review\.jsonl: cannot be written"):
        layer.judge(record(), "accept", who="anna")


def _judge_many(directory: str, who: str) -> None:
    layer = Corrections(Path(directory))
    for number in range(50):
        layer.judge(record(f"{who}{number}"), "accept", who=who)


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_judge_many, args=(str(tmp_path), who)) for who in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(Corrections(tmp_path)) == 100
