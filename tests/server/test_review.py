"""The review page's server: what it shows, what it keeps, and whom it refuses."""

import gzip
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from landmarks.geometry import Box
from pipeline.cli import main
from pipeline.config import Config
from pipeline.corrections.layer import Corrections
from pipeline.manifest.journal import read_manifest
from pipeline.runner import run
from pipeline.server.review.app import create_review_app
from pipeline.server.review.index import FILTERS, SORTS, PhotoIndex, doubt
from pipeline.server.review.running import open_album
from pipeline.server.review.tools import superpixels
from pipeline.server.running import address, listen, make_server
from tests import stand_ins
from tests.stand_ins import write_photo

TOKEN = "a-token"
HEIGHT, WIDTH = 24, 36


def made_run(folder: Path, count: int = 6, orientation: str = "upright") -> Path:
    """A small run with stand-in masks below the present folder."""
    for index in range(count):
        write_photo(folder / f"in/{index}.png", index)
    config = Config.model_validate(
        {
            "input": {"paths": ["in"]},
            "output": {"directory": "out", "orientation": orientation},
            "execution": {"executor": "serial"},
        }
    )
    run(config, factory=stand_ins.obedient, model_hashes=stand_ins.no_models)
    return folder / "out"


@contextmanager
def reviewing(output: Path, *inputs: str) -> Iterator[httpx.Client]:
    """The page's server in a thread of this process; a client that has opened the page."""
    album, tool = open_album(output, inputs, "tester")
    listener = listen("127.0.0.1", 0)
    app = create_review_app(album, tool, TOKEN)
    server = make_server(app, stop_seconds=5)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=address(listener), timeout=60) as client:
            client.get("/", params={"token": TOKEN}).raise_for_status()
            while client.get("/api/photos").json()["loading"]:
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return made_run(tmp_path)


def items(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/photos", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def shown(client: httpx.Client, number: int, **query: Any) -> NDArray[np.uint16]:
    answer = client.get(f"/api/photos/{number}/instances", params=query)
    width, height = map(int, answer.headers["x-size"].split("x"))
    return np.frombuffer(answer.content, "<u2").reshape(height, width)


def put(client: httpx.Client, number: int, numbers: NDArray[np.uint16], revision: str) -> httpx.Response:
    height, width = numbers.shape
    return client.put(
        f"/api/photos/{number}/instances",
        params={"width": width, "height": height, "revision": revision},
        content=gzip.compress(numbers.astype("<u2").tobytes()),
        headers={"Content-Type": "application/octet-stream"},
    )


def judge(client: httpx.Client, item: dict[str, Any], verdict: str | None) -> httpx.Response:
    body = {"verdict": verdict, "revision": item["revision"]}
    return client.post(f"/api/photos/{item['id']}/verdict", json=body)


def test_the_wall_and_the_pictures(output: Path) -> None:
    with reviewing(output) as client:
        listed = items(client)
        assert [item["name"] for item in listed] == [f"in/{index}.png" for index in range(6)]
        assert {item["status"] for item in listed} == {"ok", "no_face"}
        face = next(item for item in listed if item["faces"])
        details = client.get(f"/api/photos/{face['id']}").json()
        assert details["faces"][0]["number"] == 1
        record = next(one for one in read_manifest(output) if one["name"] == face["name"])
        assert details["faces"][0]["landmarks"] == record["faces"][0]["landmarks"]
        assert np.count_nonzero(shown(client, face["id"])) == record["faces"][0]["area_px"]
        for picture in ("thumbnail", "photograph"):
            answer = client.get(f"/api/photos/{face['id']}/{picture}")
            assert answer.headers["content-type"] == "image/jpeg"
            assert answer.content[:3] == b"\xff\xd8\xff"


def test_a_correction_is_kept_beside_the_run(output: Path) -> None:
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with reviewing(output) as client:
        item = next(item for item in items(client) if item["faces"])
        drawn = shown(client, item["id"]).copy()
        drawn[:3, :5] = 1
        drawn[-2:, -2:] = 300
        saved = put(client, item["id"], drawn, item["revision"]).json()
        assert (saved["corrected"], saved["verdict"]) == (True, None)
        assert np.array_equal(shown(client, item["id"]), drawn)
        assert not np.array_equal(shown(client, item["id"], original=True), drawn)
        judged = judge(client, saved, "accept").json()
        assert (judged["verdict"], judged["corrected"]) == ("accept", True)
        back = judge(client, judged, None).json()
        assert (back["verdict"], back["corrected"]) == (None, True)
        assert [one["name"] for one in items(client, filter="corrected")] == [item["name"]]
    assert {path: path.read_bytes() for path in before} == before
    with reviewing(output) as client:  # another day
        assert np.array_equal(shown(client, item["id"]), drawn)
        (again,) = items(client, filter="corrected")
        gone = client.delete(
            f"/api/photos/{item['id']}/instances", params={"revision": again["revision"]}
        ).json()
        assert gone["corrected"] is False
        assert items(client, filter="corrected") == []


def test_a_turned_photograph_is_corrected_on_the_grid_of_its_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), (200, 200, 200)).save("in/turned.png", exif=exif)
    output = made_run(tmp_path, count=0, orientation="stored")
    with reviewing(output) as client:
        (item,) = items(client)
        drawn = shown(client, item["id"]).copy()
        assert drawn.shape == (40, 30)
        drawn[:] = 0
        drawn[2, 3] = 7
        put(client, item["id"], drawn, item["revision"]).raise_for_status()
        assert np.array_equal(shown(client, item["id"]), drawn)
    (record,) = read_manifest(output)
    correction = Corrections(output).review(record).correction
    assert correction is not None
    assert correction.turn == 6


