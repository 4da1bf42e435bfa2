"""Networks by name, fetched from a server on this machine; never from the internet."""

from __future__ import annotations

import http.server
import io
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cli, shipped
from pipeline.caffe_format.deploy import read_deploy
from pipeline.caffe_format.fcn8s import fcn8s_prototxt, random_fcn8s
from pipeline.caffe_format.writer import write_caffe
from pipeline.config import NetworkConfig
from pipeline.errors import ModelFormatError, ModelMissingError
from pipeline.files import sha256_of
from pipeline.models import downloads
from pipeline.models.catalogue import (
    ModelFiles,
    installed,
    known_models,
    resolve_model,
)
from pipeline.models.downloads import unpack
from pipeline.models.install import add, fetch
from pipeline.models.places import ModelPlaces

ROOT = Path(__file__).resolve().parents[2]


def at(directory: Path) -> ModelPlaces:
    """A models folder with what was fetched below it."""
    return ModelPlaces(directory, directory / "downloads")


class Server(http.server.ThreadingHTTPServer):
    """Serves one archive; counts what it sends and can be made to misbehave."""

    body = b""
    etag: str | None = '"one"'
    cut_after: int | None = None
    status: int | None = None
    ignore_ranges = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/releases/small.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        if server.status is not None:
            self.send_error(server.status)
            return
        start = 0
        fits = server.etag is None or self.headers.get("If-Range") in (None, server.etag)
        if wanted is not None and fits and not server.ignore_ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        else:
            self.send_response(200)
        if server.etag is not None:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        end = len(server.body)
        if server.cut_after is not None:
            end, server.cut_after = start + server.cut_after, None
        self.wfile.write(server.body[start:end])

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("network")
    paths = folder / "small_deploy.prototxt", folder / "small.caffemodel"
    write_caffe(random_fcn8s(2, (60, 60), width_divisor=32, seed=5), *paths)
    return paths


@pytest.fixture(scope="session")
def archive(network: tuple[Path, Path]) -> bytes:
    return zipped({f"face_seg/{path.name}": path.read_bytes() for path in network})


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return buffer.getvalue()


def entry(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "title": "a small network",
        "prototxt": "small.prototxt",
        "caffemodel": None,
        "url": None,
        "archive_bytes": None,
        "archive_sha256": None,
        "prototxt_sha256": None,
        "caffemodel_sha256": None,
        "caffemodel_bytes": None,
        "classes": 2,
        "face_channel": 1,
        "licence": "for tests only",
    }
    return values | changes


@pytest.fixture
def directory(tmp_path: Path, server: Server, archive: bytes, network: tuple[Path, Path]) -> Path:
    """A models folder that knows one network, `small`, on the server."""
    server.body = archive
    (tmp_path / "small.prototxt").write_bytes(network[0].read_bytes())
    know(tmp_path, small=entry(url=server.url))
    return tmp_path


@pytest.fixture
def models(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], int]:
    """The command, for that folder and a user of our own."""
    monkeypatch.setattr(shipped, "MODELS", directory)
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "user"))
    return lambda words: cli.main(["models", *words])


def know(directory: Path, **entries: dict[str, Any]) -> None:
    (directory / "models.yaml").write_text(yaml.safe_dump({"models": entries}), encoding="utf-8")


def resolve(name: str, directory: Path, weights: str | None = None) -> ModelFiles:
    return resolve_model(NetworkConfig(model=name, weights=weights), places=at(directory))


def test_fetch_then_resolve(directory: Path, network: tuple[Path, Path]) -> None:
    with pytest.raises(ModelMissingError, match=r"Run `python -m pipeline models fetch small`"):
        resolve("small", directory)
    fetched = fetch("small", places=at(directory))
    assert resolve("small", directory) == fetched
    assert fetched.prototxt.read_bytes() == network[0].read_bytes()
    assert fetched.caffemodel.read_bytes() == network[1].read_bytes()
    assert fetched.caffemodel_sha256 == sha256_of(network[1])
    assert (fetched.name, fetched.licence, fetched.face_channel) == ("small", "for tests only", 1)
    assert sorted(path.name for path in fetched.caffemodel.parent.iterdir()) == [
        "model.json",
        "small.caffemodel",
        "small.prototxt",
    ]


def test_a_second_fetch_downloads_nothing(directory: Path, server: Server) -> None:
    fetch("small", places=at(directory))
    server.ranges.clear()
    fetch("small", places=at(directory))
    assert server.ranges == []


def test_a_broken_connection_is_resumed(directory: Path, server: Server, archive: bytes) -> None:
    server.cut_after = 1000
    fetched = fetch("small", places=at(directory))
    assert server.ranges == [None, "bytes=1000-"]
    assert fetched.caffemodel.is_file()


