"""Which graph serves which input size: running sessions, the least recently used one goes first."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.caffe_format.deploy import read_deploy
from pipeline.engines.graph_cache import GraphCache

if TYPE_CHECKING:
    from pipeline.models.catalogue import ModelFiles

SPECIALISE_AFTER = 4
"""Batches of a size after which it gets its own session; the network's own size has one from the start."""

LARGE_BYTES = 256_000_000
"""Weights from this size on leave room for one session beside that for all sizes only."""


class Sessions:
    """The sessions of one network.

    Parameters
    ----------
    model
        The network's files.
    cache_directory
        See `GraphCache`.
    start
        Starts a session: graph, and the input (height, width) that is fixed for it or None for any.
    fast
        Take graphs with fast convolutions for fixed sizes, see `graph_cache.convert`.
    """

    def __init__(
        self,
        model: ModelFiles,
        cache_directory: str | None,
        start: Callable[[Path, tuple[int, int] | None], Any],
        *,
        fast: bool = False,
    ) -> None:
        self._model = model
        self._graphs = GraphCache(model, cache_directory)
        self._start = start
        self._fast = fast
        self._seen: Counter[tuple[int, int]] = Counter()
        self._running: OrderedDict[tuple[int, int] | None, Any] = OrderedDict()
        self._limit = 4

    def open(self) -> Any:
        """Start the session for the network's own input size, and return it.

        Raises
        ------
        ModelError
            The network's files cannot be read or converted.
        """
        self._limit = 2 if self._model.caffemodel.stat().st_size >= LARGE_BYTES else 4
        height, width = read_deploy(self._model.prototxt).layers[0].params["shape"][0][2:]
        self._seen[height, width] = SPECIALISE_AFTER
        return self.session((height, width))

    def session(self, shape_hw: tuple[int, int]) -> Any:
        """The session to run an input of that height and width with."""
        self._seen[shape_hw] += 1
        key = shape_hw if self._seen[shape_hw] > SPECIALISE_AFTER else None
        if key not in self._running:
            while len(self._running) >= self._limit:
                self._running.popitem(last=False)
            self._running[key] = self._start(self._graphs.graph(key, fast=self._fast), key)
        self._running.move_to_end(key)
        return self._running[key]

    def close(self) -> None:
        """End all sessions."""
        self._running.clear()
        self._graphs.close()