def test_two_pages_at_once(output: Path) -> None:
    with reviewing(output) as client:
        item = items(client)[1]
        assert judge(client, item, "accept").status_code == 200
        late = judge(client, item, "reject")
        assert (late.status_code, "judged or corrected elsewhere" in late.text) == (409, True)
        assert put(client, item["id"], shown(client, item["id"]), item["revision"]).status_code == 409
        (fresh,) = items(client, filter="accepted")
        assert judge(client, fresh, "reject").json()["verdict"] == "reject"


def test_a_later_run_makes_verdicts_stale(output: Path) -> None:
    with reviewing(output) as client:
        item = next(item for item in items(client) if item["faces"])
        judge(client, item, "accept").raise_for_status()
    path = output / "manifest.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        for face in record["faces"]:
            face["area_px"] += 1
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with reviewing(output) as client:
        (stale,) = items(client, filter="stale")
        assert (stale["name"], stale["verdict"], stale["stale"]) == (item["name"], None, True)
        assert item["name"] in [one["name"] for one in items(client, filter="unseen")]


def test_photographs_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(Path("in/1.png"), 1)
    with reviewing(tmp_path / "new", "in") as client:
        (item,) = items(client)
        assert (item["status"], item["faces"]) == ("new", 0)
        drawn = shown(client, item["id"]).copy()
        assert not drawn.any()
        drawn[1, 1] = 1
        put(client, item["id"], drawn, item["revision"]).raise_for_status()
        assert np.array_equal(shown(client, item["id"]), drawn)
    assert (tmp_path / "new/corrected/in/1.png.png").is_file()


OLD = Path(__file__).parents[1] / "data" / "version_0_1_0"


def test_the_output_of_version_0_1_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD, tmp_path / "masks")
    made = json.loads((OLD / "run.json").read_text())
    (tmp_path / "masks/run.json").write_text(json.dumps(made | {"working_directory": str(tmp_path)}))
    with reviewing(tmp_path / "masks") as client:
        listed = {item["name"]: item for item in items(client)}
        assert {name: (item["status"], item["faces"]) for name, item in listed.items()} == {
            "in/broken.jpg": ("failed", 0),
            "in/grace_hopper.jpg": ("ok", 1),
            "in/grey.png": ("no_face", 0),
            "in/obama_microphone.jpg": ("ok", 1),
            "in/sub/biden_rotated.jpg": ("ok", 1),
        }
        for item in listed.values():  # neither photographs nor masks are there any more
            assert client.get(f"/api/photos/{item['id']}/thumbnail").content[:3] == b"\xff\xd8\xff"
            details = client.get(f"/api/photos/{item['id']}").json()
            assert details["shown"] is False
            assert "in/" in details["notes"][-1]
            judged = judge(client, item, "reject").json()
            assert judged["verdict"] == "reject"


