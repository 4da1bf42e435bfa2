"""The manifest survives anything, and says what it should."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import output_pictures
from pipeline.cli import main
from pipeline.config import Config
from pipeline.errors import OutputError, UsageError
from pipeline.manifest import digest
from pipeline.manifest.digest import RESULTS_VERSION, result_digest
from pipeline.manifest.journal import (
    Manifest,
    read_manifest,
    read_run,
    to_line,
    write_run,
)
from pipeline.manifest.records import recorded_files
from pipeline.manifest.reports import retry
from pipeline.manifest.schema import SCHEMA, json_schema
from pipeline.network import MEAN_BGR
from pipeline.version import __version__
from tests.lines import face, record

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests" / "data" / "version_0_1_0"
"""What commit 090fe2f, version 0.1.0, left of five photographs."""


def lines(directory: Path) -> list[dict[str, Any]]:
    content = (directory / "manifest.jsonl").read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def test_later_lines_replace_earlier_ones_and_the_end_is_sorted(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        for name, status in (("b", "failed"), ("c", "ok"), ("a", "ok"), ("b", "no_face")):
            manifest.append(record(name, status))
        assert manifest.get("b") == record("b", "no_face")
        assert manifest.get("x") is None
        assert [line["name"] for line in lines(tmp_path)] == ["b", "c", "a", "b"]
        manifest.finish()
        assert [line["name"] for line in lines(tmp_path)] == ["a", "b", "c"]
        manifest.append(record("0"))
        assert manifest.get("c") == record("c")
    assert [record["name"] for record in read_manifest(tmp_path)] == ["0", "a", "b", "c"]


def test_lines_of_earlier_runs_stay(tmp_path: Path) -> None:
    for names in ("ac", "b"):
        with Manifest(tmp_path) as manifest:
            for name in names:
                manifest.append(record(name))
            manifest.finish()
    assert [line["name"] for line in lines(tmp_path)] == ["a", "b", "c"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1))
def test_cut_anywhere_it_is_repaired(tmp_path: Path, kept: float) -> None:
    whole = b"".join(to_line(record(name)) for name in "bac")
    content = whole[: round(kept * len(whole))]
    (tmp_path / "manifest.jsonl").write_bytes(content)
    complete = content.count(b"\n")
    assert [r["name"] for r in read_manifest(tmp_path)] == sorted("bac"[:complete])
    with Manifest(tmp_path) as manifest:
        assert len(manifest) == complete
        assert len(lines(tmp_path)) == complete
        manifest.append(record("d"))
    assert [line["name"] for line in lines(tmp_path)] == [*"bac"[:complete], "d"]


def test_a_cut_repetition_does_not_hide_the_earlier_line(tmp_path: Path) -> None:
    content = to_line(record("a")) + to_line(record("a", "failed"))[:-1]
    (tmp_path / "manifest.jsonl").write_bytes(content)
    with Manifest(tmp_path) as manifest:
        assert manifest.get("a") == record("a")


def test_rubbish_lines_are_dropped_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(b"rubbish\n[]\n" + to_line(record("a")) + b"\xff\n{}\n")
    with Manifest(tmp_path) as manifest:
        assert "a" in manifest
        manifest.finish()
    assert lines(tmp_path) == [record("a")]


@pytest.mark.parametrize(
    "line",
    [
        b'{"name": "a"}',
        b'{"name": "a", "status": "ok"}',
        to_line(record("a", "splendid")),
        to_line(record("a", faces=[{"number": 1}])),
        to_line(record("a", faces=[face(landmarks=[[1, 2]])])),
        to_line(record("a", faces=[face(box_xywh="everywhere")])),
        to_line(record("a", files=["masks/a.png"])),
        to_line(record("a", seconds={"read": "long"})),
        to_line(record("a", schema=0)),
        to_line(record("a", schema="2")),
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_left_out(
    line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = to_line(record("b")) + line.strip() + b"\n" + to_line(record("c", "failed"))
    (tmp_path / "manifest.jsonl").write_bytes(whole)
    assert [found["name"] for found in read_manifest(tmp_path)] == ["b", "c"]
    for action in ("summary", "failed", "retry"):
        assert main(["manifest", action, str(tmp_path)]) == 0
    assert "2 photographs, 0 faces" in capsys.readouterr().out


def test_a_damaged_line_does_not_hide_the_whole_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(to_line(record("a")) + b'{"name": "a"}\n')
    assert list(read_manifest(tmp_path)) == [record("a")]
    with Manifest(tmp_path) as manifest:
        assert manifest.get("a") == record("a")


def test_a_manifest_of_a_later_program_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(to_line(record("a", schema=3, program="uncrop 9.1")))
    assert main(["manifest", "summary", str(tmp_path)]) == 2
    assert "written by uncrop 9.1 (form 3), and this program reads up to form 2" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"uncrop 9\.1"), Manifest(tmp_path):
        pytest.fail("appended to what it cannot read")


def test_keys_of_a_later_program_of_the_same_form_are_kept(tmp_path: Path) -> None:
    later = record("a", mood="sunny", faces=[face(smile=0.5)])
    (tmp_path / "manifest.jsonl").write_bytes(to_line(later))
    assert list(read_manifest(tmp_path)) == [later]


def test_every_line_says_form_and_program(tmp_path: Path) -> None:
    assert list(record("a"))[:2] == ["schema", "program"]
    assert (record("a")["schema"], record("a")["program"]) == (SCHEMA, f"uncrop {__version__}")


def test_the_schema_that_is_published_is_the_one_that_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    published = json.loads((ROOT / "docs" / "manifest.schema.json").read_text("utf-8"))
    assert published == json_schema(), "write it anew: python -m pipeline manifest schema"
    assert main(["manifest", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == published
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    validator.validate(record("a", faces=[face(1), face(2)], photo_bytes="00ff"))
    assert not validator.is_valid(record("a", faces=[{"number": 1}]))
    assert not validator.is_valid({"name": "a"})


def test_the_manifest_of_version_0_1_0_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(OLD, tmp_path / "masks")
    old = {line["name"]: line for line in lines(OLD)}
    found = {record["name"]: record for record in read_manifest(tmp_path / "masks")}
    assert {name: line["status"] for name, line in old.items()} == {
        "in/broken.jpg": "failed",
        "in/grace_hopper.jpg": "ok",
        "in/grey.png": "no_face",
        "in/obama_microphone.jpg": "ok",
        "in/sub/biden_rotated.jpg": "ok",
    }
    validator = jsonschema.Draft202012Validator(json_schema())
    for name, line in old.items():
        assert "schema" not in line
        assert (found[name]["schema"], found[name]["program"]) == (SCHEMA, "uncrop 0.1.0")
        validator.validate(found[name])
        kept = {key: value for key, value in found[name].items() if key in line and key != "faces"}
        assert kept == {key: value for key, value in line.items() if key != "faces"}
        for new, before in zip(found[name]["faces"], line["faces"], strict=True):
            assert new == {"turn_degrees": 0, **before}
    assert read_run(tmp_path / "masks")["uncrop"] == "0.1.0"
    assert main(["manifest", "summary", str(tmp_path / "masks")]) == 0
    assert "5 photographs, 3 faces" in capsys.readouterr().out
    assert main(["manifest", "retry", str(tmp_path / "masks")]) == 0
    assert (tmp_path / "masks" / "retry.txt").read_text("utf-8") == "in/./broken.jpg\n"
    with Manifest(tmp_path / "masks") as manifest:
        manifest.append(record("in/new.jpg"))
        manifest.finish()
    assert [line["name"] for line in lines(tmp_path / "masks")] == sorted([*old, "in/new.jpg"])


def test_a_disk_that_gets_full_in_the_middle_of_a_line_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[: len(content) // 2])

    with Manifest(tmp_path) as manifest:
        manifest.append(record("a"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(OutputError, match="No space left on device"):
                manifest.append(record("b"))
        manifest.append(record("c"))
    assert lines(tmp_path) == [record("a"), record("c")]


def test_digest_follows_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    before = result_digest(Config(), {})
    monkeypatch.setattr(digest, "RESULTS_VERSION", RESULTS_VERSION + 1)
    assert result_digest(Config(), {}) != before


def test_constants_of_results_change_with_their_version() -> None:
    constants = {
        "PNG_COMPRESSION": output_pictures.PNG_COMPRESSION,
        "OVERLAY": (
            output_pictures.OVERLAY_RGB,
            output_pictures.OVERLAY_ALPHA,
            output_pictures.OVERLAY_QUALITY,
        ),
        "JPEG_MAX_SIDE_PX": output_pictures.JPEG_MAX_SIDE_PX,
        "MEAN_BGR": [round(float(value), 4) for value in MEAN_BGR],
    }
    assert (RESULTS_VERSION, constants) == (
        3,
        {
            "PNG_COMPRESSION": 3,
            "OVERLAY": ((255, 0, 0), 0.5, 92),
            "JPEG_MAX_SIDE_PX": 65500,
            "MEAN_BGR": [104.007, 116.6688, 122.6789],
        },
    ), "raise RESULTS_VERSION with every change, or old results are taken for done"


def test_digest_follows_what_shapes_a_result() -> None:
    base = Config()
    models = {"network": "1", "landmarks": "2"}
    unchanged = result_digest(base, models)

    def changed(section: str, **values: Any) -> str:
        sections = {section: {**getattr(base, section).model_dump(), **values}}
        return result_digest(Config.model_validate({**base.model_dump(), **sections}), models)

    assert unchanged == result_digest(Config(), dict(reversed(models.items())))
    assert changed("input", paths=("elsewhere",), max_pixels=7, recursive=False) == unchanged
    assert changed("input", background="black") != unchanged
    assert changed("output", directory="elsewhere") == unchanged
    assert changed("execution", executor="serial", workers=7) == unchanged
    assert changed("engine", threads=3) == unchanged
    assert changed("network", batch_size=1) == unchanged
    assert changed("output", cutouts=True) != unchanged
    assert changed("output", orientation="stored") != unchanged
    assert changed("refine", smooth=True) != unchanged
    assert changed("engine", precision="bf16") != unchanged
    assert changed("detector", upsample=1) != unchanged
    assert result_digest(base, {"network": "1", "landmarks": "3"}) != unchanged


def test_files_of_a_record() -> None:
    faces = [{"files": {"crops": "crops/a_1.png"}}, {"files": {}}]
    assert recorded_files({"files": {"masks": "masks/a.png"}, "faces": faces}) == [
        "masks/a.png",
        "crops/a_1.png",
    ]


def test_run_file(tmp_path: Path) -> None:
    assert read_run(tmp_path) == {}
    write_run(tmp_path, {"state": "finished"})
    assert read_run(tmp_path) == {"state": "finished"}
    (tmp_path / "run.json").write_bytes(b"{")
    assert read_run(tmp_path) == {}


def test_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(record("a", faces=[face(1), face(2)]))
        manifest.append(record("in/b.jpg", "failed", root="in"))
        manifest.append(record("c-0123/d.jpg", "failed", photo="/c/d.jpg", root="/c"))
    write_run(tmp_path, {"state": "finished", "working_directory": "/home/anna", "seconds": 3})

    assert main(["manifest", "summary", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    for part in ("3 photographs, 2 faces", "failed    2", "2     ImageReadError (read)", "read      0.5"):
        assert part in text

    assert main(["manifest", "failed", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "ImageReadError (read): 2"
    assert "in/b.jpg: empty" in text

    assert main(["manifest", "retry", str(tmp_path)]) == 0
    assert "2 photographs listed in" in capsys.readouterr().out
    assert (tmp_path / "retry.txt").read_text() == "/c/./d.jpg\nin/./b.jpg\n"


def test_retry_of_names_that_are_no_text(tmp_path: Path) -> None:
    raw = b"in/caf\xe9\n.jpg"
    with Manifest(tmp_path) as manifest:
        manifest.append(record("x", "failed", photo="in/?", photo_bytes=raw.hex(), root="in"))
    retry(tmp_path)
    assert (tmp_path / "retry.txt").read_bytes() == b"in/./caf\xe9\n.jpg\0"


def test_reports_without_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manifest", "summary", str(tmp_path)]) == 2
    assert "no manifest.jsonl there" in capsys.readouterr().err


def test_retry_from_below_the_root(tmp_path: Path) -> None:
    root, below = tmp_path / "photos", tmp_path / "photos" / "sub"
    error = {"stage": "read", "type": "ImageReadError", "message": "cut off"}
    failed = record("photos-000000000000/sub/b.jpg", "failed", errors=[error], photo="b.jpg", root=str(root))
    with Manifest(tmp_path) as manifest:
        manifest.append(failed)
    write_run(tmp_path, {"working_directory": str(below)})
    retry(tmp_path)
    assert (tmp_path / "retry.txt").read_text(encoding="utf-8") == f"{root}/./sub/b.jpg\n"
