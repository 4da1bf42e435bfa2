"""The review page in a real browser: what people click, draw and type, and what is on the disk afterwards."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from pipeline.corrections.layer import Corrections
from pipeline.manifest.journal import read_manifest
from pipeline.server.guard import Guard
from tests.server.test_app import photo, serving
from tests.server.test_review import clip_record, clip_run, made_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install Debian's package chromium to run these"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=60_000)  # a busy machine is slow, and that is no fault of the page
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET), timeout=120_000)
        yield started
        started.close()


@contextmanager
def command(output: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``uncrop review`` as a process of its own; gives the address that it printed."""
    words = [sys.executable, "-m", "pipeline", "review", str(output), "--no-browser", "--who", "eve", *more]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        assert found, line
        yield found.group(0), process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@contextmanager
def opened(
    browser: Browser,
    url: str,
    width: int = 1280,
    height: int = 800,
    ready: str = "#counts:has-text('judged'):not(:has-text('still reading'))",
    **more: Any,
) -> Iterator[Page]:
    """The page in a fresh tab; no error in its console but of refusals, and no request to anywhere else."""
    context = browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(60_000)
    page = context.new_page()
    wrong: list[str] = []
    own = url.partition("/?")[0]

    def on_request(request: Any) -> None:
        if not request.url.startswith((f"{own}/", "blob:", "data:")):
            wrong.append(request.url)

    page.on("request", on_request)
    page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    expect(page.locator(ready)).to_be_visible()
    try:
        yield page
        assert [line for line in wrong if not re.search(r"status of (401|409|415) ", line)] == []
    finally:
        context.close()


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return made_run(tmp_path)


def open_photo(page: Page, name: str) -> None:
    page.locator(f".tile[title='{name}']").click()
    expect(page.locator("#name")).to_have_text(name)
    # What is drawn before is not taken.
    expect(page.locator("#stage")).to_have_attribute("aria-busy", "false")


def corrected(output: Path, name: str) -> NDArray[Any] | None:
    corrections = Corrections(output)
    record = next(record for record in read_manifest(output) if record["name"] == name)
    correction = corrections.review(record).correction
    return None if correction is None else corrections.instances(correction)


def verdict(output: Path, name: str) -> str | None:
    record = next(record for record in read_manifest(output) if record["name"] == name)
    return Corrections(output).review(record).verdict


class Stage:
    """Places of the photograph on the screen."""

    def __init__(self, page: Page) -> None:
        self._page = page
        expect(page.locator("#stage")).to_have_attribute("aria-busy", "false")
        box = page.locator("#stage").bounding_box()
        assert box is not None
        transform = page.locator("#sheet").evaluate("element => element.style.transform")
        x, y, scale = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", transform))
        self.corner = (box["x"] + x, box["y"] + y)
        self.scale = scale

    def photo(self, screen: tuple[float, float]) -> tuple[float, float]:
        return (screen[0] - self.corner[0]) / self.scale, (screen[1] - self.corner[1]) / self.scale

    def screen(self, photo: tuple[float, float]) -> tuple[int, int]:
        return (
            round(self.corner[0] + photo[0] * self.scale),
            round(self.corner[1] + photo[1] * self.scale),
        )

    def draw(self, *photo: tuple[float, float]) -> list[tuple[float, float]]:
        """Draw through places of the photograph; gives where the pointer really was."""
        places = [self.screen(point) for point in photo]
        self._page.mouse.move(*places[0])
        self._page.mouse.down()
        for place in places[1:]:
            self._page.mouse.move(*place)
        self._page.mouse.up()
        return [self.photo(place) for place in places]