def test_a_photograph_that_cannot_be_read_is_listed_and_judged(output: Path) -> None:
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (output.parent / "in/1.png").unlink()
    with reviewing(output, "in") as client:
        for name, words in (("in/1.png", "no such file"), ("in/broken.png", "damaged")):
            (item,) = items(client, search=name)
            details = client.get(f"/api/photos/{item['id']}").json()
            assert (details["shown"], words in " ".join(details["notes"])) == (False, True), details
            assert judge(client, item, "reject").json()["verdict"] == "reject"
            assert client.get(f"/api/photos/{item['id']}/thumbnail").status_code == 200
            assert client.get(f"/api/photos/{item['id']}/photograph").status_code == 404


def test_a_map_of_nobody_knows_what_size_is_refused(output: Path) -> None:
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with reviewing(output, "in") as client:
        (item,) = items(client, search="broken")
        huge = client.put(
            f"/api/photos/{item['id']}/instances",
            params={"width": 100_000, "height": 100_000, "revision": "0"},
            content=gzip.compress(bytes(1000)),
        )
        assert huge.status_code == 404


def clip_record(output: Path) -> dict[str, Any]:
    """A line as a run over clips writes it, made of a photograph's."""
    record: dict[str, Any] = dict(next(read_manifest(output)))
    track = {"track": 1, "first_frame": 0, "last_frame": 9, "seen": 8, "filled": 2}
    clip = {"frames": 10, "decoded": 10, "with_faces": 10, "seconds": 0.4, "time_base": [1, 25], "cuts": [0]}
    counted = {"seen": 8, "filled": 2, "missed": 0, "tracks": [track]}
    files = {"masks": "masks/in/walk.mp4.mkv"}
    return record | {"name": "in/walk.mp4", "photo": "in/walk.mp4", "faces": [], "status": "ok"} | {
        "clip": clip | counted, "files": files, "notes": []}  # fmt: skip


