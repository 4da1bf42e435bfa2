"""The server over real sockets."""

import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.config import Config
from pipeline.server.answers import PhotoAnswer, PhotoRequest
from pipeline.server.app import create_app
from pipeline.server.connection import PatientProtocol
from pipeline.server.guard import Guard
from pipeline.server.pool import WorkerPool
from pipeline.server.running import address, listen, make_server
from tests.server import answerers
from tests.stand_ins import ORDERS


@contextmanager
def serving(
    guard: Guard | None = None, workers: int = 1, folder: Path | None = None, **limits: Any
) -> Iterator[str]:
    """A server in a thread of this process, with stand-in workers that wait for files in a folder."""
    config = Config.model_validate(
        {
            "server": limits,
            "input": {"max_pixels": 100_000},
            "engine": {"cache_directory": None if folder is None else str(folder)},
        }
    )
    pool: WorkerPool[PhotoRequest, PhotoAnswer] = WorkerPool(
        config,
        answerers.obedient,
        workers=workers,
        queue_size=config.server.queue_size,
        time_limit_seconds=config.server.time_limit_seconds,
    )
    listener = listen("127.0.0.1", 0)
    app = create_app(config, pool, guard or Guard())
    server = make_server(app, stop_seconds=5)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until_ready(address(listener))
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def until_ready(url: str) -> None:
    """Wait for all workers; the test's own time limit ends this."""
    while httpx.get(f"{url}/readyz", timeout=60).status_code != 200:
        time.sleep(0.02)


def until(url: str, *lines: str) -> None:
    """Wait for lines of the metrics."""
    while not set(lines) <= set(httpx.get(f"{url}/metrics", timeout=60).text.splitlines()):
        time.sleep(0.01)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as base:
        yield base


