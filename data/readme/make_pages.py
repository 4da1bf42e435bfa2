"""Take the pictures of the pages: ``python -m data.readme.make_pages``, from the checkout; needs Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import landmarks as _landmarks  # noqa: F401 - it keeps libraries from reporting to their makers

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).parent / "pages.jpg"
SAMPLES = ROOT / "data" / "samples"
SIZE_WH = (1280, 800)
QUALITY = 84
QUIET = ("--disable-background-networking", "--disable-component-update")
"""So that the browser asks nobody for anything."""


def main() -> None:
    """Run the samples, open the pages, and put four pictures into one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uncrop("run", "--quiet", "--output", str(folder / "out"), "--set", "output.report=true")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", *QUIET]
            )
            page = browser.new_page(viewport={"width": SIZE_WH[0], "height": SIZE_WH[1]})
            pictures = [
                *review_pictures(page, folder),
                report_picture(page, folder),
                drop_picture(page, folder),
            ]
            browser.close()
        sheet = Image.new("RGB", (2 * SIZE_WH[0] + 20, 2 * SIZE_WH[1] + 20), "white")
        for index, path in enumerate(pictures):
            place = ((index % 2) * (SIZE_WH[0] + 20), (index // 2) * (SIZE_WH[1] + 20))
            sheet.paste(Image.open(path), place)
        sheet.resize((1680, round(1680 * sheet.height / sheet.width)), Image.Resampling.LANCZOS).save(
            TARGET, quality=QUALITY, optimize=True
        )


def uncrop(*words: str) -> None:
    """Run a subcommand to its end."""
    subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=ROOT, check=True)


@contextmanager
def started(*words: str) -> Iterator[str]:
    """A subcommand that serves; gives its address."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    found = re.search(r"http://[^\s,]+", child.stderr.readline())
    assert found is not None
    try:
        yield found.group(0)
    finally:
        child.terminate()
        child.communicate()


def review_pictures(page: Page, folder: Path) -> list[Path]:
    """The wall, and a photograph with its masks."""
    with started("review", str(folder / "out"), "--no-browser") as url:
        page.goto(url)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "wall.png")
        page.locator(".tile[title$='group.jpg']").click()
        page.wait_for_timeout(1000)
        page.keyboard.press("l")
        page.wait_for_timeout(300)
        page.screenshot(path=folder / "view.png")
    return [folder / "wall.png", folder / "view.png"]


def report_picture(page: Page, folder: Path) -> Path:
    """The report."""
    page.goto((folder / "out" / "report.html").as_uri())
    page.screenshot(path=folder / "report.png")
    return folder / "report.png"


def drop_picture(page: Page, folder: Path) -> Path:
    """The page of the server with a few answers."""
    with started("serve", "--port", "0", "--workers", "1") as url:
        page.goto(url)
        names = ("obama_microphone.jpg", "group.jpg", "grace_hopper.jpg")
        page.locator("#files").set_input_files([str(SAMPLES / name) for name in names])
        page.get_by_text("3 done, 0 to do").wait_for(timeout=60_000)
        page.screenshot(path=folder / "drop.png")
    return folder / "drop.png"


if __name__ == "__main__":
    main()