def test_a_clip_is_listed_and_judged_but_not_drawn_on(output: Path) -> None:
    record = clip_record(output)
    with (output / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    with reviewing(output) as client:
        (item,) = items(client, search="walk")
        assert (item["clip"], item["status"], item["faces"]) == (True, "ok", 0)
        details = client.get(f"/api/photos/{item['id']}").json()
        assert (details["shown"], details["frames"]) == (False, 0)
        assert "A clip of 10 frames" in details["notes"][0]
        assert "not there any more" in details["notes"][0]
        assert client.get(f"/api/photos/{item['id']}/frames/0/photograph").status_code == 404
        assert client.get(f"/api/photos/{item['id']}/frames/0/instances").status_code == 200  # an empty map
        photo = client.get("/api/photos/0/frames/0/photograph")
        assert (photo.status_code, "is no clip" in message_of(photo)) == (404, True)
        assert client.get(f"/api/photos/{item['id']}/thumbnail").status_code == 200
        drawn = np.ones((record["size_wh"][1], record["size_wh"][0]), np.uint16)
        refused = put(client, item["id"], drawn, item["revision"])
        assert (refused.status_code, "is a clip" in message_of(refused)) == (404, True)
        assert judge(client, item, "accept").json()["verdict"] == "accept"
        (again,) = items(client, search="walk")
        assert again["clip"] is True


def clip_run(folder: Path, **output: Any) -> Path:
    """A run over a clip of six frames in which a face moves."""
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    from tests.video.clips import pan, write_clip

    write_clip(folder / "in/walk.mp4", pan(6))
    config = {
        "input": {"paths": ["in"]},
        "output": {"directory": "out", **output},
        "engine": {"threads": 1},
        "execution": {"executor": "serial"},
    }
    video = {"video": {"format": output.pop("format")}} if "format" in output else {}
    config["output"] = {"directory": "out", **output}
    run(Config.model_validate(config | video))
    return folder / "out"


@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ({}, "instances"),
        ({"format": "png"}, "instances"),
        ({"format": "h264", "instances": False}, "masks"),
    ],
    ids=["ffv1", "png", "h264"],
)
def test_frames_of_a_clip_are_shown_with_their_masks(
    output: dict[str, Any], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    monkeypatch.chdir(tmp_path)
    directory = clip_run(tmp_path, **output)
    (record,) = read_manifest(directory)
    path = directory / record["files"][folder]
    if path.suffix == ".png":
        written = [np.asarray(Image.open(path.with_name(f"{index:06d}.png"))) for index in range(6)]
    else:
        with av.open(str(path)) as container:
            written = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with reviewing(directory) as client:
        (item,) = items(client)
        details = client.get(f"/api/photos/{item['id']}").json()
        assert (details["shown"], details["frames"], details["first_frame"]) == (False, 6, 0)
        small = client.get(f"/api/photos/{item['id']}/thumbnail").content
        with Image.open(io.BytesIO(small)) as picture:
            reddest = np.asarray(picture).astype(int)[120, 160]  # a face with its mask
            assert (picture.size, reddest[0] > reddest[2] + 60) == ((320, 240), True)
        for index in (0, 5, 3):
            answer = client.get(f"/api/photos/{item['id']}/frames/{index}/instances")
            numbers = np.frombuffer(answer.content, "<u2").reshape(240, 320)
            assert numbers.any()
            expected = written[index] if folder == "instances" else written[index] > 127
            assert np.array_equal(numbers, expected)
            frame = client.get(f"/api/photos/{item['id']}/frames/{index}/photograph")
            assert Image.open(io.BytesIO(frame.content)).size == (320, 240)
        assert client.get(f"/api/photos/{item['id']}/frames/6/photograph").status_code == 404
        drawn = np.zeros((240, 320), np.uint16)
        drawn[10:20, 30:50] = 7
        frame_record = {**record, "name": "in/walk.mp4/000002.png"}  # as an import has it
        Corrections(directory).correct(frame_record, drawn, who="anna")
    with reviewing(directory) as client:
        answer = client.get(f"/api/photos/{item['id']}/frames/2/instances")
        assert np.array_equal(np.frombuffer(answer.content, "<u2").reshape(240, 320), drawn)
        for kind in ("instances", "masks", "overlays"):
            shutil.rmtree(directory / kind, ignore_errors=True)
        empty = client.get(f"/api/photos/{item['id']}/frames/1/instances")
        assert not np.frombuffer(empty.content, "<u2").any()


@pytest.mark.parametrize("port", ["70000", "-1", "x", "", "9" * 5000])
def test_a_port_that_is_none_is_told(port: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["review", str(output), f"--port={port}"])
    assert "argument --port: a number from 0 to 65535 is expected" in capsys.readouterr().err


def message_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def test_a_run_that_puts_its_manifest_in_order_meanwhile_mixes_nothing_up(output: Path) -> None:
    path = output / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(reversed(lines)))
    with reviewing(output) as client:
        listed = items(client)
        path.write_bytes(b"".join(lines))
        for item, line in zip(listed, lines, strict=True):
            details = client.get(f"/api/photos/{item['id']}").json()
            faces = [face["landmarks"] for face in json.loads(line)["faces"]]
            assert [face["landmarks"] for face in details["faces"]] == faces
            assert judge(client, item, "accept").json()["name"] == item["name"]
        path.write_bytes(b"".join(lines[:-1]))
        gone = client.get(f"/api/photos/{listed[-1]['id']}")
        assert (gone.status_code, "not there any more" in message_of(gone)) == (404, True)


def test_two_programs_on_one_folder_do_not_overwrite_one_another(output: Path) -> None:
    with reviewing(output) as one, reviewing(output) as other:
        item = items(one)[0]
        assert judge(one, item, "accept").status_code == 200
        assert judge(other, item, "reject").status_code == 409
        (fresh,) = items(other, search=item["name"])
        assert (fresh["verdict"], judge(other, fresh, "reject").status_code) == ("accept", 200)


def test_transparency_is_shown_on_the_background_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.new("RGBA", (40, 30), (0, 0, 0, 0)).save("in/clear.png")
    config = Config.model_validate(
        {
            "input": {"paths": ["in"], "background": "#00ff00"},
            "output": {"directory": "out"},
            "execution": {"executor": "serial"},
        }
    )
    run(config, factory=stand_ins.obedient, model_hashes=stand_ins.no_models)
    with reviewing(tmp_path / "out") as client:
        picture = client.get("/api/photos/0/photograph").content
        red, green, blue = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[15, 20].tolist()
        assert (red < 10, green > 245, blue < 10) == (True, True, True)