def photo(shift: int = 0, order: str | None = None, size_wh: tuple[int, int] = (64, 48)) -> bytes:
    """Bright in its right half, so that the stand-in finds a face there."""
    pixels = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    pixels[:, size_wh[0] // 2 + shift :] = 200
    if order is not None:
        pixels[0, 0] = (250, 5 + ORDERS.index(order), 250)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def decoded(content: bytes) -> NDArray[Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


def ask(url: str, content: bytes, accept: str = "*/*", **more: Any) -> httpx.Response:
    headers = {"Accept": accept, "Content-Type": "image/png", **more.pop("headers", {})}
    return httpx.post(f"{url}/segment", content=content, headers=headers, timeout=60, **more)


def message(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def expected_mask() -> NDArray[np.uint8]:
    mask = np.zeros((48, 64), np.uint8)
    mask[12:36, 32:48] = 255
    return mask


def test_a_mask_is_the_answer_to_who_takes_anything(url: str) -> None:
    answer = ask(url, photo())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert (answer.headers["x-uncrop-status"], answer.headers["x-uncrop-faces"]) == ("ok", "1")
    assert np.array_equal(decoded(answer.content), expected_mask())


@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_raw_bytes_whatever_a_client_calls_them(url: str, media_type: str) -> None:
    answer = ask(url, photo(), headers={"Content-Type": media_type})
    assert np.array_equal(decoded(answer.content), expected_mask())


def test_pictures_by_name(url: str) -> None:
    instances = decoded(ask(url, photo(), params={"output": "instances"}).content)
    assert np.array_equal(instances, expected_mask() // 255)
    cutout = decoded(ask(url, photo(), params={"output": "cutout"}).content)
    assert np.array_equal(cutout[:, :, 3], expected_mask())
    painted = decoded(ask(url, photo(), params={"output": "overlay"}).content)
    assert painted.shape == (48, 64, 3)
    assert ask(url, photo(), params={"output": "painting"}).status_code == 422


def test_a_form_of_any_size_is_held_in_memory(url: str) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (300, 300, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    for content in (photo(), buffer.getvalue() + bytes(2_000_000)):
        answer = httpx.post(f"{url}/segment", files={"file": ("a.png", content, "image/png")}, timeout=60)
        assert answer.status_code == 200, answer.text


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_json_describes_the_faces(url: str) -> None:
    answer = ask(url, photo(), "application/json").json()
    assert (answer["status"], answer["size_wh"], len(answer["faces"])) == ("ok", [64, 48], 1)
    face = answer["faces"][0]
    assert (face["box_xywh"], face["area_px"], face["score"]) == ([16, 12, 32, 24], 24 * 16, 0.75)
    mask = pytest.importorskip("pycocotools.mask").decode(face["segmentation"])
    assert np.array_equal(mask * 255, expected_mask())


def test_a_zip_holds_everything_and_is_the_same_every_time(url: str) -> None:
    first, second = (ask(url, photo(), "application/zip").content for _ in range(2))
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == [
            "faces.json", "mask.png", "instances.png", "overlay.jpg", "cutouts/1.png"
        ]  # fmt: skip
        assert np.array_equal(decoded(archive.read("mask.png")), expected_mask())
        assert json.loads(archive.read("faces.json"))["faces"][0]["number"] == 1
    with zipfile.ZipFile(io.BytesIO(second)) as archive:
        assert archive.read("instances.png") == decoded_free(first, "instances.png")


def decoded_free(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


def test_a_turned_photograph_is_answered_upright(url: str) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, 32:] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    assert decoded(ask(url, buffer.getvalue()).content).shape == (64, 48)


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"", {}, 400, "the body is empty"),
        (b"hello", {}, 415, "no picture of a known format"),
        (photo()[:60], {}, 400, "damaged or truncated"),
        (photo(), {"Content-Type": "text/html"}, 415, "text/html is no photograph"),
        (photo(), {"Content-Type": "multipart/form-data"}, 400, "the form makes no sense"),
        (photo(), {"Accept": "text/html"}, 406, "can be given: image/png"),
        (photo(size_wh=(400, 400)), {}, 413, "more than 100000 pixels"),
        (photo(order="segmentation"), {}, 500, "SegmentationError"),
        (photo(order="raise"), {}, 500, "EngineError"),
    ],
)
def test_what_is_wrong_is_said(
    url: str, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = ask(url, content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert words in message(answer)
    assert "/tmp" not in message(answer)


def test_a_form_without_the_file(url: str) -> None:
    answer = httpx.post(f"{url}/segment", files={"picture": photo()}, timeout=60)
    assert (answer.status_code, message(answer)) == (400, "the form has no file named 'file'")
    two = [("file", photo()), ("file", photo())]
    assert httpx.post(f"{url}/segment", files=two, timeout=60).status_code == 400


def test_no_face_is_an_answer_too(url: str) -> None:
    answer = ask(url, photo(shift=20))
    assert (answer.status_code, answer.headers["x-uncrop-status"]) == (200, "no_face")
    assert not decoded(answer.content).any()


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    with serving(max_body_mb=1) as url:
        assert ask(url, bytes(1_000_001)).status_code == 413

        def endless() -> Iterator[bytes]:
            for _ in range(40):
                yield bytes(100_000)

        try:
            answer = httpx.post(
                f"{url}/segment", content=endless(), headers={"Content-Type": "image/png"}, timeout=60
            )
        except httpx.WriteError:
            return  # refused while it was still being sent
        assert answer.status_code == 413


def test_slow_and_vanishing_clients_cost_nobody_else(url: str) -> None:
    with serving(body_limit_seconds=3) as url:
        host, port = url.removeprefix("http://").split(":")
        head = (
            f"POST /segment HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Content-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
        )
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(head.encode() + b"\x89PNG")
            assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]
        with socket.create_connection((host, int(port)), timeout=60) as gone:
            gone.sendall(head.encode() + b"\x89PNG")
        assert ask(url, photo()).status_code == 200


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def head_of(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()


def next_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes next on a connection."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, file.read(length)


@pytest.mark.parametrize("kind", ["Content-Type: image/png", "Content-Type: text/html"])
def test_a_body_that_was_refused_unread_is_not_taken_for_the_next_request(kind: str) -> None:
    hidden = head_of("GET", "/nothing-of-the-kind")
    body = hidden * (1_500_000 // len(hidden))
    with serving(max_body_mb=1) as url, connected(url) as connection:
        connection.sendall(head_of("POST", "/segment", kind, f"Content-Length: {len(body)}"))
        assert next_answer(connection)[0] in (413, 415)
        connection.sendall(body)
        connection.sendall(head_of("GET", "/healthz"))
        assert next_answer(connection) == (200, b'{"status":"alive"}')


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [b"", b"POST /segment HTTP/1.1\r\nHost: 127", head_of("GET", "/healthz") + b"GET /"]
)
def test_who_never_finishes_asking_is_let_go(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 3)
    with serving() as url, connected(url) as connection:
        connection.sendall(start)
        if start.startswith(b"GET"):
            assert next_answer(connection)[0] == 200
        assert connection.recv(1000) == b""
        assert ask(url, photo()).status_code == 200


def test_an_answer_may_take_longer_than_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 3)
    with serving(folder=tmp_path) as url, connected(url) as idle, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, url, photo(order="wait"))
        until(url, "uncrop_workers_busy 1.0")
        with connected(url) as late:  # it came after the question, and is let go before the answer
            assert (idle.recv(1), late.recv(1)) == (b"", b"")
        (tmp_path / "go on").touch()
        assert answer.result().status_code == 200


def test_a_refused_body_without_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 3)
    with serving() as url, connected(url) as connection:
        head = head_of("POST", "/segment", "Content-Type: text/html", "Transfer-Encoding: chunked")
        connection.sendall(head)
        assert next_answer(connection)[0] == 415
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            while True:
                connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")


def test_many_bodies_at_once_do_not_take_all_memory() -> None:
    with serving(max_body_mb=1, queue_size=1) as url:  # so two million bytes may be on their way
        waiting = [connected(url) for _ in range(3)]
        head = head_of("POST", "/segment", "Content-Type: image/png", "Content-Length: 1000000")
        for connection in waiting:
            connection.sendall(head + bytes(900_000))
        with ThreadPoolExecutor(3) as threads:
            first = next(as_completed([threads.submit(next_answer, one) for one in waiting]))
            assert first.result()[0] == 503
            for connection in waiting:
                with suppress(OSError):  # the one that was refused
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        assert ask(url, photo()).status_code == 200


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with serving(folder=tmp_path, queue_size=1) as url, ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(ask, url, photo(order="wait")) for _ in range(2)]
        until(url, "uncrop_workers_busy 1.0", "uncrop_queue_depth 1.0")
        refused = ask(url, photo())
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        (tmp_path / "go on").touch()
        assert [answer.result().status_code for answer in waiting] == [200, 200]


