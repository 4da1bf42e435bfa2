"""Figures of clips' stillness: by hand, and on clips whose masks move with their faces or do not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.evaluate.temporal import coverage, jitter, temporal_figures
from pipeline.manifest.journal import to_line
from pipeline.manifest.records import blank_record
from pipeline.video.writer import FFV1_GREY, StreamWriter
from tests.video.clips import write_clip


def line(frame: int, x: int, side: int = 50, track: int = 0, shift: float = 0) -> dict[str, Any]:
    points = (np.arange(136).reshape(68, 2) + shift).tolist()
    return {"frame": frame, "track": track, "box_xywh": [x, 10, side, side], "landmarks": points}


def test_even_motion_does_not_shake() -> None:
    lines = [line(index, 3 * index, shift=2 * index) for index in range(6)]
    assert jitter(lines) == (0, 0, 0)


def test_shaking_by_hand() -> None:
    """x jumps by 2, the side by 2 (so that the centre goes 3 in x and 1 in y), landmarks by 4 both ways."""
    lines = [line(0, 10), line(1, 12, 52, shift=4), line(2, 10)]
    assert jitter(lines) == pytest.approx((np.sqrt((6**2 + 2**2) / 2), 4, 8))


def test_gaps_and_other_tracks_are_no_motion() -> None:
    lines = [line(0, 10), line(1, 10), line(3, 90), line(4, 90), line(0, 200, track=1), line(1, 300, track=1)]
    assert jitter(lines) == (0, 0, 0)
    assert coverage(lines) == pytest.approx(6 / 7)
    assert coverage([]) == 1


def made(folder: Path, steps: list[int], cuts: list[int]) -> Path:
    """A textured square that moves two pixels a frame, with masks that move by ``steps``."""
    rng = np.random.default_rng(4)
    texture = rng.integers(60, 255, (40, 40, 3), dtype=np.uint8)
    ground = rng.integers(0, 60, (96, 128, 3), dtype=np.uint8)
    pictures, masks = [], []
    at = 10
    for index, step in enumerate(steps):
        at += step
        picture, mask = ground.copy(), np.zeros((96, 128), np.uint8)
        picture[30:70, 10 + 2 * index : 50 + 2 * index] = texture
        mask[30:70, at : at + 40] = 255
        pictures.append(picture)
        masks.append(mask)
    write_clip(folder / "in" / "a.mkv", pictures, codec="ffv1", pixel_format="bgr0", options={"g": "1"})
    (folder / "out" / "masks").mkdir(parents=True)
    mask_path = folder / "out" / "masks" / "a.nut"
    with StreamWriter(mask_path, FFV1_GREY, (128, 96), Fraction(1, 25), Fraction(25)) as writer:
        for index, mask in enumerate(masks):
            writer.write(index, mask)
    (folder / "out" / "tracks.jsonl").write_text(
        "".join(json.dumps(line(index, 0)) + "\n" for index in range(len(steps)))
    )
    record: Any = blank_record(
        name="a", path=str(folder / "in" / "a.mkv"), root=str(folder), digest="0" * 64, orientation="upright"
    )
    record["status"] = "ok"
    record["files"] = {"masks": "masks/a.nut", "tracks": "tracks.jsonl"}
    counts = dict.fromkeys(("frames", "decoded", "with_faces", "seen", "filled", "missed"), len(steps))
    record["clip"] = {**counts, "seconds": 1.0, "time_base": [1, 25], "cuts": cuts, "tracks": []}
    (folder / "out" / "manifest.jsonl").write_bytes(to_line(record))
    return folder / "out"


def test_masks_that_move_with_their_face_score_high(tmp_path: Path) -> None:
    (figures,) = temporal_figures(made(tmp_path, [0, 2, 2, 2, 2, 2], []))
    assert figures.pairs == 5
    assert figures.warped_iou_mean > 0.97
    assert figures.iou_mean == pytest.approx(38 / 42)
    assert figures.coverage == 1


def test_a_jump_shows_and_a_cut_is_left_out(tmp_path: Path) -> None:
    (figures,) = temporal_figures(made(tmp_path / "jump", [0, 2, 12, 2, 2, 2], []))
    assert figures.warped_iou_worst < 0.7
    (figures,) = temporal_figures(made(tmp_path / "cut", [0, 2, 12, 2, 2, 2], [2]))
    assert figures.pairs == 4
    assert figures.warped_iou_worst > 0.95


def test_the_command_prints_and_writes_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = made(tmp_path, [0, 2, 2], [])
    assert main(["evaluate", "--clips", str(output), "--csv", str(tmp_path / "all.csv")]) == 0
    assert "warped_iou_mean" in capsys.readouterr().out
    assert (tmp_path / "all.csv").read_text().startswith("name,frames,pairs,warped_iou_mean")
    assert main(["evaluate", "--clips", str(tmp_path)]) == 2
    assert "holds no clips with masks" in capsys.readouterr().err
    assert main(["evaluate", "--clips", str(output), "--truth", str(tmp_path)]) == 2