def test_lines_that_are_none_and_a_later_version(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    odd = [
        {"name": "x", "faces": 5},
        {"name": "x", "faces": ["face"]},
        {"name": "x", "faces": [{"score": "high"}]},
        {"name": "x", "faces": [{"detection": None}]},
        {"name": "x", "faces": [{"box_xywh": [1]}]},
    ]
    manifest.write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in odd) + record_line("a", 0.9))
    index = PhotoIndex(manifest)
    index.load()
    assert (len(index), index.loading, index.problem) == (1, False, None)
    with pytest.raises(IndexError):
        index.entry(-1)
    with pytest.raises(IndexError):
        index.record(-1)
    manifest.write_bytes(json.dumps({"name": "x", "schema": 99, "program": "uncrop 9"}).encode() + b"\n")
    later = PhotoIndex(manifest)
    later.load()
    assert (later.loading, "written by uncrop 9" in str(later.problem)) == (False, True)


def test_superpixels_cover_the_box_inside_the_photograph(output: Path) -> None:
    with reviewing(output) as client:
        query = {"x": -5, "y": 2, "width": 20, "height": 500, "count": 10}
        answer = client.get("/api/photos/0/superpixels", params=query)
        x, y, width, height = map(int, answer.headers["x-box"].split(","))
        photo_height, _ = shown(client, 0).shape
        assert (x, y, width, height) == (0, 2, 15, photo_height - 2)
        labels = np.frombuffer(answer.content, "<u2")
        assert labels.size == width * height
        far = client.get("/api/photos/0/superpixels", params={**query, "x": 9000})
        assert (far.status_code, "outside of the photograph" in far.text) == (400, True)


