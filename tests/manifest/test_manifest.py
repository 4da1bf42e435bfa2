"""The manifest survives anything, and says what it should."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.config import Config
from pipeline.errors import OutputError
from pipeline.manifest.journal import (
    Manifest,
    read_manifest,
    read_run,
    result_digest,
    to_line,
    write_run,
)
from pipeline.manifest.records import recorded_files
from pipeline.manifest.reports import retry


def record(name: str, status: str = "ok", **values: Any) -> dict[str, Any]:
    errors = [{"stage": "read", "type": "ImageReadError", "message": f"{name}: empty"}]
    return {
        "name": name,
        "photo": name,
        "root": ".",
        "status": status,
        "faces": [],
        "errors": errors if status == "failed" else [],
        "seconds": {"read": 0.5},
        **values,
    }


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(record("a"))
        descriptor = os.open("/dev/full", os.O_RDWR)
        kept = os.dup(manifest._descriptor)
        os.dup2(descriptor, manifest._descriptor)
        with pytest.raises(OutputError, match="cannot be written"):
            manifest.append(record("b"))
        os.dup2(kept, manifest._descriptor)
        os.close(kept)
        os.close(descriptor)
    assert lines(tmp_path) == [record("a")]


def test_digest_follows_what_shapes_a_result() -> None:
    base = Config()
    models = {"network": "1", "landmarks": "2"}
    digest = result_digest(base, models)

    def changed(section: str, **values: Any) -> str:
        sections = {section: {**getattr(base, section).model_dump(), **values}}
        return result_digest(Config.model_validate({**base.model_dump(), **sections}), models)

    assert digest == result_digest(Config(), dict(reversed(models.items())))
    assert changed("input", paths=("elsewhere",), max_pixels=7, recursive=False) == digest
    assert changed("input", background="black") != digest
    assert changed("output", directory="elsewhere") == digest
    assert changed("execution", executor="serial", workers=7) == digest
    assert changed("engine", threads=3) == digest
    assert changed("network", batch_size=1) == digest
    assert changed("output", cutouts=True) != digest
    assert changed("output", orientation="stored") != digest
    assert changed("refine", smooth=True) != digest
    assert changed("engine", precision="bf16") != digest
    assert changed("detector", upsample=1) != digest
    assert result_digest(base, {"network": "1", "landmarks": "3"}) != digest


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
        manifest.append(record("a", faces=[{"number": 1}, {"number": 2}]))
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
