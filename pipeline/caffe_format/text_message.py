"""A message of protobuf's text format as it was read: fields in their order, values as they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import ModelFormatError

_TRUE, _FALSE = {"true", "True", "t", "1"}, {"false", "False", "f", "0"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value that is not a message.

    Attributes
    ----------
    kind
        ``"string"``, ``"number"`` or ``"word"`` (enum names, ``true``, ``inf``).
    text
        The value; strings unescaped and joined, the others as written.
    line
        Line of the file, from 1.
    """

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its fields in file order, unknown ones too.

    Attributes
    ----------
    path
        File that it was read from, for error messages.
    line
        Line where it starts.
    fields
        ``(name, value)`` pairs; repeated fields appear once per value.
    """

    path: str
    line: int
    fields: tuple[tuple[str, Scalar | Message], ...]

    def has(self, name: str) -> bool:
        """Whether the field is there at least once."""
        return any(key == name for key, _ in self.fields)

    def messages(self, name: str) -> tuple[Message, ...]:
        """All values of a repeated message field."""
        found = []
        for value in self._all(name):
            if not isinstance(value, Message):
                raise self.error(value.line, f"field {name!r} must be a block {{ ... }}, not {value.text!r}")
            found.append(value)
        return tuple(found)

    def message(self, name: str) -> Message | None:
        """Value of a message field, None where absent; repeated blocks are merged, as protobuf does."""
        blocks = self.messages(name)
        if not blocks:
            return None
        return Message(self.path, blocks[0].line, tuple(field for block in blocks for field in block.fields))

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of a repeated string field."""
        return self._scalars(
            name, "a string in quotes", lambda value: value.text if value.kind == "string" else None
        )

    def words(self, name: str) -> tuple[str, ...]:
        """All values of a repeated enum field, as names or as digits."""
        return self._scalars(
            name, "a name without quotes", lambda value: None if value.kind == "string" else value.text
        )

    def integers(self, name: str) -> tuple[int, ...]:
        """All values of a repeated integer field."""
        return self._scalars(name, "a whole number", _to_integer)

    def floats(self, name: str) -> tuple[float, ...]:
        """All values of a repeated float field."""
        return self._scalars(name, "a number", _to_float)

    def booleans(self, name: str) -> tuple[bool, ...]:
        """All values of a repeated bool field."""
        return self._scalars(name, "true or false", _to_boolean)

    def string(self, name: str, default: str = "") -> str:
        """Value of a string field."""
        return self.strings(name)[-1] if self.has(name) else default

    def error(
        self, line: int, problem: str, hint: str = "Correct the file at that line."
    ) -> ModelFormatError:
        """Error about a line of this file."""
        return ModelFormatError(self.path, f"line {line}: {problem}", hint)

    def _all(self, name: str) -> Iterator[Scalar | Message]:
        return (value for key, value in self.fields if key == name)

    def _scalars(self, name: str, expected: str, convert: Callable[[Scalar], _T | None]) -> tuple[_T, ...]:
        found = []
        for value in self._all(name):
            if isinstance(value, Message):
                raise self.error(value.line, f"field {name!r} must be {expected}, not a block {{ ... }}")
            converted = convert(value)
            if converted is None:
                raise self.error(value.line, f"field {name!r} must be {expected}, not {value.text!r}")
            found.append(converted)
        return tuple(found)


def _to_integer(value: Scalar) -> int | None:
    if value.kind != "number":
        return None
    digits = value.text.lstrip("-").lower()
    try:
        base = 16 if digits.startswith("0x") else 8 if len(digits) > 1 and digits.startswith("0") else 10
        number = int(digits, base)
    except ValueError:
        return None
    return -number if value.text.startswith("-") else number


def _to_float(value: Scalar) -> float | None:
    if value.kind == "string":
        return None
    if value.kind == "number" and (integer := _to_integer(value)) is not None:
        return float(integer) if abs(integer) < 2**64 else None
    text = value.text.lower()
    if value.kind == "word" and text not in {"inf", "infinity", "nan"}:
        return None
    try:
        return float(text if text.endswith(("inf", "infinity")) else text.rstrip("f"))
    except ValueError:
        return None


def _to_boolean(value: Scalar) -> bool | None:
    if value.kind != "string" and value.text in _TRUE | _FALSE:
        return value.text in _TRUE
    return None