@pytest.mark.parametrize("side", [60, 1300])
def test_superpixels_keep_to_edges_also_of_large_photographs(side: int) -> None:
    pixels = np.full((side, side, 3), 30, np.uint8)
    pixels[:, side // 3 :] = (200, 180, 160)
    box, labels = superpixels(pixels, Box(0, 0, side, side), 12)
    assert labels.shape == (box.height, box.width)
    assert len(np.unique(labels)) >= 4
    near = 3 * max(side // 512, 1)
    left, right = labels[:, : side // 3 - near], labels[:, side // 3 + near :]
    assert not set(np.unique(left)) & set(np.unique(right))
    with pytest.raises(ValueError, match="count: 2 to"):
        superpixels(pixels, Box(0, 0, 5, 5), 1)


def test_strangers_and_nonsense_are_refused(output: Path) -> None:
    with reviewing(output) as client:
        base = str(client.base_url)
        assert httpx.get(f"{base}/").status_code == 401
        assert httpx.get(f"{base}/", params={"token": "guess"}).status_code == 401
        for path in ("/api/photos", "/api/photos/0", "/api/photos/0/photograph", "/openapi.json"):
            assert httpx.get(f"{base}{path}").status_code == 401
        assert client.get("/api/photos", headers={"Host": "evil.example"}).status_code == 403
        assert client.post(
            "/api/photos/0/verdict",
            json={"verdict": "accept", "revision": "0"},
            headers={"Origin": "https://evil.example"},
        ).status_code == 403  # fmt: skip
        for path in (
            "/api/photos/99",
            "/api/photos/-1/thumbnail",
            "/static/../review/app.py",
            "/api/photos/%2e%2e",
        ):
            assert client.get(path).status_code in (404, 422), path
        assert client.get("/api/photos", params={"filter": "odd"}).status_code == 400
        assert client.get("/api/photos", params={"count": 10**9}).status_code == 422
        good = shown(client, 0)
        assert put(client, 0, good[:-1], "0").status_code == 400
        bomb = client.put(
            "/api/photos/0/instances",
            params={"width": good.shape[1], "height": good.shape[0], "revision": "0"},
            content=gzip.compress(bytes(50_000_000)),
        )
        assert bomb.status_code == 413
        torn = client.put(
            "/api/photos/0/instances",
            params={"width": good.shape[1], "height": good.shape[0], "revision": "0"},
            content=b"no gzip",
        )
        assert torn.status_code == 400
        assert "no gzip" in torn.json()["error"]["message"]
        whole = gzip.compress(good.astype("<u2").tobytes())
        cut = client.put(
            "/api/photos/0/instances",
            params={"width": good.shape[1], "height": good.shape[0], "revision": "0"},
            content=whole[:-8],
        )
        assert (cut.status_code, "cut off" in cut.text) == (400, True)
        far = client.post("/api/photos/0/face", json={"box_xywh": [10**9, 0, 10**9, 10**9]})
        assert (far.status_code, "at least 8 pixels" in far.text) == (400, True)
        assert not (output / "review.jsonl").exists()


def record_line(name: str, *scores: float, side: int = 100, status: str = "ok") -> bytes:
    faces = [
        {
            "number": number,
            "score": score,
            "box_xywh": [0, 0, 100, 100],
            "area_px": 2200,
            "detection": {"box_xywh": [0, 0, side, side]},
        }
        for number, score in enumerate(scores, start=1)
    ]
    return json.dumps({"name": name, "status": status, "faces": faces}).encode() + b"\n"


def test_filters_and_orders(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(
        record_line("c", 0.99)
        + b"torn\n"
        + record_line("a", 0.6, 0.98)
        + record_line("b", status="no_face")
        + record_line("d", 0.97, side=20)
        + record_line("e", status="failed")
        + record_line("c", 0.95)
        + b'{"name": "cut'
    )
    index = PhotoIndex(manifest)
    index.load()

    def names(show: str, sort: str = "name", search: str = "") -> str:
        return "".join(index.name(int(number)) for number in index.select(show, sort, search))

    assert names("all") == "abcde"
    assert {show: names(show) for show in FILTERS} == {
        "all": "abcde",
        "unseen": "abcde",
        "no_face": "b",
        "one": "cd",
        "several": "a",
        "failed": "e",
        "low_score": "a",
        "small": "d",
        "accepted": "",
        "rejected": "",
        "corrected": "",
        "stale": "",
    }
    assert {sort: names("all", sort) for sort in SORTS} == {
        "name": "abcde",
        "doubt": "abcde",
        "score": "acdbe",
        "size": "dacbe",
        "faces": "acdbe",
    }
    assert names("all", search="D") == "d"
    assert index.entry(index.select("one", "name", "")[0]).score == pytest.approx(0.95)
    index.set_verdict(int(index.select("several", "name", "")[0]), "reject", corrected=False, stale=False)
    assert (names("rejected"), names("unseen"), index.judged) == ("a", "bcde", 1)


def test_the_wall_can_be_asked_while_the_manifest_is_read(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(b"".join(record_line(f"{number:05}", 0.9) for number in range(6000)))
    index = PhotoIndex(manifest)
    failures: list[Exception] = []

    def load() -> None:
        try:
            index.load()
        except Exception as error:  # noqa: BLE001 - told by the test below
            failures.append(error)

    reader = threading.Thread(target=load)
    reader.start()
    asked = 0
    while reader.is_alive():
        chosen = index.select("low_score" if asked % 2 else "all", SORTS[asked % len(SORTS)], "")
        assert len(chosen) <= 6000
        assert index.judged == 0
        asked += 1
    reader.join()
    assert failures == []
    assert asked > 3
    assert len(index.select("all", "doubt", "")) == 6000


def test_doubt_sees_low_scores_odd_shapes_and_empty_masks() -> None:
    usual = {"score": 0.98, "box_xywh": [0, 0, 100, 100], "area_px": 2200}
    assert doubt(usual) == pytest.approx(0.02)
    assert doubt({**usual, "score": 0.6}) == pytest.approx(0.4)
    assert doubt({**usual, "confidence": 0.3}) == pytest.approx(0.7)
    assert doubt({**usual, "area_px": 275}) == pytest.approx(0.5)
    assert doubt({**usual, "area_px": 0}) == pytest.approx(0.5)
    assert doubt({**usual, "mirror_disagreement": 0.6}) == pytest.approx(0.6)
