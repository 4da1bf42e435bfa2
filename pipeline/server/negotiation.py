"""Which of the possible answers a client wants: the ``Accept`` header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


def best_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Choose among media types by an ``Accept`` header.

    Parameters
    ----------
    accept
        The header's value; None or blank: anything is welcome.
    offered
        What can be given, the server's favourite first.

    Returns
    -------
    str or None
        The one of the highest quality, on equal quality the first offered; None when none is acceptable.
        Parts of the header that make no sense are ignored.
    """
    ranges = _ranges(accept or "*/*")
    best, best_quality = None, 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name.count("/") != 1:
            continue
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    quality = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        ranges.append((name, quality))
    return ranges


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Quality of the most specific range that fits; 0 where none does."""
    for pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        fitting = [quality for name, quality in ranges if name == pattern]
        if fitting:
            return max(fitting)
    return 0.0
