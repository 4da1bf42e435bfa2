"""The report of a run: what it counts, what it shows, and that it needs nothing from elsewhere."""

import html.parser
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.config import Config, InputConfig, recorded_config
from pipeline.report.page import render
from pipeline.report.statistics import SAMPLES, Best, FaceSample, Histogram, gather
from pipeline.report.writing import write_report
from pipeline.runner import run
from tests import stand_ins
from tests.stand_ins import write_photo


def face(number: int = 1, score: float = 0.9, side: int = 50) -> dict[str, Any]:
    return {
        "number": number,
        "box_xywh": [0, 0, side, side],
        "detection": {"box_xywh": [0, 0, side, side], "score": 1.0, "detector": "x"},
        "score": score,
        "files": {},
    }


def record(name: str, status: str = "ok", *faces: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "photo": name, "status": status, "faces": list(faces), "errors": [], **more}


def test_everything_is_counted_once() -> None:
    error = {"stage": "read", "type": "ImageReadError", "message": "x.jpg: is empty"}
    statistics = gather(
        [
            record("a", "ok", face(1, 0.97, 20), face(2, 0.5, 300), seconds={"read": 0.5, "total": 2.0}),
            record("b", "no_face", seconds={"read": 0.25}),
            record("c", "failed", errors=[error]),
            record("d", "failed", errors=[error]),
        ]
    )
    assert dict(statistics.statuses) == {"ok": 1, "no_face": 1, "failed": 2}
    assert (statistics.photographs, statistics.faces) == (4, 2)
    assert statistics.reasons == {("read", "ImageReadError"): 2}
    assert statistics.seconds == {"read": 0.75}
    assert statistics.sizes_px.counts[1] == 1
    assert statistics.sizes_px.counts[9] == 1
    assert statistics.faces_per_photo.counts[:3] == [1, 0, 1]
    assert [one.score for one in statistics.sheets["Lowest scores"].samples()] == [0.5, 0.97]
    assert [one.side_px for one in statistics.sheets["Largest"].samples()] == [300.0, 20.0]


def test_edges_belong_to_the_bar_above() -> None:
    histogram = Histogram((10, 20))
    for value in (9.9, 10, 19.9, 20, 100):
        histogram.add(value)
    assert histogram.counts == [1, 2, 2]


def test_only_the_best_are_kept() -> None:
    best = Best(lambda sample: sample.score)
    for index in range(10 * SAMPLES):
        score = (index * 7 % 101) / 101
        best.add(FaceSample(str(index), "p", 1, (0, 0, 1, 1), 1.0, score, None, 1))
    scores = [sample.score for sample in best.samples()]
    assert len(scores) == SAMPLES
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 100 / 101


class Parsed(html.parser.HTMLParser):
    """What a page refers to, and whether all that is opened is closed."""

    void = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def photographs_of_a_run(folder: Path, orientation: str = "upright") -> Path:
    for index in range(4):
        write_photo(folder / f"in/{index}.png", index)
    write_photo(folder / "in/<b>&.png", 1)
    (folder / "in/broken.jpg").write_bytes(b"\xff\xd8\xffno")
    config = Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": "out", "orientation": orientation},
            "execution": {"executor": "serial"},
        }
    )
    run(config, factory=stand_ins.obedient, model_hashes=stand_ins.no_models)
    return folder / "out"


def test_a_page_that_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    output = photographs_of_a_run(tmp_path)
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("out/report.html"))
    text = (output / "report.html").read_text("utf-8")
    page = Parsed(text)
    assert page.open == []
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "script" not in page.tags
    assert "<b>&" not in text
    assert "&lt;b&gt;&amp;.png" in text
    assert re.search(r"ImageReadError.*broken\.jpg", text, re.S)
    lines = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    faces = sum(len(line["faces"]) for line in lines)
    assert f"<dt>faces</dt><dd>{faces}</dd>" in text
    section = text.partition("Photographs by number of faces")[2].partition("</table>")[0]
    labels = re.findall(r'<th scope="row">([^<]*)</th>', section)
    assert labels == ["0", "1", "2", "3", "4", "5", "6 to 10", "11 to 20", "21 to 50", "51 and more"]
    assert "<br>1.png</figcaption>" in text
    assert len(page.links) == 4 * faces


