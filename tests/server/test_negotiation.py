"""The ``Accept`` header."""

import pytest

from pipeline.server.negotiation import best_media_type

OFFERED = ("image/png", "application/json", "application/zip")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "image/png"),
        ("", "image/png"),
        ("*/*", "image/png"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("application/*", "application/json"),
        ("image/webp, */*;q=0.1", "image/png"),
        ("image/png;q=0.2, application/zip;q=0.9", "application/zip"),
        ("application/*;q=0.5, application/zip", "application/zip"),
        ("image/*;q=0, */*", "application/json"),
        ("image/png;q=0", None),
        ("text/html", None),
        ("nonsense, application/json", "application/json"),
        ("application/json;q=high, image/png;q=0.1", "image/png"),
        ("image/png;level=1;q=0.3, application/json;q=0.2", "image/png"),
    ],
)
def test_the_best_of_what_is_acceptable(accept: str | None, expected: str | None) -> None:
    assert best_media_type(accept, OFFERED) == expected
