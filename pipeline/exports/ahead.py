"""A few results ahead: threads work on what comes next while what is there is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_BATCH = 16
"""Items a thread takes at once: handing over costs as much as a small item."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_order(function: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """Yield results in the order of their items, a few batches computed ahead by threads."""
    waiting: deque[Future[list[_Out]]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while batch := list(islice(source, _BATCH)):
                waiting.append(pool.submit(lambda batch: [function(item) for item in batch], batch))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
