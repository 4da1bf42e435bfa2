"""Text can be read by people who see little: contrast of the pages' colours (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from importlib.resources import files

import pytest

TEXT, LARGE_OR_LINE = 4.5, 3.0
PAIRS = {
    "base.css": [
        ("ink", "paper", TEXT),
        ("ink", "card", TEXT),
        ("quiet", "paper", TEXT),
        ("quiet", "card", TEXT),
        ("bad", "paper", TEXT),
        ("bad", "card", TEXT),
        ("good", "card", TEXT),
        ("accent", "paper", TEXT),
        ("on-accent", "accent", TEXT),
        ("accent", "card", LARGE_OR_LINE),  # the ring around what has the focus
        ("edge", "card", LARGE_OR_LINE),  # what shows that a thing can be pressed or written in
        ("edge", "paper", LARGE_OR_LINE),
    ],
    "report.css": [
        ("ink", "paper", TEXT),
        ("ink", "card", TEXT),
        ("quiet", "paper", TEXT),
        ("quiet", "card", TEXT),
        ("bar", "paper", LARGE_OR_LINE),
    ],
}
PACKAGE = {"base.css": ("pipeline.server", "static"), "report.css": ("pipeline.report", "")}


def colours(sheet: str) -> dict[str, tuple[str, str]]:
    """Name of a colour to its light and its dark value, RRGGBB."""
    package, folder = PACKAGE[sheet]
    text = (files(package) / folder / sheet).read_text("utf-8")
    found = re.findall(r"--([a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", text)
    return {name: (light, dark) for name, light, dark in found}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula() -> None:
    assert contrast("ffffff", "000000") == pytest.approx(21)
    assert contrast("767676", "ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sheet", PAIRS)
def test_colours_stand_out(sheet: str, scheme: int) -> None:
    known = colours(sheet)
    too_close = {
        (front, back): round(contrast(known[front][scheme], known[back][scheme]), 2)
        for front, back, least in PAIRS[sheet]
        if contrast(known[front][scheme], known[back][scheme]) < least
    }
    assert too_close == {}
