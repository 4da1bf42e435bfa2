"""Which part of a data set a photograph belongs to: the same one for the same key, in every run."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.exports.values import ExportPhoto

SPLIT_NAMES = ("train", "val", "test")
_NUMBER_AT_END = re.compile(r"[\s_.-]*\d+$")


@dataclass(frozen=True, slots=True)
class Splits:
    """Parts of a data set.

    Photographs of one key always go to one part, whatever else is in the set: a photograph that is added
    later moves no other. The price is that the shares are only met on the average over many keys.

    Attributes
    ----------
    shares
        Up to three, for ``train``, ``val`` and ``test``; they sum up to 1. Empty: nothing is split.
    by
        The key, one of `KEYS`.
    """

    shares: tuple[float, ...] = ()
    by: str = "hash"

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names; one empty name where nothing is split."""
        return SPLIT_NAMES[: len(self.shares)] if self.shares else ("",)

    def part_of(self, photo: ExportPhoto) -> str:
        """The name of a photograph's part."""
        if not self.shares:
            return ""
        key = KEYS[self.by](photo)
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        reached = 0.0
        for name, share in zip(SPLIT_NAMES, self.shares, strict=False):
            reached += share
            if place < reached:
                return name
        return next(name for name, share in zip(self.names[::-1], self.shares[::-1], strict=True) if share)


def parse_splits(text: str | None, by: str) -> Splits:
    """Splits of ``--split 0.8,0.1,0.1 --by folder``.

    Raises
    ------
    UsageError
        These are no shares.
    """
    if text is None:
        return Splits()
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    right = 2 <= len(shares) <= len(SPLIT_NAMES) and all(share >= 0 for share in shares)
    if not right or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UsageError(
            f"--split {text}: two or three shares that sum up to 1 are expected, such as 0.8,0.1,0.1"
        )
    return Splits(shares, by)


def _folder(photo: ExportPhoto) -> str:
    """The folder that the photograph or clip lies in, from the root."""
    return photo.source_name.rpartition("/")[0]


def _person(photo: ExportPhoto) -> str:
    """The last folder's name wherever it lies; without folders the file's name without number and suffix."""
    folder, _, file = photo.source_name.rpartition("/")
    if folder.strip("/"):
        return folder.rpartition("/")[2]
    stem = file.rpartition(".")[0] or file
    return _NUMBER_AT_END.sub("", stem) or stem


KEYS: dict[str, Callable[[ExportPhoto], str]] = {
    "hash": lambda photo: photo.sha256,
    "folder": _folder,
    "person": _person,
}
"""``--by``: copies of a photograph, folders, or people stay together."""
