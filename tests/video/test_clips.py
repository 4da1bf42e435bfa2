"""Whole clips: every visible face has its mask, and nothing depends on who did it."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmarks.arrays import Pixels
from pipeline.config import Config
from pipeline.photo import PhotoSegmenter
from pipeline.runner import run
from pipeline.video.lms import read_lms
from tests.stand_ins import tree
from tests.video.clips import astronaut, crossing, pan, portrait, sample, view, write_clip

FACE_AT_OBAMA = (392, 216)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(to: str = "out", **sections: Any) -> Config:
    values: dict[str, Any] = {
        "input": {"paths": ["in"]},
        "output": {"directory": to, "overlays": False},
        "execution": {"executor": "serial"},
        "engine": {"threads": 1},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    return Config.model_validate(values)


def record_of(config: Config) -> dict[str, Any]:
    records = records_of(config)
    assert len(records) == 1
    return records[0]


def records_of(config: Config, factory: Any = None) -> list[dict[str, Any]]:
    run(config, factory=factory)
    lines = Path(config.output.directory, "manifest.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def pictures_in(path: Path | str, form: str = "gray") -> list[NDArray[Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=form) for frame in container.decode(video=0)]


def masks_of(record: dict[str, Any], output: str = "out") -> list[NDArray[Any]]:
    return pictures_in(Path(output, record["files"]["masks"]))


def lines_of(record: dict[str, Any], output: str = "out") -> list[dict[str, Any]]:
    content = Path(output, record["files"]["tracks"]).read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def iou(first: NDArray[Any], second: NDArray[Any]) -> float:
    first, second = first > 127, second > 127
    return float((first & second).sum() / max((first | second).sum(), 1))


MOVES: dict[str, list[Pixels]] = {}


def moves(name: str) -> list[Pixels]:
    """Clips of one face that is always to be seen."""
    ways: dict[str, Callable[[], list[Pixels]]] = {
        "pan": lambda: pan(24),
        "zoom": lambda: portrait("obama", 24, lambda at: (380, 260, 700 - 350 * at, 0)),
        "turn": lambda: portrait("obama", 24, lambda at: (390, 240, 480, -25 + 50 * at)),
        "hand": lambda: [
            np.asarray(cv2.circle(picture.copy(), (30 + 10 * index, 150), 26, (205, 160, 130), -1), np.uint8)
            for index, picture in enumerate(portrait("obama", 24, lambda at: (390, 260, 480, 0)))
        ],
    }
    if name not in MOVES:
        MOVES[name] = ways[name]()
    return MOVES[name]


@pytest.mark.parametrize("name", ["pan", "zoom", "turn", "hand"])
def test_a_face_that_is_always_there_has_one_track_and_a_mask_in_every_frame(name: str) -> None:
    write_clip(Path("in/a.mp4"), moves(name))
    steady = record_of(settings())
    assert steady["status"] == "ok"
    counts = steady["clip"]
    assert (counts["frames"], counts["decoded"], counts["with_faces"], counts["cuts"]) == (24, 24, 24, [])
    assert [track["track"] for track in counts["tracks"]] == [0]
    masks = masks_of(steady)
    assert all(np.count_nonzero(mask) > 2000 for mask in masks)
    alone = record_of(settings("alone", video={"steady": 0, "average_frames": 0, "search_every": 1}))
    agreement = [iou(mask, other) for mask, other in zip(masks, masks_of(alone, "alone"), strict=True)]
    assert np.mean(agreement) >= 0.985 if name != "hand" else np.mean(agreement) >= 0.96
    assert min(agreement) > 0.85


Way = Callable[[int], tuple[float, float, float]]

FAST: dict[str, Way] = {
    "pan and turn": lambda i: (390 + 40 * np.sin(i / 2), 240 + 25 * np.cos(i / 1.5), 35 * np.sin(i / 2.5)),
    "20 degrees a frame": lambda i: (390, 240, 20.0 * abs((i + 3) % 12 - 6) - 60),
}


@pytest.mark.parametrize("way", FAST.values(), ids=FAST)
def test_a_fast_turn_is_not_smeared(way: Way) -> None:
    """Against known masks: those of the photograph, moved as the picture was."""
    config = settings()
    photo = np.ascontiguousarray(sample("obama"))
    truth = PhotoSegmenter.from_config(config).segment(photo).mask
    pictures, expected = [], []
    for x, y, degrees in map(way, range(24)):
        pictures.append(view(photo, (x, y), 480, (320, 240), degrees))
        expected.append(view(np.dstack([truth] * 3), (x, y), 480, (320, 240), degrees)[..., 0])
    write_clip(Path("in/a.mp4"), pictures)
    steady = masks_of(record_of(config))
    alone = masks_of(
        record_of(settings("alone", video={"steady": 0, "average_frames": 0, "search_every": 1})), "alone"
    )
    scores = [
        np.mean([iou(mask, true) for mask, true in zip(found, expected, strict=True)])
        for found in (steady, alone)
    ]
    assert scores[0] > scores[1]
    assert scores[0] > 0.95


def test_the_crop_stands_still() -> None:
    rng = np.random.default_rng(5)
    shaken = [
        np.clip(p.astype(int) + rng.integers(-9, 10, p.shape), 0, 255).astype(np.uint8) for p in pan(24)
    ]
    write_clip(Path("in/a.mp4"), shaken)
    from pipeline.evaluate.temporal import jitter

    steady = jitter(lines_of(record_of(settings())))
    still = {"steady": 0, "average_frames": 0, "search_every": 1}
    alone = jitter(lines_of(record_of(settings("alone", video=still)), "alone"))
    assert steady[0] < 1
    assert steady[1] < 1
    assert steady[1] < alone[1] / 2
    assert steady[2] < alone[2]


def test_no_track_passes_a_cut() -> None:
    write_clip(Path("in/a.mp4"), pan(14) + astronaut(12))
    record = record_of(settings())
    assert record["clip"]["cuts"] == [14]
    spans = [(track["first_frame"], track["last_frame"]) for track in record["clip"]["tracks"]]
    assert spans == [(0, 13), (14, 25)]
    alone = masks_of(record_of(settings("alone", video={"average_frames": 0, "steady": 0})), "alone")
    masks = masks_of(record)
    for index in (13, 14):
        assert iou(masks[index], alone[index]) > 0.95


def test_two_people_who_cross_keep_their_numbers() -> None:
    write_clip(Path("in/a.mp4"), crossing(40))
    record = record_of(settings())
    lines = lines_of(record)
    ways: dict[int, list[float]] = {}
    for line in lines:
        ways.setdefault(line["track"], []).append(float(np.mean(np.array(line["landmarks"])[:, 0])))
    full = {track: way for track, way in ways.items() if len(way) > 20}
    assert sorted(way[-1] > way[0] for way in full.values()) == [False, True]
    instances = pictures_in(Path("out", record["files"]["instances"]))
    assert set(np.unique(instances[0])) - {0} == {line["track"] + 1 for line in lines if line["frame"] == 0}


@pytest.mark.parametrize(("gap", "tracks"), [(6, 1), (20, 2)])
def test_a_face_that_leaves_and_returns(gap: int, tracks: int) -> None:
    """For a quarter of a second it is the same track; after more than half a second a new one."""
    there = portrait("obama", 12, lambda at: (390, 260, 480, 0))
    away = [np.full_like(there[0], 40) for _ in range(gap)]
    for picture in away:  # what stays of the picture, so that it is no cut
        picture[:, :] = cv2.GaussianBlur(there[0], (0, 0), 1)
        picture[30:200, 90:230] = (120, 90, 60)
    write_clip(Path("in/a.mp4"), there + away + there)
    record = record_of(settings())
    assert len(record["clip"]["tracks"]) == tracks
    masks = masks_of(record)
    assert all(masks[index].any() for index in (*range(12), *range(12 + gap, 24 + gap)))
    assert not any(masks[index].any() for index in range(13, 11 + gap))
    assert record["clip"]["missed"] == (gap if tracks == 1 else 0)


def test_a_missed_frame_is_filled() -> None:
    """The search fails in three frames in which the face is to be seen."""
    write_clip(Path("in/a.mp4"), pan(20))
    record = records_of(settings(video={"search_every": 1}), factory=_blind_in_three_frames)[0]
    assert record["clip"]["filled"] == 3
    assert record["clip"]["with_faces"] == 20
    states = [line["state"] for line in lines_of(record)]
    assert [index for index, state in enumerate(states) if state == "filled"] == [7, 8, 9]
    assert all(np.count_nonzero(mask) > 2000 for mask in masks_of(record))


def _blind_in_three_frames(config: Config) -> PhotoSegmenter:
    segmenter = PhotoSegmenter.from_config(config)
    finder: Any = segmenter.finder
    find, calls = finder.find_in_first_pass, [0]

    def blinking(image: NDArray[np.uint8]) -> Any:
        calls[0] += 1
        return () if calls[0] in (8, 9, 10) else find(image)

    finder.find = finder.find_in_first_pass = blinking
    return segmenter


def test_tracks_that_are_small_or_doubtful_go_and_others_stay_to_the_byte() -> None:
    write_clip(Path("in/a.mp4"), pan(12))
    short = {"chunk_frames": 7}
    record_of(settings(video=short))
    kept = settings("kept", faces={"min_confidence": 0.6, "min_side_px": 40}, video=short)
    (track,) = record_of(kept)["clip"]["tracks"]
    whole, again = tree(Path("out")), tree(Path("kept"))
    assert {name: content for name, content in again.items() if name != "manifest.jsonl"} == {
        name: content for name, content in whole.items() if name != "manifest.jsonl"
    }
    assert 0.6 < track["confidence"] < 1
    lines = lines_of({"files": {"tracks": "tracks/in/a.mp4.jsonl"}})
    assert np.mean([line["confidence"] for line in lines]) == pytest.approx(track["confidence"], abs=1e-3)
    assert all(0 <= line["landmark_quality"] <= 1 for line in lines)
    for number, strict in enumerate(({"min_confidence": 1.0}, {"min_side_px": 400})):
        record = record_of(settings(f"gone{number}", faces=strict, video=short))
        assert (record["status"], record["clip"]["tracks"]) == ("no_face", [])
        assert not any(mask.any() for mask in masks_of(record, f"gone{number}"))


def test_a_turned_clip_has_upright_masks_and_stored_ones_on_request() -> None:
    upright = pan(8)
    stored = [np.ascontiguousarray(np.rot90(picture, 1)) for picture in upright]
    write_clip(Path("in/a.mp4"), stored, rotation=-90, options={"crf": "4"})
    record = record_of(settings())
    assert (record["size_wh"], record["stored_size_wh"]) == ([320, 240], [240, 320])
    masks = masks_of(record)
    assert masks[0].shape == (240, 320)
    assert all(mask[90:140, 150:170].mean() > 200 for mask in masks[:2])
    other = record_of(settings("stored", output={"orientation": "stored"}))
    for mask, turned in zip(masks, masks_of(other, "stored"), strict=True):
        np.testing.assert_array_equal(np.rot90(mask, 1), turned)


def test_masks_have_the_times_of_a_clip_whose_rate_varies() -> None:
    pts = [0, 40, 80, 200, 210, 300, 1000, 1040]
    write_clip(Path("in/a.mp4"), pan(8), pts=pts, time_base=Fraction(1, 1000))
    record = record_of(settings())
    with av.open(str(Path("out", record["files"]["masks"]))) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([t / 1000 for t in pts])
    assert [
        line["pts"] * record["clip"]["time_base"][0] / record["clip"]["time_base"][1]
        for line in lines_of(record)
    ] == pytest.approx(times)


def test_ten_bits_are_as_good_as_eight() -> None:
    options = {"crf": "10", "preset": "veryfast"}
    write_clip(Path("in/eight.mkv"), pan(6), options=options)
    write_clip(Path("in/ten.mkv"), pan(6), pixel_format="yuv420p10le", options=options)
    eight, ten = records_of(settings())
    for one, other in zip(masks_of(eight), masks_of(ten), strict=True):
        assert iou(one, other) > 0.98


def test_every_form_of_mask_says_the_same() -> None:
    write_clip(Path("in/a.mp4"), pan(6), sound=True)
    first = record_of(settings(output={"overlays": True, "soft_masks": True, "crops": True, "cutouts": True}))
    masks = masks_of(first)
    assert first["files"]["overlays"] == "overlays/in/a.mp4.mp4"
    with av.open("out/overlays/in/a.mp4.mp4") as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(1 for _ in container.decode(video=0)) == 6
    assert sorted(path.name for path in Path("out/crops/in/a.mp4/0").iterdir()) == [
        f"{index:06d}.png" for index in range(6)
    ]
    crop = cv2.imread("out/cutouts/in/a.mp4/0/000003.png", cv2.IMREAD_UNCHANGED)
    assert crop is not None
    assert crop.shape[2] == 4
    soft = pictures_in(Path("out", first["files"]["soft_masks"]))
    assert set(np.unique(soft[0])) - {0, 255}
    for form in ("png", "h264", "prores4444"):
        record = record_of(settings(form, video={"format": form}))
        if form == "png":
            assert record["files"]["masks"] == "masks/in/a.mp4/%06d.png"
            found: list[Any] = [
                cv2.imread(f"png/masks/in/a.mp4/{i:06d}.png", cv2.IMREAD_UNCHANGED) for i in range(6)
            ]
        elif form == "h264":
            found = pictures_in(Path(form, record["files"]["masks"]))
        else:
            found = [p[..., 3] for p in pictures_in(Path(form, record["files"]["masks"]), "rgba")]
        for mask, other in zip(masks, found, strict=True):
            assert other is not None
            assert np.abs(mask.astype(int) - other).max() <= 1


def test_landmark_files_agree_with_the_tracks_and_take_the_place_of_the_search() -> None:
    write_clip(Path("in/a.mp4"), pan(10))
    first = record_of(settings())
    frames, path = read_lms(Path("out", first["files"]["landmarks"]))
    assert (path, [frame.id for frame in frames]) == ("in/a.mp4", list(range(10)))
    for frame, line in zip(frames, lines_of(first), strict=True):
        (face,) = frame.faces
        assert (frame.width, frame.height, face.id) == (320, 240, line["track"])
        assert [face.box.x, face.box.y, face.box.width, face.box.height] == line["detection"]["box_xywh"]
        np.testing.assert_array_equal(face.points, np.rint(line["landmarks"]))
    Path("in/a.lms").write_bytes(Path("out", first["files"]["landmarks"]).read_bytes())
    second = records_of(settings("given", landmarks={"read": "beside"}), factory=_unable_to_search)[0]
    assert second["status"] == "ok"
    assert {line["detection"]["detector"] for line in lines_of(second, "given")} == {"lms"}
    for one, other in zip(masks_of(first), masks_of(second, "given"), strict=True):
        assert iou(one, other) > 0.97


def _unable_to_search(config: Config) -> PhotoSegmenter:
    segmenter = PhotoSegmenter.from_config(config)

    def fail(image: NDArray[np.uint8]) -> Any:
        raise AssertionError("nothing is to be searched")

    finder: Any = segmenter.finder
    finder.find = finder.find_in_first_pass = fail
    return segmenter


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:100], "not a landmark file"),
        (lambda content: content * 2, "holds 20 frames, but the clip has 10"),
        (None, "cannot be read|no such file"),
    ],
)
def test_landmark_files_that_do_not_fit_fail_their_clip(change: Any, reason: str) -> None:
    write_clip(Path("in/a.mp4"), pan(10))
    record = record_of(settings(video={"lms": True}))
    if change is not None:
        Path("in/a.lms").write_bytes(change(Path("out", record["files"]["landmarks"]).read_bytes()))
    other = record_of(settings("given", landmarks={"read": "beside"}))
    assert other["status"] == "failed"
    assert len(other["errors"]) == 1
    import re

    assert re.search(reason, other["errors"][0]["message"])
    assert "a.lms" in other["errors"][0]["message"]


def test_another_network_needs_no_second_search() -> None:
    write_clip(Path("in/a.mp4"), pan(10))
    first = record_of(settings())
    again = records_of(settings(network={"mirror": True}), factory=_unable_to_search)[0]
    assert again["status"] == "ok"
    assert again["digest"] != first["digest"]
    assert Path("out", again["files"]["found"]).exists()


def test_a_clip_that_is_done_is_left_alone_and_a_changed_one_is_done_again() -> None:
    write_clip(Path("in/a.mp4"), pan(6))
    config = settings()
    assert run(config).counts["ok"] == 1
    assert run(config).counts["skipped"] == 1
    write_clip(Path("in/a.mp4"), astronaut(6))
    assert run(config).counts["ok"] == 1
    Path("out/masks/in/a.mp4.mkv").unlink()
    assert run(config).counts["ok"] == 1
    assert run(settings(video={"format": "h264"})).counts["ok"] == 1
    assert sorted(path.name for path in Path("out/masks/in").iterdir()) == ["a.mp4.mp4"]


def test_only_the_main_face_on_request() -> None:
    write_clip(Path("in/a.mp4"), crossing(16)[:5])
    whole = record_of(settings())
    assert len(whole["clip"]["tracks"]) == 2
    record = record_of(settings("main", faces={"select": "main"}))
    assert len(record["clip"]["tracks"]) == 1


def test_photographs_clips_and_broken_files_side_by_side() -> None:
    write_clip(Path("in/clip.mp4"), pan(6))
    cv2.imwrite("in/photo.png", cv2.cvtColor(astronaut(1)[0], cv2.COLOR_RGB2BGR))
    Path("in/text.mp4").write_text("no clip\n" * 50)
    Path("in/notes.txt").write_text("not listed")
    whole = write_clip(Path("cut.mp4"), pan(4)).read_bytes()
    Path("in/cut.mp4").write_bytes(whole[: len(whole) // 2])
    records = records_of(settings())
    assert [(Path(r["photo"]).name, r["status"], "clip" in r) for r in records] == [
        ("clip.mp4", "ok", True),
        ("cut.mp4", "failed", False),
        ("photo.png", "ok", False),
        ("text.mp4", "failed", False),
    ]
    for record in records:
        if record["status"] == "failed":
            assert len(record["errors"]) == 1
            assert record["photo"] in record["errors"][0]["message"]
    assert not Path("out/.uncrop-clips").exists()


def test_clips_in_folders_can_be_passed_over_but_not_those_named() -> None:
    write_clip(Path("in/a.mp4"), pan(3))
    cv2.imwrite("in/photo.png", np.zeros((40, 40, 3), np.uint8))
    off = {"clips": False}
    assert len(records_of(settings(video=off))) == 1
    named = settings("named", input={"paths": ["in/a.mp4"]}, video=off)
    assert record_of(named)["clip"]["frames"] == 3


@pytest.mark.parametrize("chunk_frames", [120, 1])
def test_frames_that_cannot_be_decoded_are_told_with_their_times(chunk_frames: int) -> None:
    for index, picture in enumerate(pan(12)):
        path = Path(f"in/{index:03}.png")
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    for index in (5, 6, 9):
        Path(f"in/{index:03}.png").write_bytes(b"text")
    chunks = {"chunk_frames": chunk_frames}
    record = record_of(settings(input={"paths": ["in/%03d.png"]}, video=chunks))
    assert record["status"] == "partial"
    assert [error["message"] for error in record["errors"]] == [
        "frames 5-6 at 0.200-0.240 s: can't be decoded",
        "frame 9 at 0.360 s: can't be decoded",
    ]
    assert (record["clip"]["frames"], record["clip"]["decoded"]) == (12, 9)
    assert record["clip"]["undecoded"] == [[5, 6], [9, 9]]
    with av.open(str(Path("out", record["files"]["masks"]))) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.28, 0.32, 0.4, 0.44])


def test_animations_are_photographs_unless_asked_for() -> None:
    from PIL import Image

    Path("in").mkdir()
    pictures = [Image.fromarray(picture) for picture in pan(4)]
    pictures[0].save("in/a.webp", save_all=True, append_images=pictures[1:], duration=40, quality=90)
    assert "clip" not in record_of(settings())
    assert record_of(settings("moving", video={"animations": True}))["clip"]["frames"] == 4


@pytest.mark.slow
def test_the_same_bytes_from_any_executor_and_chunks_that_share_nothing() -> None:
    write_clip(Path("in/a.mp4"), pan(14) + astronaut(10), sound=True)
    write_clip(Path("in/b.mkv"), astronaut(9))
    output = {"overlays": True, "crops": True}
    trees = []
    for executor, workers in (("serial", 1), ("process", 1), ("process", 3)):
        name = f"{executor}{workers}"
        config = settings(
            name,
            output=output,
            video={"chunk_frames": 7},
            execution={"executor": executor, "workers": workers},
        )
        summary = run(config)
        assert summary.counts["ok"] == 2
        trees.append(tree(Path(name)))
    assert trees[0] == trees[1] == trees[2]
    assert "masks/in/a.mp4.mkv" in trees[0]