def stroke(shape: tuple[int, ...], points: list[tuple[float, float]], diameter: float) -> NDArray[np.bool_]:
    """Pixels whose centre lies within the brush on its way."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        along = np.clip(((columns - x0) * dx + (rows - y0) * dy) / length, 0, 1) if length else 0
        inside |= (columns - x0 - along * dx) ** 2 + (rows - y0 - along * dy) ** 2 <= (diameter / 2) ** 2
    return inside


def test_look_judge_and_find_it_again(browser: Browser, output: Path) -> None:
    with command(output) as (url, _):
        with opened(browser, url) as page:
            expect(page.locator(".tile")).to_have_count(6)
            page.select_option("#filter", "no_face")
            expect(page.locator("#counts")).to_contain_text("3 shown")
            page.select_option("#filter", "all")
            expect(page.locator("#counts")).to_contain_text("6 shown")
            open_photo(page, "in/1.png")
            page.keyboard.press("a")
            expect(page.locator("#name")).to_have_text("in/2.png")
            expect(page.locator("#counts")).to_contain_text("1 of 6 judged")
            page.keyboard.press("r")
            expect(page.locator("#name")).to_have_text("in/3.png")
            page.keyboard.press("r")
            expect(page.locator("#name")).to_have_text("in/4.png")
            page.keyboard.press("u")
            expect(page.locator("#name")).to_have_text("in/3.png")
            expect(page.locator("#counts")).to_contain_text("2 of 6 judged")
            page.keyboard.press("Escape")
            page.fill("#search", "2.png")
            expect(page.locator("#counts")).to_contain_text("1 shown")
            expect(page.locator(".tile .reject")).to_have_count(1)
        with opened(browser, url) as page:
            page.select_option("#filter", "accepted")
            expect(page.locator(".tile")).to_have_attribute("title", "in/1.png")
    found = {record["name"]: verdict(output, record["name"]) for record in read_manifest(output)}
    assert [found[f"in/{index}.png"] for index in range(6)] == [None, "accept", "reject", None, None, None]
    assert Corrections(output).history("in/1.png")[0].who == "eve"


def test_a_stroke_is_saved_to_the_pixel_and_undone(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/2.png")
        page.locator("#size").fill("6")
        stage = Stage(page)
        first = stroke((40, 48), stage.draw((10, 8), (30, 12), (30, 30)), 6)
        page.keyboard.press("s")
        expect(page.locator("#message")).to_have_text("saved")
        saved = corrected(output, "in/2.png")
        assert saved is not None
        assert np.array_equal(saved > 0, first)
        page.keyboard.press("e")
        second = stroke((40, 48), stage.draw((28, 20), (34, 20)), 6)
        page.keyboard.press("s")
        expect(page.locator("#save")).to_be_disabled()
        saved = corrected(output, "in/2.png")
        assert saved is not None
        assert np.array_equal(saved > 0, first & ~second)
        page.keyboard.press("b")
        page.keyboard.down("Alt")
        third = stroke((40, 48), stage.draw((10, 8), (12, 8)), 6)
        page.keyboard.up("Alt")
        page.keyboard.press("z")
        page.keyboard.press("z")
        expect(page.locator("#save")).to_be_enabled()
        page.keyboard.press("a")
        expect(page.locator("#name")).to_have_text("in/3.png")
        saved = corrected(output, "in/2.png")
        assert saved is not None
        assert third.any()
        assert np.array_equal(saved > 0, first)
        assert verdict(output, "in/2.png") == "accept"
        page.reload()
        expect(page.locator("#counts")).to_contain_text("1 of 6 judged")
        page.select_option("#filter", "corrected")
        open_photo(page, "in/2.png")
        asked: list[str] = []

        def answer(dialog: Dialog) -> None:
            asked.append(dialog.message)
            (dialog.accept if len(asked) > 1 else dialog.dismiss)()

        page.on("dialog", answer)
        with page.expect_event("dialog"):
            page.locator("#revert").click()
        assert "what was drawn and saved here, and its verdict?" in asked[0]
        kept = corrected(output, "in/2.png")
        assert kept is not None
        assert np.array_equal(kept, saved)
        with page.expect_event("dialog"):
            page.locator("#revert").click()
        expect(page.locator("#facts")).not_to_contain_text("corrected")
        assert corrected(output, "in/2.png") is None
        page.locator("#revert").click()
        expect(page.locator("#message")).to_have_text("nothing is drawn here")
        assert len(asked) == 2


def test_holes_smoothing_numbers_and_removal(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/2.png")
        page.locator("#size").fill("3")
        stage = Stage(page)
        stage.draw((10, 10), (30, 10), (30, 30), (10, 30), (10, 10))
        page.keyboard.press("f")
        page.keyboard.press("m")
        page.once("dialog", lambda dialog: dialog.accept("300"))
        page.keyboard.press("i")
        expect(page.locator("#faces [aria-checked=true]")).to_have_text("300")
        page.keyboard.press("s")
        expect(page.locator("#message")).to_have_text("saved")
        saved = corrected(output, "in/2.png")
        assert saved is not None
        assert set(np.unique(saved)) == {0, 300}
        assert (saved[12:29, 12:29] == 300).all()
        page.keyboard.press("x")
        page.keyboard.press("s")
        expect(page.locator("#save")).to_be_disabled()
        saved = corrected(output, "in/2.png")
        assert saved is not None
        assert not saved.any()


def test_superpixels_and_a_copy_of_the_one_before(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/1.png")
        page.locator("#size").fill("8")
        Stage(page).draw((5, 5), (20, 5))
        page.keyboard.press("p")
        with page.expect_response("**/superpixels**"):
            page.mouse.click(*Stage(page).screen((24, 20)))
        page.keyboard.press("ArrowRight")
        expect(page.locator("#name")).to_have_text("in/2.png")
        page.keyboard.press("c")
        expect(page.locator("#save")).to_be_enabled()
        page.keyboard.press("s")
        expect(page.locator("#message")).to_have_text("saved")
        one, two = corrected(output, "in/1.png"), corrected(output, "in/2.png")
        assert one is not None
        assert two is not None
        assert np.array_equal(one, two)


def test_what_cannot_be_shown_is_passed_and_judged(browser: Browser, output: Path) -> None:
    Path("in/2.png").unlink()
    record = clip_record(output)
    with (output / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    with command(output) as (url, _), opened(browser, url) as page:
        expect(page.locator(".tile[title='in/walk.mp4']")).to_contain_text("clip · walk.mp4")
        open_photo(page, "in/1.png")
        page.keyboard.press("a")
        expect(page.locator("#name")).to_have_text("in/2.png")
        expect(page.locator("#message")).to_contain_text("in/2.png")
        expect(page.locator("#drawing")).to_be_hidden()
        for key in ("b", "z", "f", "x", "c", "i", "s", "0", "+", "o", "l", "1"):  # none of it breaks the page
            page.keyboard.press(key)
        page.keyboard.press("r")
        expect(page.locator("#name")).to_have_text("in/3.png")
        expect(page.locator("#drawing")).to_be_visible()
        page.keyboard.press("Escape")
        open_photo(page, "in/walk.mp4")
        expect(page.locator("#message")).to_contain_text("A clip of 10 frames")
        page.keyboard.press("a")
        expect(page.locator("#facts")).to_contain_text("accepted")
    assert [verdict(output, f"in/{name}") for name in ("1.png", "2.png", "walk.mp4")] == [
        "accept", "reject", "accept"
    ]  # fmt: skip


def test_frames_of_a_clip_are_looked_at_and_not_drawn_on(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    masked = """one => {
        const copy = new OffscreenCanvas(320, 240).getContext("2d");
        copy.drawImage(one, 0, 0);
        return [...copy.getImageData(0, 0, 320, 240).data].filter((value, i) => i % 4 == 3 && value).length;
    }"""
    hidden = "element => element.scrollHeight - element.clientHeight"
    with command(clip_run(tmp_path)) as (url, _), opened(browser, url, width=390, height=844) as page:
        open_photo(page, "in/walk.mp4")
        expect(page.locator("#frame-number")).to_have_text("1 of 6")
        expect(page.locator("#photo")).to_have_attribute("alt", "in/walk.mp4, frame 1")
        expect(page.locator("#drawing")).to_be_hidden()
        assert page.locator("#masks").evaluate(masked) > 500
        assert page.locator("#message").evaluate(hidden) <= 0  # all of its words are to be seen
        before = Stage(page)
        page.mouse.wheel(0, -200)
        before.draw((100, 100), (140, 120))  # moves the picture
        page.locator("#frame").fill("4")
        expect(page.locator("#photo")).to_have_attribute("alt", "in/walk.mp4, frame 5")
        page.keyboard.press(".")
        expect(page.locator("#photo")).to_have_attribute("alt", "in/walk.mp4, frame 6")
        page.keyboard.press(".")
        expect(page.locator("#frame-number")).to_have_text("6 of 6")
        moved = Stage(page)
        assert moved.corner != before.corner  # and there it stays, whatever the frame
        page.locator("#opacity").fill("0")
        page.locator("#outlines").uncheck()
        assert page.locator("#masks").evaluate(masked) == 0
        page.keyboard.press("a")
        expect(page.locator("#facts")).to_contain_text("accepted")
    assert verdict(tmp_path / "out", "in/walk.mp4") == "accept"


def test_a_verdict_is_taken_back_where_it_was_given(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/1.png")
        page.keyboard.press("a")
        expect(page.locator("#name")).to_have_text("in/2.png")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("r")
        expect(page.locator("#name")).to_have_text("in/2.png")
        page.keyboard.press("Escape")
        page.select_option("#filter", "unseen")
        expect(page.locator("#counts")).to_contain_text("5 shown")
        page.locator("#wall").focus()
        page.keyboard.press("u")
        expect(page.locator("#notice")).to_have_text("in/1.png: verdict taken back")
        assert verdict(output, "in/1.png") == "accept"  # what it was before
        page.keyboard.press("u")
        expect(page.locator("#counts")).to_contain_text("0 of 6 judged")
    history = Corrections(output).history("in/1.png")
    assert [line.verdict for line in history] == ["accept", "reject", "accept", "reset"]
    assert all(Corrections(output).history(f"in/{index}.png") == [] for index in (0, 2, 3, 4, 5))


def test_keys_in_the_middle_of_a_stroke_lose_nothing(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/2.png")
        page.locator("#size").fill("4")
        stage = Stage(page)
        page.mouse.move(*stage.screen((10, 10)))
        page.mouse.down()
        page.mouse.move(*stage.screen((20, 10)))
        page.keyboard.press("f")
        page.mouse.move(*stage.screen((20, 30)))
        page.keyboard.press("ArrowRight")
        expect(page.locator("#name")).to_have_text("in/3.png")
        page.mouse.move(*stage.screen((30, 30)))
        page.mouse.up()
        expect(page.locator("#save")).to_be_disabled()
    saved = corrected(output, "in/2.png")
    assert saved is not None
    assert saved[10, 10:20].all()
    assert corrected(output, "in/3.png") is None


class Fingers:
    """Touches of the screen, as a phone's browser tells of them."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def __call__(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_one_finger_draws_and_two_move_and_zoom(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url, 390, 844, has_touch=True) as page:
        open_photo(page, "in/2.png")
        page.locator("#size").fill("6")
        touch = Fingers(page)
        stage = Stage(page)
        places = [stage.screen(point) for point in ((10, 8), (30, 12), (30, 30))]
        touch("touchStart", places[0])
        for place in places[1:]:
            touch("touchMove", place)
        touch("touchEnd")
        expect(page.locator("#save")).to_be_enabled()
        drawn = stroke((40, 48), [stage.photo(place) for place in places], 6)
        page.locator("#tools [data-value=region]").click()
        for tool in ("region", "brush"):  # neither acts on the first of two fingers
            page.locator(f"#tools [data-value={tool}]").click()
            one, two = stage.screen((20, 20)), stage.screen((28, 20))
            touch("touchStart", one)
            touch("touchStart", one, two)
            touch("touchMove", (one[0] - 30, one[1] + 20), (two[0] + 30, two[1] + 20))
            touch("touchEnd", (one[0] - 30, one[1] + 20))
            touch("touchMove", (one[0] - 10, one[1] + 20))  # the other goes on, and moves the photograph
            touch("touchEnd")
        now = Stage(page)
        assert now.scale > 1.5 * stage.scale
        assert now.corner[1] != stage.corner[1]
        page.locator("#save").click()
        expect(page.locator("#message")).to_have_text("saved")
    saved = corrected(output, "in/2.png")
    assert saved is not None
    assert np.array_equal(saved > 0, drawn)


