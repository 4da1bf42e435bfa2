"""Paths and files."""

import os

from pipeline.files import printable


def test_printable() -> None:
    assert printable("a ü.jpg") == "a ü.jpg"
    assert printable(os.fsdecode(b"a\xff\n.jpg")) == "a\\xff\\n.jpg"
