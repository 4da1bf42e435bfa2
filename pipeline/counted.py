"""Counts as people write them."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with what is counted: ``1 photograph``, ``2 photographs``, ``0 photographs``.

    Parameters
    ----------
    number
        How many.
    one
        What one of them is called.
    many
        What several are called; None: ``one`` with an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