def test_two_tabs_do_not_overwrite_one_another(browser: Browser, output: Path) -> None:
    with command(output) as (url, _):
        with opened(browser, url) as first:
            open_photo(first, "in/2.png")
            with opened(browser, url) as second:
                open_photo(second, "in/2.png")
                Stage(second).draw((10, 10), (20, 10))
                second.keyboard.press("s")
                expect(second.locator("#message")).to_have_text("saved")
            kept = corrected(output, "in/2.png")
            first.locator("#size").fill("2")
            Stage(first).draw((30, 30), (32, 30))
            try:
                first.keyboard.press("s")
                expect(first.locator("#message")).to_contain_text("judged or corrected elsewhere")
            finally:
                first.on("dialog", lambda dialog: dialog.accept())
            first.keyboard.press("Escape")
            expect(first.locator("#view")).to_be_hidden()
            open_photo(first, "in/2.png")
            expect(first.locator("#facts")).to_contain_text("corrected")
        present = corrected(output, "in/2.png")
        assert present is not None
        assert kept is not None
        assert np.array_equal(present, kept)


def test_a_face_that_was_missed_is_added_by_a_box(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = str(ROOT / "data/samples/obama.jpg")
    with command(tmp_path / "new", "--input", photo) as (url, _), opened(browser, url) as page:
        page.locator(".tile").click()
        expect(page.locator("#facts")).to_contain_text("new")
        page.keyboard.press("n")
        Stage(page).draw((284, 107), (400, 250), (501, 325))
        expect(page.locator("#message")).to_contain_text("score 0.9")
        page.keyboard.press("l")
        page.keyboard.press("s")
        expect(page.locator("#message")).to_have_text("saved")
    (saved,) = (tmp_path / "new/corrected").rglob("*.png")
    from PIL import Image

    numbers = np.asarray(Image.open(saved))
    assert set(np.unique(numbers)) == {0, 1}
    rows, columns = np.nonzero(numbers)
    assert 284 < columns.mean() < 501
    assert 107 < rows.mean() < 325
    assert numbers.sum() > 20_000


def test_on_a_phone_everything_is_in_reach(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url, width=390, height=844) as page:
        open_photo(page, "in/1.png")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
        for name in ("accept", "reject", "save", "undo", "opacity"):
            page.locator(f"#{name}").scroll_into_view_if_needed()
            expect(page.locator(f"#{name}")).to_be_in_viewport()
        page.locator("#accept").click()
        expect(page.locator("#name")).to_have_text("in/2.png")


def test_every_control_has_a_name_and_is_reached_by_keyboard(browser: Browser, output: Path) -> None:
    with command(output) as (url, _), opened(browser, url) as page:
        open_photo(page, "in/1.png")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select")]
                .filter((one) => one.offsetParent && !one.labels?.length && !one.textContent.trim())
                .map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert nameless == []
        page.keyboard.press("h")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()
        expect(page.locator("#view")).to_be_visible()
        passed: list[str] = []
        while "accept" not in passed and len(passed) < 40:
            page.keyboard.press("Tab")
            passed.append(page.evaluate("document.activeElement.id"))
        assert passed[-1] == "accept"
        assert not {"filter", "sort", "search", "wall"} & set(passed)  # the wall lies below, out of sight
        page.keyboard.press("Enter")
        expect(page.locator("#name")).to_have_text("in/2.png")


@pytest.mark.parametrize("width", [390, 1280])
def test_photographs_are_dropped_on_the_server(browser: Browser, tmp_path: Path, width: int) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    good.write_bytes(photo())
    bad.write_bytes(b"text")
    with (
        serving(Guard(token="secret")) as url,
        opened(browser, f"{url}/?", width=width, ready="#drop") as page,
    ):
        page.locator("#files").set_input_files([str(good)])
        expect(page.locator(".result p")).to_contain_text("a token is needed")
        page.locator("#token").fill("secret")
        page.locator("#use-token").click()  # with it what was refused goes on
        expect(page.locator("#state")).to_contain_text("1 done, 0 to do")
        page.locator("#files").set_input_files([str(bad)])
        expect(page.locator("#state")).to_contain_text("2 done, 0 to do")
        texts = page.locator(".result p").all_inner_texts()
        assert sum("1 face" in text for text in texts) == 1
        assert sum("no picture of a known format" in text for text in texts) == 1
        canvas = page.locator(".result canvas[aria-label='good.png with 1 masks']")
        red = canvas.evaluate("one => [...one.getContext('2d').getImageData(40, 20, 1, 1).data]")
        grey = canvas.evaluate("one => [...one.getContext('2d').getImageData(60, 2, 1, 1).data]")
        assert (red[0] > red[1] + 50, grey[:3]) == (True, [200, 200, 200])
        with page.expect_download() as download:
            page.get_by_role("button", name="Mask of good.png").click()
        assert download.value.suggested_filename == "good.png.mask.png"
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_browser_is_started_with_an_address_that_is_good_once(output: Path, tmp_path: Path) -> None:
    import httpx

    told = tmp_path / "told"
    os.mkfifo(told)
    starter = tmp_path / "browser"
    starter.write_text(f'#!/bin/sh\necho "$@" >{shlex.quote(str(told))}\n')
    starter.chmod(0o755)
    words = [sys.executable, "-m", "pipeline", "review", str(output)]
    environment = {**os.environ, "BROWSER": f"{starter} %s"}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        shown = told.read_text().strip()  # waits for the one who writes it
        assert process.stderr is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", process.stderr.readline())
        assert found
        assert found[2] not in shown
        assert re.fullmatch(rf"{re.escape(found[1])}/\?once=\S{{32}}", shown)
        with httpx.Client(timeout=60) as first, httpx.Client(timeout=60) as second:
            assert first.get(shown).status_code == 200
            assert first.get(f"{found[1]}/api/photos").status_code == 200
            late = second.get(shown)
            assert (late.status_code, "has been used: if not by you" in late.text) == (401, True)
            assert second.get(f"{found[1]}/api/photos").status_code == 401
            assert first.get(shown).status_code == 200  # loaded again by the one it has let in
            assert second.get(found[0]).status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_killed_while_saving_nothing_is_torn(output: Path) -> None:
    import httpx

    from tests.server.test_review import put

    record = next(read_manifest(output))
    with command(output) as (url, process):
        base, _, token = url.partition("/?token=")
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            number = 0
            while client.get("/api/photos").json()["loading"]:
                time.sleep(0.01)
            with pytest.raises(httpx.TransportError):
                for number in range(1, 10_000):
                    drawn = np.full((40, 48), number, np.uint16)
                    answer = put(client, 0, drawn, str(number - 1))
                    assert answer.status_code == 200
                    if number == 25:
                        threading.Timer(0.3, process.kill).start()  # in the middle of something
    assert number >= 25
    corrections = Corrections(output)
    history = corrections.history(record["name"])
    assert number - 1 <= len(history) <= number
    correction = corrections.review(record).correction
    assert correction is not None
    kept = corrections.instances(correction)
    assert kept.shape == (40, 48)
    assert kept.min() == kept.max()
    assert kept[0, 0] in (len(history), len(history) + 1)