def test_a_crash_costs_one_request() -> None:
    with serving() as url:
        crashed = ask(url, photo(order="crash"))
        assert (crashed.status_code, "SIGSEGV" in message(crashed)) == (500, True)
        assert ask(url, photo()).status_code == 200
        until(url, "uncrop_workers_lost 2.0")


def test_a_hang_costs_one_request() -> None:
    with serving(time_limit_seconds=5) as url:
        assert ask(url, photo(order="hang")).status_code == 504
        until(url, "uncrop_workers_lost 1.0")
        until_ready(url)
        assert ask(url, photo()).status_code == 200


def test_health_metrics_and_the_page(url: str) -> None:
    assert httpx.get(f"{url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{url}/readyz").json() == {"workers_ready": 1, "workers": 1}
    ask(url, photo())
    metrics = httpx.get(f"{url}/metrics").text
    for line in (
        'uncrop_requests_total{code="200",route="/segment"}',
        "uncrop_request_duration_seconds_bucket",
        "uncrop_queue_depth 0.0",
        "uncrop_faces_total",
        'uncrop_photographs_total{status="ok"}',
    ):
        assert line in metrics
    page = httpx.get(f"{url}/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("drop.js", "rle.js", "base.css", "drop.css", "icon.svg"):
        assert httpx.get(f"{url}/static/{name}").status_code == 200
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/docs", "/nothing"):
        assert httpx.get(f"{url}{path}").status_code == 404
    assert httpx.get(f"{url}/segment").status_code == 405


def test_strangers_are_refused(url: str) -> None:
    assert ask(url, photo(), headers={"Host": "evil.example"}).status_code == 403
    assert ask(url, photo(), headers={"Origin": "https://evil.example"}).status_code == 403
    assert "access-control-allow-origin" not in ask(url, photo()).headers
    with serving(Guard(token="secret", origins=["https://friend.example"])) as guarded:
        assert ask(guarded, photo()).status_code == 401
        assert httpx.get(f"{guarded}/metrics").status_code == 401
        assert httpx.get(f"{guarded}/").status_code == 200
        welcome = {"Authorization": "Bearer secret", "Origin": "https://friend.example"}
        answer = ask(guarded, photo(), headers=welcome)
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        assert answer.status_code == 200


def test_nothing_is_written(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ask(url, photo() + bytes(3_000_000))
    httpx.post(f"{url}/segment", files={"file": photo() + bytes(3_000_000)}, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_its_own_description_names_every_answer(url: str) -> None:
    description = httpx.get(f"{url}/openapi.json").json()
    responses = description["paths"]["/segment"]["post"]["responses"]
    assert {"200", "400", "401", "403", "406", "408", "413", "415", "422", "500", "503", "504"} <= set(
        responses
    )
