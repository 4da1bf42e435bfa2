r"""Reader of protobuf's text format, as Caffe networks use it (``*.prototxt``).

The syntax is that of protobuf's ``TextFormat`` parser (protobuf.dev/reference/protobuf/textformat-spec):
comments with ``#``, ``key: value`` and ``key { ... }`` or ``key: { ... }`` or ``key < ... >``, an optional
``,`` or ``;`` after each field, lists ``key: [1, 2]``, adjacent strings joined, C escapes in strings,
decimal, hexadecimal and octal integers, floats with an optional ``f``. Nothing is known here about which
fields a network may hold: every field is kept, and those who read a `Message` pick what they know. protobuf's
own parser would refuse every field that its description of a network lacks, and there are many dialects.

    >>> message = parse_prototxt('layer { name: "conv" "1"  type: \'ReLU\' } # done')
    >>> message.message("layer").string("name")
    'conv1'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from pipeline.caffe_format.text_message import Message, Scalar
from pipeline.errors import ModelFormatError, ModelMissingError

_MAX_DEPTH = 64
"""Deepest nesting of messages; Caffe's own need five."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v\ufeff]+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>-?[ \t]*
             (?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?)(?![A-Za-z0-9_.])
             |-[ \t]*(?:[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])(?![A-Za-z0-9_.]))
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<extension>\[[A-Za-z_][A-Za-z0-9_./-]*\])
  | (?P<mark>[{}<>:,;\[\]])
    """,
    re.VERBOSE,
)

_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_SIMPLE_ESCAPES = {
    "n": 10,
    "r": 13,
    "t": 9,
    "a": 7,
    "b": 8,
    "f": 12,
    "v": 11,
    "\\": 92,
    "'": 39,
    '"': 34,
    "?": 63,
}


def read_prototxt(path: str | PathLike[str]) -> Message:
    """Read a prototxt file.

    Raises
    ------
    ModelMissingError
        The file is not there.
    ModelFormatError
        It cannot be read, is not text, or breaks the syntax; the message names the line.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ModelMissingError(
            path, "the network description is not there", "Check the path of the prototxt."
        ) from error
    except OSError as error:
        raise ModelFormatError(
            path, f"cannot be read ({error.strerror})", "Check the path and its rights."
        ) from error
    if b"\0" in data:
        problem = f"is not text (byte {data.index(0)} is zero)"
        raise ModelFormatError(path, problem, "Give the deploy prototxt here, not the weights.")
    # Comments may be in any encoding, as for Caffe.
    return parse_prototxt(data.decode("utf-8", "surrogateescape"), path=str(path))


def parse_prototxt(text: str, *, path: str = "<prototxt>") -> Message:
    """Parse protobuf text format.

    Parameters
    ----------
    text
        The whole text.
    path
        Name of its file for error messages.

    Raises
    ------
    ModelFormatError
        The text breaks the syntax; the message names the line.
    """
    return _Parser(text, path).parse()


class _Parser:
    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.tokens = list(self._tokenise(text))
        self.position = 0

    def parse(self) -> Message:
        return self._fields(end="", line=1, depth=0)

    def _tokenise(self, text: str) -> Iterator[tuple[str, str, int]]:
        position, line = 0, 1
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                snippet = text[position : position + 20].splitlines()[0]
                raise self._error(line, f"cannot understand {snippet!r}")
            kind = match.lastgroup or ""
            token = match.group()
            if kind != "space":
                yield kind, token, line
            line += token.count("\n")
            position = match.end()
        yield "end", "", line

    def _error(self, line: int, problem: str) -> ModelFormatError:
        hint = "Correct the file at that line, or check that it is a Caffe deploy prototxt."
        return ModelFormatError(self.path, f"line {line}: {problem}", hint)

    def _next(self) -> tuple[str, str, int]:
        token = self.tokens[self.position]
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def _peek(self) -> str:
        kind, text, _ = self.tokens[self.position]
        return kind if kind != "mark" else text

    def _fields(self, end: str, line: int, depth: int) -> Message:
        if depth > _MAX_DEPTH:
            raise self._error(line, f"blocks nested deeper than {_MAX_DEPTH}")
        fields: list[tuple[str, Scalar | Message]] = []
        while True:
            kind, name, at = self._next()
            if kind == ("mark" if end else "end") and name == end:
                return Message(self.path, line, tuple(fields))
            if kind == "end":
                raise self._error(
                    at, f"the file ends inside the block opened in line {line}, {end!r} is missing"
                )
            if kind not in {"word", "extension"}:
                raise self._error(at, f"a field name was expected, not {name!r}")
            fields.extend((name, value) for value in self._values(name, at, depth))
            if self._peek() in {",", ";"}:
                self._next()

    def _values(self, name: str, line: int, depth: int) -> list[Scalar | Message]:
        has_colon = self._peek() == ":"
        if has_colon:
            self._next()
        if self._peek() in {"{", "<"}:
            return [self._block(depth)]
        if not has_colon:
            raise self._error(
                line, f"after {name!r} a ':' or a block was expected, not {self.tokens[self.position][1]!r}"
            )
        if self._peek() != "[":
            return [self._scalar()]
        self._next()
        values: list[Scalar | Message] = []
        while self._peek() != "]":
            values.append(self._block(depth) if self._peek() in {"{", "<"} else self._scalar())
            if self._peek() == ",":
                self._next()
            elif self._peek() != "]":
                _, text, at = self.tokens[self.position]
                raise self._error(at, f"in the list of {name!r} a ',' or ']' was expected, not {text!r}")
        self._next()
        return values

    def _block(self, depth: int) -> Message:
        _, mark, line = self._next()
        return self._fields("}" if mark == "{" else ">", line, depth + 1)

    def _scalar(self) -> Scalar:
        kind, text, line = self._next()
        if kind == "string":
            parts = [text]
            while self._peek() == "string":
                parts.append(self._next()[1])
            raw = b"".join(self._unescape(part[1:-1], line) for part in parts)
            return Scalar("string", raw.decode("utf-8", errors="replace"), line)
        if kind in {"number", "word"}:
            return Scalar(kind, text.replace(" ", "").replace("\t", ""), line)
        raise self._error(line, f"a value was expected, not {text or 'the end of the file'!r}")

    def _unescape(self, text: str, line: int) -> bytes:
        parts, position = [], 0
        for match in _ESCAPE.finditer(text):
            parts.append(text[position : match.start()].encode("utf-8", "surrogateescape"))
            position = match.end()
            octal, hexadecimal, short, long, simple = match.groups()
            if octal or hexadecimal:
                parts.append(bytes([(int(octal, 8) if octal else int(hexadecimal, 16)) & 0xFF]))
            elif short or long:
                code = int(short or long, 16)
                if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                    raise self._error(line, f"{match.group()} is not a character")
                parts.append(chr(code).encode())
            elif simple in _SIMPLE_ESCAPES:
                parts.append(bytes([_SIMPLE_ESCAPES[simple]]))
            else:
                raise self._error(line, f"unknown escape {match.group()!r} in a string")
        parts.append(text[position:].encode("utf-8", "surrogateescape"))
        return b"".join(parts)
