from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engines import sessions
from pipeline.engines.sessions import SPECIALISE_AFTER, Sessions
from pipeline.models.catalogue import ModelFiles

Started = list[tuple[str, tuple[int, int] | None]]


@pytest.fixture
def started() -> Started:
    return []


@pytest.fixture
def opened(narrow_model: ModelFiles, graph_folder: Path, started: Started) -> Callable[[], Sessions]:
    """Sessions that are only noted down."""

    def start(graph: Path, shape_hw: tuple[int, int] | None) -> object:
        started.append((graph.name, shape_hw))
        return object()

    def make() -> Sessions:
        made = Sessions(narrow_model, str(graph_folder), start)
        made.open()
        return made

    return make


def test_the_networks_own_size_has_a_session_from_the_start(
    opened: Callable[[], Sessions], started: Started
) -> None:
    made = opened()
    assert started == [("72x72.onnx", (72, 72))]
    assert made.session((72, 72)) is made.session((72, 72))
    assert len(started) == 1


def test_other_sizes_share_one_until_they_are_frequent(
    opened: Callable[[], Sessions], started: Started
) -> None:
    made = opened()
    shared = made.session((50, 60))
    assert made.session((60, 50)) is shared
    for _ in range(SPECIALISE_AFTER - 1):
        assert made.session((50, 60)) is shared
    own = made.session((50, 60))
    assert own is not shared
    assert made.session((50, 60)) is own
    assert started == [("72x72.onnx", (72, 72)), ("any.onnx", None), ("50x60.onnx", (50, 60))]


def test_large_networks_keep_two(
    opened: Callable[[], Sessions], started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LARGE_BYTES", 1)
    made = opened()
    shared = made.session((50, 60))
    for _ in range(SPECIALISE_AFTER):
        made.session((50, 60))
    assert made.session((60, 50)) is shared
    made.session((72, 72))
    assert started[-1] == ("72x72.onnx", (72, 72))
    assert made.session((60, 50)) is shared
    assert len(started) == 4
