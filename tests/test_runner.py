"""Many photographs, with stand-ins for the models, in this process."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import runner
from pipeline.config import Config
from pipeline.errors import ConfigError, EngineError, EngineUnavailableError, OutputError
from pipeline.executors.worker import SegmenterFactory
from pipeline.files import LEFTOVER_PREFIX
from pipeline.manifest import reports
from pipeline.output_directory import locked, prepared
from pipeline.planning import plan
from pipeline.summary import RunSummary
from tests import stand_ins
from tests.stand_ins import tree, write_photo


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(**sections: dict[str, Any]) -> Config:
    values: dict[str, dict[str, Any]] = {
        "input": {"paths": ["in"]},
        "output": {"directory": "out", "cutouts": True},
        "execution": {"executor": "serial"},
    }
    for section, keys in sections.items():
        values[section] = {**values.get(section, {}), **keys}
    return Config.model_validate(values)


def run(
    settings: Config | None = None, *, factory: SegmenterFactory = stand_ins.bright, force: bool = False
) -> RunSummary:
    return runner.run(settings or config(), force=force, factory=factory, model_hashes=stand_ins.no_models)


def photos(count: int = 4) -> None:
    for index in range(count):
        write_photo(Path(f"in/{index}.png"), index)


def records() -> dict[str, dict[str, Any]]:
    lines = Path("out/manifest.jsonl").read_bytes().splitlines()
    loaded = [json.loads(line) for line in lines]
    assert [record["name"] for record in loaded] == sorted(record["name"] for record in loaded)
    return {record["name"]: record for record in loaded}


def some(counts: Any) -> dict[str, int]:
    return {status: count for status, count in counts.items() if count}


def test_a_run_and_what_it_leaves() -> None:
    photos()
    Path("in/broken.jpg").write_bytes(b"text")
    summary = run()
    assert some(summary.counts) == {"ok": 2, "no_face": 2, "failed": 1}
    assert (summary.exit_code, summary.faces, summary.total) == (1, 2, 5)
    assert set(tree(Path("out"))) == {
        "manifest.jsonl",
        *(f"{kind}/in/{i}.png.png" for kind in ("masks", "instances") for i in range(4)),
        *(f"overlays/in/{i}.png.jpg" for i in range(4)),
        "cutouts/in/1.png_1.png",
        "cutouts/in/3.png_1.png",
    }
    record = records()["in/1.png"]
    assert record["status"] == "ok"
    assert record["photo"] == "in/1.png"
    assert record["size_wh"] == record["stored_size_wh"] == [48, 40]
    assert (record["orientation"], record["stored_orientation"]) == ("upright", 1)
    assert record["files"]["masks"] == "masks/in/1.png.png"
    assert record["engine"] == {"name": "bright", "precision": "f32"}
    assert list(record)[-1] == "seconds"
    [face] = record["faces"]
    assert face["box_xywh"] == [12, 10, 24, 20]
    assert face["detection"] == {"box_xywh": [12, 10, 24, 20], "score": 0.5, "detector": "middle"}
    assert len(face["landmarks"]) == 68
    assert 0 < face["area_px"] <= 480
    assert face["files"] == {"cutouts": "cutouts/in/1.png_1.png"}
    broken = records()["in/broken.jpg"]
    assert (broken["status"], broken["files"]) == ("failed", {})
    assert len(broken["sha256"]) == 64
    [error] = broken["errors"]
    assert (error["stage"], error["type"]) == ("read", "ImageReadError")
    assert error["message"].startswith("in/broken.jpg: is not an image")
    report = json.loads(Path("out/run.json").read_text())
    assert report["state"] == "finished"
    assert report["counts"] == {"total": 5, "ok": 2, "no_face": 2, "partial": 0, "failed": 1, "skipped": 0}
    assert report["models"] == {"network": "0" * 64}
    assert report["executor"]["name"] == "serial"
    assert report["engines"][0]["engine"]["name"] == "bright"
    assert report["config"]["output"]["cutouts"] is True
    assert report["config"]["network"]["interpolation"] == "cubic"  # what is recommended, not "auto"


def test_summary_says_what_to_do_next() -> None:
    photos(2)
    Path("in/broken.jpg").write_bytes(b"text")
    text = str(run())
    assert "3 photographs in" in text
    assert "1 with faces, 1 without a face, 1 failed; 1 face." in text
    assert "Results: out" in text
    assert "python -m pipeline manifest failed out" in text
    assert str(run()).count("done before") == 1


def test_faces_at_the_limit_of_the_search_are_told_at_the_end_and_in_every_record() -> None:
    photos(5)
    told = "Photographs that probably hold faces too small to be found: 2 (faces_at_limit"
    assert told in str(run(factory=stand_ins.at_limit))
    assert [record["faces_at_limit"] for record in records().values()] == [0, 1, 0, 1, 0]
    assert json.loads(Path("out/run.json").read_text())["photographs_at_limit"] == 2
    assert told in reports.summary(Path("out"))
    assert "too small" not in str(run(factory=stand_ins.at_limit))
    assert "too small" not in str(run(force=True)) + reports.summary(Path("out"))


def test_done_photographs_are_skipped_and_the_manifest_stays() -> None:
    photos()
    run()
    before = Path("out/manifest.jsonl").read_bytes()
    summary = run(factory=stand_ins.broken)  # no models are needed, so none are loaded
    assert some(summary.counts) == {"skipped": 4}
    assert summary.exit_code == 0
    assert Path("out/manifest.jsonl").read_bytes() == before


def touch_photo() -> None:
    os.utime("in/1.png", (1, 1))


def change_photo() -> None:
    status = Path("in/1.png").stat()
    content = Path("in/3.png").read_bytes()
    Path("in/1.png").write_bytes(content)
    os.utime("in/1.png", (status.st_atime, status.st_mtime))


@pytest.mark.parametrize(
    ("change", "done_again"),
    [
        (touch_photo, 0),
        (change_photo, 1),
        (lambda: Path("out/masks/in/1.png.png").unlink(), 1),
        (lambda: Path("out/masks/in/1.png.png").write_bytes(b""), 1),
        (lambda: Path("out/manifest.jsonl").unlink(), 4),
    ],
)
def test_only_what_has_changed_is_done_again(change: Callable[[], None], done_again: int) -> None:
    photos()
    run()
    change()
    assert some(run().counts).get("skipped", 0) == 4 - done_again
    if change is change_photo:
        assert tree(Path("out"))["masks/in/1.png.png"] == tree(Path("out"))["masks/in/3.png.png"]


def test_other_config_other_model_and_force_do_everything_again() -> None:
    photos()
    run()
    assert "skipped" not in some(run(config(output={"crops": True})).counts)
    assert run(config(output={"crops": True})).counts["skipped"] == 4
    assert "skipped" not in some(run(config(output={"crops": True}), force=True).counts)
    assert "skipped" not in some(run(config(output={"crops": True}, execution={"skip_done": False})).counts)
    other = runner.run(
        config(output={"crops": True}),
        factory=stand_ins.bright,
        model_hashes=lambda config: {"network": "1" * 64},
    )
    assert "skipped" not in some(other.counts)


def test_files_that_a_new_config_does_not_make_are_removed() -> None:
    photos(2)
    run()
    assert Path("out/cutouts/in/1.png_1.png").exists()
    run(config(output={"cutouts": False, "overlays": False}))
    assert set(tree(Path("out"))) == {
        "manifest.jsonl",
        *(f"{kind}/in/{i}.png.png" for kind in ("masks", "instances") for i in range(2)),
    }


def test_a_photograph_that_breaks_loses_its_old_mask() -> None:
    photos(2)
    run()
    Path("in/1.png").write_bytes(b"text")
    run()
    assert records()["in/1.png"]["status"] == "failed"
    assert not any("1.png" in name for name in tree(Path("out")))


@pytest.mark.parametrize("executor", ["serial", "process"])
@pytest.mark.parametrize("force", [True, False])
def test_a_photograph_that_has_not_changed_keeps_its_results_when_the_program_fails(
    executor: str, force: bool
) -> None:
    photos(2)
    run()
    before = tree(Path("out"))
    settings = config(output={"soft_masks": not force}, execution={"executor": executor, "workers": 1})
    summary = run(settings, factory=stand_ins.refusing, force=force)
    assert some(summary.counts) == {"failed": 2}
    after = tree(Path("out"))
    assert {**after, "manifest.jsonl": b""} == {**before, "manifest.jsonl": b""}
    record = records()["in/1.png"]
    assert (record["status"], record["files"], record["faces"]) == ("failed", {}, [])
    assert record["kept_files"] == [
        "cutouts/in/1.png_1.png",
        "instances/in/1.png.png",
        "masks/in/1.png.png",
        "overlays/in/1.png.jpg",
    ]
    assert run(settings, factory=stand_ins.refusing).counts["failed"] == 2
    assert records()["in/1.png"] == {**record, "seconds": records()["in/1.png"]["seconds"]}
    run(config(output={"cutouts": False, "overlays": False}))
    assert records()["in/1.png"]["kept_files"] == []
    assert not any("cutouts" in name or "overlays" in name for name in tree(Path("out")))


def test_results_that_were_kept_go_when_the_photograph_changes_or_cannot_be_read() -> None:
    photos(4)
    run()
    run(factory=stand_ins.refusing, force=True)
    write_photo(Path("in/1.png"), 7)
    Path("in/2.png").unlink()
    Path("list.txt").write_text("in/1.png\nin/2.png\nin/3.png\n")
    run(config(input={"paths": ["@list.txt"]}), factory=stand_ins.refusing)
    assert not any("/1.png" in name or "/2.png" in name for name in tree(Path("out")))
    assert Path("out/masks/in/3.png.png").is_file()


def test_a_photograph_that_kills_its_worker_keeps_its_results_if_it_has_not_changed() -> None:
    write_photo(Path("in/1.png"), 1, order="crash")
    run()  # this stand-in takes no orders
    old = tree(Path("out"))
    run(config(execution=lost("process")), factory=stand_ins.obedient, force=True)
    assert records()["in/1.png"]["status"] == "failed"
    assert len(records()["in/1.png"]["kept_files"]) == 4
    assert set(tree(Path("out"))) == set(old)


def test_failures_are_tried_again_and_the_rest_is_kept() -> None:
    photos(2)
    broken = Path("in/broken.png")
    broken.write_bytes(b"text")
    run()
    write_photo(broken, 5)
    summary = run(config(input={"paths": ["in/broken.png"]}))
    assert some(summary.counts) == {"ok": 1}
    assert set(records()) == {"in/0.png", "in/1.png", "in/broken.png"}


def test_every_kind_of_failure_is_one_photographs_own() -> None:
    photos(2)
    for order in ("raise", "segmentation", "partial", "uncrop"):
        write_photo(Path(f"in/{order}.png"), 1, order=order)
    summary = run(factory=stand_ins.obedient)
    assert some(summary.counts) == {"ok": 1, "no_face": 1, "failed": 3, "partial": 1}
    assert summary.exit_code == 1
    found = {name: record["errors"] for name, record in records().items() if record["errors"]}
    assert found == {
        "in/partial.png": [{"stage": "network", "type": "EngineError", "message": "one face failed"}],
        "in/raise.png": [
            {"stage": "photo", "type": "ZeroDivisionError", "message": "in/raise.png: division by zero"}
        ],
        "in/uncrop.png": [
            {"stage": "uncrop", "type": "MemoryError", "message": "in/uncrop.png: MemoryError"}
        ],
        "in/segmentation.png": [
            {
                "stage": "network",
                "type": "SegmentationError",
                "message": "in/segmentation.png: the network refused",
            }
        ],
    }
    assert Path("out/masks/in/partial.png.png").exists()
    assert not Path("out/masks/in/raise.png.png").exists()


def test_too_large_a_photograph() -> None:
    write_photo(Path("in/large.png"), 1, size_wh=(200, 100))
    run(config(input={"max_pixels": 10_000}))
    assert records()["in/large.png"]["errors"][0]["type"] == "ImageTooLargeError"


def test_names_that_are_no_text_are_told_in_the_manifest() -> None:
    raw = b"in/caf\xe9\n.png"
    write_photo(Path(os.fsdecode(raw)), 1)
    assert run().exit_code == 0
    [record] = records().values()
    assert record["photo"] == "in/caf\\xe9\\n.png"
    assert bytes.fromhex(record["photo_bytes"]) == raw
    assert record["name"].isascii()


@pytest.mark.parametrize(
    ("factory", "expected", "message"),
    [
        (stand_ins.unavailable, EngineUnavailableError, "device 'moon'"),
        (stand_ins.broken, EngineError, "the models cannot be loaded: RuntimeError: the library"),
    ],
)
def test_models_that_cannot_be_loaded_stop_the_run(
    factory: SegmenterFactory, expected: type[Exception], message: str
) -> None:
    photos()
    with pytest.raises(expected, match=message):
        run(factory=factory)
    assert records() == {}
    assert some(run().counts) == {"ok": 2, "no_face": 2}


def test_a_missing_input_makes_no_output_directory() -> None:
    with pytest.raises(ConfigError, match=r"input\.paths\.0: in: no such file"):
        run()
    assert list(Path().iterdir()) == []


def test_output_directory_that_is_a_file() -> None:
    photos()
    Path("out").touch()
    with pytest.raises(ConfigError, match=r"output\.directory: out: cannot be written"):
        run()


def test_two_runs_do_not_write_into_one_directory() -> None:
    photos(1)
    with (
        locked(prepared(Path("out"))),
        pytest.raises(ConfigError, match="another run writes there"),
    ):
        run()
    assert run().exit_code == 0


def test_output_that_cannot_be_written_stops_the_run() -> None:
    photos()
    Path("out").mkdir()
    Path("out/overlays").touch()
    with pytest.raises(OutputError, match="A file stands where a folder is needed"):
        run()
    report = json.loads(Path("out/run.json").read_text())
    assert report["state"] == "interrupted"
    Path("out/overlays").unlink()
    assert some(run().counts) == {"ok": 2, "no_face": 2}


def test_a_disk_that_fills_up(monkeypatch: pytest.MonkeyPatch) -> None:
    photos()
    clean = config(output={"directory": "clean"})
    run(clean)
    written = 0
    replace = Path.replace

    def replace_until_full(self: Path, target: Path) -> Path:
        nonlocal written
        written += 1
        if written > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="No space left on device"):
        patch.setattr(Path, "replace", replace_until_full)
        run()
    assert not any(LEFTOVER_PREFIX in name for name in tree(Path("out")))
    run()
    assert tree(Path("out")) == tree(Path("clean"))


def test_leftovers_of_a_killed_run_are_removed() -> None:
    photos(2)
    run()
    report = json.loads(Path("out/run.json").read_text())
    Path("out/run.json").write_text(json.dumps({**report, "state": "running"}))
    Path(f"out/masks/in/{LEFTOVER_PREFIX}1-1").touch()
    run()
    assert not any(LEFTOVER_PREFIX in name for name in tree(Path("out")))


def test_no_name_depends_on_the_other_photographs() -> None:
    photos(2)
    run(config(input={"paths": ["in/1.png"]}))
    alone = tree(Path("out"))
    write_photo(Path("in/1.jpg"), 3)
    write_photo(Path("in/sub/1.png"), 5)
    run()
    together = tree(Path("out"))
    assert all(together[name] == content for name, content in alone.items() if name != "manifest.jsonl")
    assert len(records()) == 4


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere, also read-only folders"
)
def test_read_only_output() -> None:
    photos(1)
    Path("out").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match=r"output\.directory: out: cannot be written: Permission denied"):
        run()


def lost(executor: str) -> dict[str, Any]:
    return {"executor": executor, "workers": 1, "time_limit_seconds": 3}


def test_a_photograph_that_loses_its_workers_loses_its_old_outputs() -> None:
    photos(2)
    settings = config(execution=lost("process"))
    run(settings, factory=stand_ins.obedient)
    old = [
        Path("out/masks/in/1.png.png"),
        Path("out/overlays/in/1.png.jpg"),
        Path("out/cutouts/in/1.png_1.png"),
    ]
    assert all(path.is_file() for path in old)
    write_photo(Path("in/1.png"), 1, order="crash")
    run(settings, factory=stand_ins.obedient)
    assert records()["in/1.png"]["status"] == "failed"
    assert not any(path.exists() for path in old)
    assert Path("out/masks/in/0.png.png").is_file()


def test_files_that_no_record_names_are_removed_when_the_photograph_fails() -> None:
    photos(2)
    run()
    Path("out/manifest.jsonl").unlink()  # killed before the first record was written
    write_photo(Path("in/1.png"), 1, order="segmentation")
    run(factory=stand_ins.obedient)
    assert not Path("out/masks/in/1.png.png").exists()
    assert not Path("out/cutouts/in/1.png_1.png").exists()


def test_another_folders_photographs_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(output={"directory": str(tmp_path / "out")})
    for folder in ("trip1", "trip2"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        photos(2)
    monkeypatch.chdir(tmp_path / "trip1")
    run(settings)
    before = tree(tmp_path / "out")
    monkeypatch.chdir(tmp_path / "trip2")
    with pytest.raises(ConfigError, match=r"is a photograph of .*trip1"):
        run(settings)
    assert tree(tmp_path / "out") == before
    (tmp_path / "trip1").rename(tmp_path / "trip3")  # the same photographs, moved
    monkeypatch.chdir(tmp_path / "trip3")
    run(settings)
    assert tree(tmp_path / "out") == before


def test_the_manifest_tells_what_was_done_in_reading() -> None:
    rgba = np.full((40, 48, 4), 200, np.uint8)
    rgba[:, :, 3] = 0
    rgba[15:25, 20:28, 3] = 255
    frames = [Image.fromarray(rgba), Image.new("RGBA", (48, 40)), Image.new("RGBA", (48, 40))]
    Path("in").mkdir()
    with Path("in/a.png").open("wb") as file:
        frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    write_photo(Path("in/b.png"), 1)
    run(config(input={"background": "black"}))
    found = records()
    assert found["in/a.png"]["frames_not_read"] == 2
    assert found["in/a.png"]["notes"] == ["transparent pixels laid on input.background"]
    assert (found["in/b.png"]["frames_not_read"], found["in/b.png"]["notes"]) == (0, [])
    [face] = found["in/a.png"]["faces"]
    assert face["area_px"] == 80  # not what lies hidden around it
    with Image.open(Path("out", face["files"]["cutouts"])) as cutout:
        assert np.array_equal(np.asarray(cutout)[:, :, 3] > 0, rgba[10:30, 12:36, 3] > 0)
        assert np.asarray(cutout).max(initial=0, where=np.asarray(cutout)[:, :, 3:] == 0) == 0
    with Image.open("out/overlays/in/a.png.jpg") as overlay:
        assert np.asarray(overlay)[:5].max() < 20
    assert some(run(config(input={"background": "black"})).counts) == {"skipped": 2}
    assert "skipped" not in some(run(config(input={"background": "grey"})).counts)


def test_what_was_left_out_is_told_at_the_end_and_in_run_json() -> None:
    photos(2)
    Path("in/drawing.psd").write_bytes(b"8BPS")
    assert run(config(output={"directory": "in/a"})).total == 2
    summary = run(config(output={"directory": "in/b"}))
    assert summary.total == 2
    told = json.loads(Path("in/b/run.json").read_bytes())["left_out"]
    assert [sentence[:15] for sentence in told] == ["Left out: in/a,", "Not read, being"]
    assert all(f"{sentence}." in str(summary) for sentence in told)
    shown = " ".join(plan(config(output={"directory": "in/c"}), model_hashes=stand_ins.no_models).left_out)
    assert "Left out: in/a, " in shown and "Left out: in/b, " in shown and "1 .psd" in shown