def test_an_interrupted_fetch_is_resumed_by_the_next(
    directory: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cut_after = 700
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "ATTEMPTS", 1)
        with pytest.raises(ModelMissingError, match=r"small.zip"):
            fetch("small", places=at(directory))
    part = directory / "downloads" / "small" / "small.zip.part"
    assert part.stat().st_size == 700
    fetch("small", places=at(directory))
    assert server.ranges == [None, "bytes=700-"]
    assert not part.exists()


def test_a_part_that_is_whole_is_taken(directory: Path, server: Server, archive: bytes) -> None:
    folder = directory / "downloads" / "small"
    folder.mkdir(parents=True)
    (folder / "small.zip.part").write_bytes(archive)
    notes = {"validator": server.etag, "total_bytes": len(archive)}
    (folder / "small.zip.part.json").write_text(json.dumps(notes))
    assert fetch("small", places=at(directory)).caffemodel.is_file()
    assert server.ranges == [f"bytes={len(archive)}-"]


@pytest.mark.parametrize("etag", ['"two"', None])
def test_halves_of_two_versions_are_never_joined(
    etag: str | None, directory: Path, server: Server, archive: bytes
) -> None:
    folder = directory / "downloads" / "small"
    folder.mkdir(parents=True)
    (folder / "small.zip.part").write_bytes(b"the old version, " * 50)
    old = {"validator": '"one"' if etag else None, "total_bytes": 5000}
    (folder / "small.zip.part.json").write_text(json.dumps(old))
    server.etag = etag
    assert fetch("small", places=at(directory)).caffemodel.is_file()


def test_a_server_without_ranges(directory: Path, server: Server) -> None:
    server.cut_after = 1000
    server.ignore_ranges = True
    assert fetch("small", places=at(directory)).caffemodel.is_file()


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_of_the_server_says_what_to_do_by_hand(status: int, directory: Path, server: Server) -> None:
    server.status = status
    with pytest.raises(ModelMissingError) as caught:
        fetch("small", places=at(directory))
    message = str(caught.value)
    assert f"the server answered {status}" in message
    assert f"download {server.url} elsewhere" in message
    assert str(directory / "downloads" / "small" / "small.zip") in message
    assert "python -m pipeline models add small DEPLOY.prototxt WEIGHTS.caffemodel" in message
    assert len(server.ranges) == (1 if status == 404 else downloads.ATTEMPTS)


def test_offline(directory: Path, archive: bytes) -> None:
    know(directory, small=entry(url="http://127.0.0.1:9/small.zip"))
    with pytest.raises(ModelMissingError, match=r"Connection refused[\s\S]*Without a network"):
        fetch("small", places=at(directory))
    (directory / "downloads" / "small" / "small.zip").write_bytes(archive)
    assert fetch("small", places=at(directory)).caffemodel.is_file()


def test_wrong_checksum_of_the_archive(directory: Path, server: Server, archive: bytes) -> None:
    know(directory, small=entry(url=server.url, archive_sha256="0" * 64))
    with pytest.raises(ModelFormatError, match=r"expected 0{64}; it was deleted"):
        fetch("small", places=at(directory))
    assert not (directory / "downloads" / "small" / "small.zip").exists()
    know(directory, small=entry(url=server.url, archive_bytes=len(archive) + 1))
    with pytest.raises(ModelFormatError, match=f"expected {len(archive) + 1} bytes"):
        fetch("small", places=at(directory))


def test_the_first_fetch_decides_what_later_ones_must_give(
    directory: Path, server: Server, network: tuple[Path, Path]
) -> None:
    fetched = fetch("small", places=at(directory))
    fetched.caffemodel.unlink()
    with pytest.raises(ModelMissingError, match="fetch small"):
        resolve("small", directory)
    server.body = zipped({path.name: path.read_bytes() for path in network})
    with pytest.raises(ModelFormatError, match=r"small\.zip: has SHA-256"):
        fetch("small", places=at(directory))


@pytest.mark.parametrize("suffix", ["prototxt", "caffemodel"])
def test_damage_is_found_by_every_later_run(suffix: str, directory: Path) -> None:
    fetch("small", places=at(directory))
    path = directory / "downloads" / "small" / f"small.{suffix}"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ModelFormatError, match=f"small.{suffix}: is damaged.*fetch small"):
        resolve("small", directory)
    assert fetch("small", places=at(directory)) == resolve("small", directory)


def test_weights_without_a_deploy_file_take_the_shipped_one(
    directory: Path, server: Server, network: tuple[Path, Path]
) -> None:
    server.body = zipped({"small.caffemodel": network[1].read_bytes()})
    fetched = fetch("small", places=at(directory))
    assert fetched.prototxt.read_bytes() == (directory / "small.prototxt").read_bytes()


