"""What a TIFF says of itself, read without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Literal

from PIL import TiffImagePlugin

WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 262, 274
SAMPLES, MAX_SAMPLE, PLANAR, EXTRA_SAMPLES = 277, 281, 284, 338
SAMPLE_FORMAT, S_MAX_SAMPLE, ICC_PROFILE, SUBFILE_TYPE = 339, 341, 34675, 254
"""Tags of TIFF 6.0 (and of ICC.1, annex B)."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
"""Values of PhotometricInterpretation."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Values of SampleFormat."""

_MOST_FRAMES = 100_000


class TiffTags(Mapping[int, Any]):
    """Tags of the pages of a TIFF, read without decoding anything.

    Parameters
    ----------
    file
        Its place is put back.

    Raises
    ------
    SyntaxError, struct.error
        The file is no TIFF, or damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        start = file.tell()
        header = file.read(8)
        self._is_big = b"+" in header[2:4]  # 43, where TIFF has 42
        self._byte_order: Literal["little", "big"] = "little" if header[:1] == b"I" else "big"
        if self._is_big:
            header += file.read(8)
            if self._byte_order == "big":
                raise SyntaxError("a BigTIFF with the most significant byte first is not read")
        first = TiffImagePlugin.ImageFileDirectory_v2(header)
        self._place = first.next
        self._first: TiffImagePlugin.ImageFileDirectory_v2 | None = None
        self.frames = 0
        seen: set[int] = set()
        page = first
        while page.next and page.next not in seen and len(seen) < _MOST_FRAMES:
            seen.add(page.next)
            file.seek(page.next)
            page = TiffImagePlugin.ImageFileDirectory_v2(header) if self._first is not None else first
            page.load(file)
            if self._first is None:
                self._first = page
            if self._first is page or not self._number(page, SUBFILE_TYPE, 0) & 0b101:  # smaller copy, mask
                self.frames += 1
        file.seek(start)
        if self._first is None:
            raise SyntaxError("it has no page")

    def __getitem__(self, tag: int) -> Any:
        if self._first is None:
            raise KeyError(tag)
        return self._first[tag]

    def __iter__(self) -> Iterator[int]:
        return iter(self._first or ())

    def __len__(self) -> int:
        return len(self._first or ())

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag as a whole number."""
        return self._number(self, tag, default)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """All values of a tag; empty where there is none."""
        value = self.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(
            float(one) for one in values if isinstance(one, int | float | TiffImagePlugin.IFDRational)
        )

    def unturned(self, content: bytes) -> bytearray:
        """The file with its first page's orientation made 1, for a decoder that would turn the pixels."""
        changed = bytearray(content)
        count, size, value = (8, 20, 12) if self._is_big else (2, 12, 8)
        place = self._place + count
        for _ in range(int.from_bytes(changed[self._place : place], self._byte_order)):
            entry = changed[place : place + size]
            if len(entry) < size:
                break
            if int.from_bytes(entry[:2], self._byte_order) == ORIENTATION:
                changed[place + value : place + value + 2] = (1).to_bytes(2, self._byte_order)
                break
            place += size
        return changed

    @staticmethod
    def _number(tags: Mapping[int, Any], tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = value[0] if isinstance(value, tuple) and value else value
        return value if isinstance(value, int) else default

    @property
    def is_deep(self) -> bool:
        """Whether the first page is grey or RGB with more than 8 bits a sample, or with fractions."""
        bits = max(self.numbers(BITS), default=1)
        deep = bits > 8 or self.number(SAMPLE_FORMAT, UNSIGNED) == FLOAT
        return deep and self.number(PHOTOMETRIC, -1) in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