def test_without_pictures_and_with_photographs_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = photographs_of_a_run(tmp_path)
    assert main(["report", "out", "--to", "bare.html", "--without-pictures"]) == 0
    assert Parsed(Path("bare.html").read_text("utf-8")).links == []
    for path in (tmp_path / "in").iterdir():
        path.unlink()
    page = write_report(output).read_text("utf-8")
    assert Parsed(page).links == []
    assert "photograph not found" in page


def test_made_at_the_end_of_a_run_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("black.png")
    words = ["run", "--quiet", "--input", "black.png", "--set", "execution.executor=serial"]
    assert main([*words, "--output", "without"]) == 0
    assert not Path("without/report.html").exists()
    assert main([*words, "--output", "with", "--set", "output.report=true"]) == 0
    assert "<dt>without a face</dt><dd>1</dd>" in Path("with/report.html").read_text("utf-8")


OLD = Path(__file__).parents[1] / "data" / "version_0_1_0"


def test_the_output_of_version_0_1_0(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "masks")
    (tmp_path / "masks/run.json").write_text(
        json.dumps(json.loads((OLD / "run.json").read_text()) | {"working_directory": str(tmp_path)})
    )
    text = write_report(tmp_path / "masks").read_text("utf-8")
    assert "<dt>photographs</dt><dd>5</dd>" in text
    assert "<dt>faces</dt><dd>3</dd>" in text
    assert text.count("photograph not found") == 4 * 3


def test_the_configuration_that_0_1_0_recorded_is_understood() -> None:
    made = json.loads((OLD / "run.json").read_text())["config"]
    made["network"]["mirror"] = True
    config = recorded_config(made)
    assert (config.network.mirror, config.scores.jaw_penalty) == (True, made["refine"]["jaw_penalty"])
    nonsense: tuple[object, ...] = (None, [], {"input": 5}, {"no such": {}})
    for senseless in nonsense:
        assert recorded_config(senseless) == Config()


def test_half_a_run_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = photographs_of_a_run(tmp_path)
    (output / "run.json").unlink()
    with (output / "manifest.jsonl").open("ab") as file:
        file.write(b'{"name": "cut')
    page = write_report(output).read_text("utf-8")
    assert "<dt>photographs</dt><dd>6</dd>" in page
    assert Parsed(page).links


def test_clips_are_counted_by_themselves() -> None:
    clip = {"frames": 250, "tracks": [{}, {}]}
    statistics = gather([record("a", "ok", face()), record("b.mp4", clip=clip), record("c", "no_face")])
    assert (statistics.clips, statistics.clip_frames, statistics.tracks) == (1, 250, 2)
    assert (statistics.faces_per_photo.counts[0], statistics.faces) == (1, 1)
    page = render(statistics, {}, {})
    assert "<dt>photographs</dt><dd>2</dd>" in page
    assert "<dt>clips</dt><dd>1</dd>" in page
    assert "<dt>clips</dt>" not in render(gather([record("a")]), {}, {})


def test_pictures_of_photographs_whose_names_are_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"in/caf\xe9.png")
    write_photo(Path(name), 1)
    config = Config.model_validate(
        {"input": {"paths": ["in"]}, "output": {"directory": "out"}, "execution": {"executor": "serial"}}
    )
    run(config, factory=stand_ins.obedient, model_hashes=stand_ins.no_models)
    page = write_report(tmp_path / "out").read_text("utf-8")
    assert "photograph not found" not in page
    assert len(Parsed(page).links) == 4


def test_no_run_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "name the output directory of a run" in capsys.readouterr().err


def test_outlines_lie_on_turned_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.report.pictures import face_picture

    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save("turned.png", exif=exif)
    stored = np.zeros((40, 60), np.uint8)
    stored[5:15, 10:20] = 1  # upright: rows 10 to 19, columns 25 to 34
    Image.fromarray(stored).save("map.png")
    sample = FaceSample("turned", "turned.png", 1, (20, 5, 20, 20), 20.0, 1.0, "map.png", 6)
    jpeg = face_picture(sample, tmp_path, tmp_path, InputConfig())
    assert jpeg is not None
    Path("small.jpg").write_bytes(jpeg)
    red = np.asarray(Image.open("small.jpg").convert("RGB")).astype(int)[:, :, 0]
    rows, columns = np.nonzero(red > 100)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 14, 5, 14)