@pytest.mark.parametrize("count", [0, 2])
def test_an_archive_needs_one_caffemodel(count: int, directory: Path, server: Server) -> None:
    server.body = zipped({f"{number}.caffemodel": b"x" for number in range(count)} | {"readme": b""})
    with pytest.raises(ModelFormatError, match=r"should hold one .caffemodel"):
        fetch("small", places=at(directory))


def test_cut_off_weights(directory: Path, server: Server, network: tuple[Path, Path]) -> None:
    size = network[1].stat().st_size
    know(directory, small=entry(url=server.url, caffemodel_bytes=size + 1))
    with pytest.raises(ModelFormatError, match=f"is cut off: {size} bytes"):
        add("small", *network, places=at(directory))


def test_weights_of_another_number_of_classes(
    directory: Path, server: Server, network: tuple[Path, Path]
) -> None:
    know(directory, small=entry(url=server.url, classes=21))
    with pytest.raises(ModelFormatError, match="scores 2 classes, small has 21"):
        add("small", *network, places=at(directory))


def test_add_verify_and_list(
    directory: Path,
    models: Callable[[list[str]], int],
    network: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert models(["add", "mine", *map(str, network)]) == 0
    fetched = directory / "user" / "uncrop" / "models" / "mine"
    assert resolve_model(NetworkConfig(model="mine")).caffemodel == fetched / "mine.caffemodel"
    assert (fetched / "mine.caffemodel").read_bytes() == network[1].read_bytes()
    assert models(["verify"]) == 0
    assert "mine: ok" in capsys.readouterr().out
    assert models(["list"]) == 0
    listed = capsys.readouterr().out
    assert "small  (not here; python -m pipeline models fetch small)" in listed
    assert "mine  (here)" in listed
    assert "licence: for tests only" in listed
    (fetched / "mine.caffemodel").write_bytes(b"")
    assert models(["verify", "mine"]) == 2
    assert "is damaged" in capsys.readouterr().out


def test_fetch_shows_the_licence_first(
    models: Callable[[list[str]], int], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 404
    assert models(["fetch", "small"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "small: a small network\nLicence: for tests only\n"
    assert "the server answered 404" in captured.err


@pytest.mark.parametrize("name", ["../escape", "", ".hidden", "a/b"])
def test_names_stay_in_the_folder(name: str, directory: Path, network: tuple[Path, Path]) -> None:
    with pytest.raises(ModelFormatError, match="is not a name"):
        add(name, *network, places=at(directory))


def test_unknown_name(directory: Path) -> None:
    with pytest.raises(ModelMissingError, match="Did you mean 'small'"):
        resolve("smal", directory)
    with pytest.raises(ModelMissingError, match=r"Known: small; or give the path of a \.prototxt"):
        resolve("../x", directory)


def test_a_path(directory: Path, network: tuple[Path, Path], tmp_path: Path) -> None:
    prototxt, caffemodel = network
    with pytest.raises(ModelMissingError, match=r"small_deploy.caffemodel: no such file.*network.weights"):
        resolve(str(prototxt), directory)
    found = resolve(str(prototxt), directory, weights=str(caffemodel))
    assert (found.name, found.prototxt, found.caffemodel) == ("small_deploy", prototxt, caffemodel)
    with pytest.raises(ModelMissingError, match=r"none.prototxt: no such file"):
        resolve(str(tmp_path / "none.prototxt"), directory)


def test_own_weights_for_a_known_network(directory: Path, network: tuple[Path, Path]) -> None:
    found = resolve("small", directory, weights=str(network[1]))
    assert (found.prototxt, found.caffemodel) == (directory / "small.prototxt", network[1])


def test_embedded_network(directory: Path, network: tuple[Path, Path]) -> None:
    (directory / "small.caffemodel").write_bytes(network[1].read_bytes())
    know(directory, small=entry(caffemodel="small.caffemodel", caffemodel_sha256=sha256_of(network[1])))
    assert resolve("small", directory).caffemodel == directory / "small.caffemodel"
    assert fetch("small", places=at(directory)) == resolve("small", directory)
    (directory / "small.caffemodel").write_bytes(b"other")
    with pytest.raises(ModelFormatError, match="is damaged or another file"):
        resolve("small", directory)
    (directory / "small.caffemodel").unlink()
    with pytest.raises(ModelMissingError, match="It is part of the program"):
        resolve("small", directory)


@pytest.mark.parametrize("text", ["", "models: [1]", "models: {a: {title: x}}", "models: {", "- x"])
def test_damaged_list(text: str, tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(ModelFormatError, match="is not a list of models"):
        known_models(at(tmp_path))


def test_shipped_list() -> None:
    entries = known_models()
    assert list(entries) == ["uncrop_256", "fcn8s_500", "fcn8s_300"]
    for name, classes, size in (("fcn8s_500", 21, 500), ("fcn8s_300", 2, 300)):
        assert entries[name].classes == classes
        text = (shipped.MODELS / entries[name].prototxt).read_text(encoding="utf-8")
        assert text == fcn8s_prototxt(classes, (size, size))
        assert read_deploy(shipped.MODELS / entries[name].prototxt).layers[0].params["shape"] == (
            (1, 3, size, size),
        )


@pytest.mark.parametrize(
    "name",
    ["../escape", "/absolute", "a/../../escape", "..\\escape", "C:escape", "a/..", "C:/escape"],
)
def test_no_path_leaves_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "evil.zip").write_bytes(zipped({"good": b"1", name: b"2"}))
    with pytest.raises(ModelFormatError, match="a path that leaves the folder"):
        unpack(tmp_path / "evil.zip", tmp_path / "here" / "files")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["evil.zip", "here"]


def test_no_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        opened.writestr(link, os.fspath(tmp_path))
    with pytest.raises(ModelFormatError, match="'link', which is a link"):
        unpack(tmp_path / "evil.zip", tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_no_bombs(tmp_path: Path) -> None:
    (tmp_path / "bomb.zip").write_bytes(zipped({"a": bytes(60_000), "b": bytes(60_000)}))
    with pytest.raises(ModelFormatError, match="unpacks to more than 100000 bytes"):
        unpack(tmp_path / "bomb.zip", tmp_path / "files", max_bytes=100_000)
    unpack(tmp_path / "bomb.zip", tmp_path / "files", max_bytes=120_000)
    many = {str(number): b"" for number in range(downloads.MAX_ARCHIVE_FILES + 1)}
    (tmp_path / "many.zip").write_bytes(zipped(many))
    with pytest.raises(ModelFormatError, match="holds 1001 files"):
        unpack(tmp_path / "many.zip", tmp_path / "others")


@pytest.mark.parametrize("twin", ["name", "./Name"])
def test_no_twins(twin: str, tmp_path: Path) -> None:
    (tmp_path / "twins.zip").write_bytes(zipped({"Name": b"1", twin: b"2"}))
    with pytest.raises(ModelFormatError, match=f"'{twin}' twice"):
        unpack(tmp_path / "twins.zip", tmp_path / "files")


def test_no_file_that_is_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "odd.zip").write_bytes(zipped({"name": b"1", "name/below": b"2"}))
    with pytest.raises(ModelFormatError, match="not a whole zip archive"):
        unpack(tmp_path / "odd.zip", tmp_path / "files")


def test_an_unreadable_record_is_made_anew(directory: Path, server: Server, archive: bytes) -> None:
    server.body = archive
    fetched = fetch("small", places=at(directory))
    record = fetched.caffemodel.with_name("model.json")
    record.write_text(record.read_text(encoding="utf-8")[:20], encoding="utf-8")
    assert fetch("small", places=at(directory)).caffemodel_sha256 == fetched.caffemodel_sha256


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused_and_fetched_anew(
    share: float, directory: Path, server: Server, archive: bytes
) -> None:
    server.body = archive[: int(len(archive) * share)] or b"<html>"
    with pytest.raises(ModelFormatError, match="is not a whole zip archive"):
        fetch("small", places=at(directory))
    server.body, server.etag = archive, '"new"'
    assert fetch("small", places=at(directory)).caffemodel.is_file()


def test_a_flipped_bit_is_found(tmp_path: Path, archive: bytes) -> None:
    middle = len(archive) // 2
    (tmp_path / "flipped.zip").write_bytes(
        archive[:middle] + bytes([archive[middle] ^ 4]) + archive[middle + 1 :]
    )
    with pytest.raises(ModelFormatError):
        unpack(tmp_path / "flipped.zip", tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_ctrl_c_keeps_what_has_arrived(
    models: Callable[[list[str]], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.models.install.download", interrupted)
    assert models(["fetch", "small"]) == 130
    assert "what has arrived is kept" in capsys.readouterr().err


def test_what_an_earlier_version_fetched_into_the_checkout_is_still_found(
    directory: Path, server: Server, network: tuple[Path, Path]
) -> None:
    earlier = fetch("small", places=at(directory))
    server.ranges.clear()
    places = ModelPlaces(directory, directory / "user", (directory / "downloads",))
    assert resolve_model(NetworkConfig(model="small"), places=places) == earlier
    assert fetch("small", places=places) == earlier
    assert installed(places) == ["small"]
    assert server.ranges == []
    earlier.caffemodel.write_bytes(b"damaged")
    again = fetch("small", places=places)
    assert again.caffemodel == directory / "user" / "small" / "small.caffemodel"
    assert resolve_model(NetworkConfig(model="small"), places=places) == again
    assert earlier.caffemodel.read_bytes() == b"damaged"


@pytest.mark.parametrize("command", [["pipeline.models"], ["pipeline", "models"]])
def test_module_runs(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "list"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "uncrop_256  (here)" in done.stdout
