"""A run's folder as photographs with faces: what counts, what is left out, and that it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from landmarks.arrays import Mask
from pipeline.corrections.layer import Corrections
from pipeline.errors import UsageError
from pipeline.exports.reader import RunReader
from pipeline.exports.values import ExportPhoto
from pipeline.manifest.journal import read_manifest
from tests.exports.runs import Shot, disc, write_run_of

SIZE = (60, 40)
PAIR = Shot("pair.png", SIZE, (disc(SIZE, (20, 20), 12), disc(SIZE, (32, 20), 12)))
ONE = Shot("one.png", SIZE, (disc(SIZE, (20, 20), 12),))


def photos(reader: RunReader) -> dict[str, ExportPhoto]:
    return {photo.name.removeprefix("photos/"): photo for photo in reader.photos()}


def frames(photo: ExportPhoto) -> list[Mask]:
    return [instance.mask.frame(photo.size_wh) for instance in photo.instances]


def test_faces_are_whole_where_crop_masks_were_kept(tmp_path: Path) -> None:
    reader = RunReader(write_run_of(tmp_path, [PAIR]))
    [photo] = reader.photos()
    assert all(np.array_equal(*pair) for pair in zip(frames(photo), PAIR.faces, strict=True))
    assert reader.counts["overlapping"] == 0


def test_faces_that_may_have_lost_pixels_are_counted(tmp_path: Path) -> None:
    far = Shot("far.png", SIZE, (disc(SIZE, (10, 10), 5), disc(SIZE, (45, 30), 5)))
    reader = RunReader(write_run_of(tmp_path, [PAIR, far], crop_masks=False))
    read = photos(reader)
    first, second = frames(read["pair.png"])
    assert np.array_equal(first, PAIR.faces[0])  # of the higher score
    assert np.array_equal(second, PAIR.faces[1] & ~PAIR.faces[0])
    assert reader.counts["overlapping"] == 1


@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_instance_maps_on_either_grid(tmp_path: Path, orientation: str) -> None:
    shots = [Shot(f"{number}.jpg", SIZE, ONE.faces, number) for number in range(1, 9)]
    run = write_run_of(tmp_path, shots, orientation=orientation, crop_masks=False)
    for grid in ("upright", "stored"):
        read = photos(RunReader(run, grid=grid))
        for shot in shots:
            assert np.array_equal(frames(read[shot.name])[0], shot.masks(grid)[0]), (grid, shot.orientation)


def test_crop_masks_of_turned_crops(tmp_path: Path) -> None:
    mask = disc(SIZE, (20, 20), 12) & (np.arange(60) > 12)
    run = write_run_of(tmp_path, [Shot("a.png", SIZE, (mask,))])
    [record] = read_manifest(run)
    path = run / record["faces"][0]["files"]["crop_masks"]
    lying = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert lying is not None
    for quarters in range(4):
        cv2.imwrite(str(path), np.ascontiguousarray(np.rot90(lying, quarters)))
        record["faces"][0]["turn_degrees"] = 90 * quarters
        (run / "manifest.jsonl").write_text(json.dumps(record) + "\n")
        [photo] = RunReader(run).photos()
        assert np.array_equal(frames(photo)[0], mask), quarters


def test_one_face_needs_no_instance_map(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE, PAIR], crop_masks=False)
    for name in ("one.png", "pair.png"):
        (run / f"instances/photos/{name}.png").unlink()
    records = [{**record, "files": {"masks": record["files"]["masks"]}} for record in read_manifest(run)]
    (run / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reader = RunReader(run)
    read = photos(reader)
    assert list(read) == ["one.png"]
    assert np.array_equal(frames(read["one.png"])[0], ONE.faces[0])
    [problem] = reader.problems
    assert "nothing there tells the faces of photos/pair.png apart" in problem


def test_failed_and_broken_photographs_cost_only_themselves(tmp_path: Path) -> None:
    shots = [Shot(f"{number}.png", SIZE, ONE.faces) for number in range(4)]
    run = write_run_of(tmp_path, shots, crop_masks=False)
    (run / "instances/photos/1.png.png").write_bytes(b"nonsense")
    cv2.imwrite(str(run / "instances/photos/2.png.png"), np.zeros((5, 5), np.uint8))
    records = list(read_manifest(run))
    records[3] |= {"status": "failed", "files": {}, "faces": [], "size_wh": None}
    (run / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reader = RunReader(run)
    assert list(photos(reader)) == ["0.png"]
    assert (reader.counts["broken"], reader.counts["failed"]) == (2, 1)
    assert "is not there or damaged" in reader.problems[0]
    assert "has 5 x 5 pixels, its record says 60 x 40" in reader.problems[1]


def test_the_review_decides(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE, PAIR, Shot("left out.png", SIZE, ONE.faces)])
    layer = Corrections(run)
    one, left_out, pair = (
        next(record for record in read_manifest(run) if record["name"] == f"photos/{name}")
        for name in ("one.png", "left out.png", "pair.png")
    )
    layer.judge(left_out, "reject", who="anna")
    layer.judge(pair, "reject", who="anna", face=1)
    layer.judge(pair, "accept", who="anna", face=2)
    drawn = np.zeros((40, 60), np.uint8)
    drawn[5:9, 7:12] = 1
    drawn[20:30, 40:45] = 2
    layer.correct(one, drawn, who="anna")
    reader = RunReader(run)
    read = photos(reader)
    assert list(read) == ["one.png", "pair.png"]
    assert [(face.number, face.source) for face in read["pair.png"].instances] == [(2, "accepted")]
    faces = read["one.png"].instances
    assert [(face.number, face.source, face.score) for face in faces] == [
        (1, "corrected", None),
        (2, "corrected", None),
    ]
    assert [face.landmarks is None for face in faces] == [False, True]
    assert np.array_equal(frames(read["one.png"])[1], drawn == 2)
    assert (reader.counts["rejected"], reader.counts["rejected_faces"], reader.counts["faces"]) == (1, 1, 3)


def test_a_correction_outlives_a_new_run_but_its_landmarks_do_not(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE])
    [record] = read_manifest(run)
    layer = Corrections(run)
    drawn = np.zeros((40, 60), np.uint8)
    drawn[5:9, 7:12] = 1
    layer.correct(record, drawn, who="anna")
    layer.judge(record, "accept", who="anna")
    record["faces"][0]["score"] = 0.123
    (run / "manifest.jsonl").write_text(json.dumps(record) + "\n")
    [photo] = RunReader(run).photos()
    assert np.array_equal(frames(photo)[0], drawn == 1)
    assert photo.instances[0].landmarks is None


def test_stale_judgements_are_counted(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE])
    [record] = read_manifest(run)
    Corrections(run).judge(record, "reject", who="anna")
    record["faces"][0]["score"] = 0.123
    (run / "manifest.jsonl").write_text(json.dumps(record) + "\n")
    reader = RunReader(run)
    assert len(photos(reader)) == 1
    assert reader.counts["stale"] == 1


def test_names_start_from_the_root_of_choice(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [Shot("a/one.png", SIZE, ONE.faces)])
    for root, name in ((None, "photos/a/one.png"), ("photos/a", "one.png"), (".", "photos/a/one.png")):
        [photo] = RunReader(run, root=None if root is None else tmp_path / root).photos()
        assert photo.file_name == name
        assert photo.path == str(tmp_path / "photos/a/one.png")
    with pytest.raises(UsageError, match="does not lie below it"):
        list(RunReader(run, root=tmp_path / "photos/b").photos())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the output directory of a run"):
        RunReader(tmp_path)


def test_clips_are_left_out_and_counted(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE, Shot("clip.mp4.jpg", SIZE)])
    records: list[dict[str, Any]] = [dict(record) for record in read_manifest(run)]
    counts = dict.fromkeys(("frames", "decoded", "with_faces", "seen", "filled", "missed"), 5)
    clip = {**counts, "seconds": 0.2, "time_base": [1, 25], "cuts": [], "tracks": []}
    records[0] = {**records[0], "clip": clip}
    (run / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reader = RunReader(run)
    assert list(photos(reader)) == ["one.png"]
    assert (reader.counts["clips"], reader.counts["failed"]) == (1, 0)
    assert [record["name"] for record in reader.records()] == ["photos/one.png"]


def test_track_ids_of_clips_come_along(tmp_path: Path) -> None:
    run = write_run_of(tmp_path, [ONE])
    [record] = read_manifest(run)
    record["faces"][0]["track_id"] = 7
    (run / "manifest.jsonl").write_text(json.dumps(record) + "\n")
    [photo] = RunReader(run).photos()
    assert photo.instances[0].track_id == 7
