from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.caffe_format.prototxt import parse_prototxt, read_prototxt
from pipeline.caffe_format.text_message import Message
from pipeline.errors import ModelError, ModelFormatError, ModelMissingError


def test_text_by_other_hands() -> None:
    text = """
    # a comment { with braces
    name: 'a' "b\\x43\\104\\n\\"'" ; input_dim: 1, input_dim: 0x10 input_dim: 010; input_dim: -3
    layer { name: "one" param { lr_mult: 1 } param { lr_mult: 2.5e-1f } }
    layer <name: "two" unknown: [1, 2, 3]> layer: { flag: true [caffe.ext]: 7 pool: MAX value: -inf } # end"""
    net = parse_prototxt(text)
    assert net.string("name") == "abCD\n\"'"
    assert net.integers("input_dim") == (1, 16, 8, -3)
    one, two, three = net.messages("layer")
    assert [param.floats("lr_mult") for param in one.messages("param")] == [(1.0,), (0.25,)]
    assert (two.string("name"), two.integers("unknown")) == ("two", (1, 2, 3))
    assert three.booleans("flag") == (True,)
    assert three.words("pool") == ("MAX",)
    assert three.floats("value") == (float("-inf"),)
    assert three.integers("[caffe.ext]") == (7,)
    assert three.line == 5


def test_everything_on_one_line() -> None:
    net = parse_prototxt('layer{name:"a"type:"ReLU"relu_param{negative_slope:.5}}layer{name:"b"}')
    assert [layer.string("name") for layer in net.messages("layer")] == ["a", "b"]
    block = net.messages("layer")[0].message("relu_param")
    assert block is not None
    assert block.floats("negative_slope") == (0.5,)


def test_repeated_blocks_are_merged() -> None:
    net = parse_prototxt("p { a: 1 } p { b: 2 }")
    merged = net.message("p")
    assert merged is not None
    assert (merged.integers("a"), merged.integers("b")) == ((1,), (2,))
    assert net.message("q") is None


def test_utf8_text() -> None:
    assert parse_prototxt('name: "Gesicht \\303\\274 \\u00fc ü"').string("name") == "Gesicht ü ü ü"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("layer {\n name: 'a'\n", 3, "ends inside the block opened in line 1"),
        ("name: 'a\n'", 1, "cannot understand"),
        ("}", 1, "field name was expected"),
        ("\n\nname 'a'", 3, "':' or a block was expected"),
        ("name:", 1, "the end of the file"),
        ("name: }", 1, "a value was expected"),
        ("a: [1 2]", 1, "',' or ']' was expected"),
        ("a: 1.2.3", 1, "cannot understand"),
        ("a: 12ab", 1, "cannot understand"),
        ("name: '\\q'", 1, "unknown escape"),
        ("name: '\\ud800'", 1, "not a character"),
        ("a {" * 100, 1, "nested deeper"),
        ("a { b: 1 >", 1, "field name was expected"),
        ("a: 1\n\u2028 $", 2, "cannot understand"),
    ],
)
def test_broken_text_names_file_and_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(ModelFormatError, match=f"net.prototxt: line {line}: .*{problem}"):
        parse_prototxt(text, path="net.prototxt")


@pytest.mark.parametrize(
    ("text", "reader"),
    [
        ("a: 'x'", "integers"),
        ("a: 1.5", "integers"),
        ("a: 08", "integers"),
        ("a: {}", "integers"),
        ("a: 'x'", "floats"),
        ("a: MAX", "floats"),
        ("a: 1", "strings"),
        ("a: 2", "booleans"),
        ("a: 'true'", "booleans"),
        ("a: 'MAX'", "words"),
        ("a: 1", "messages"),
    ],
)
def test_values_of_the_wrong_kind(text: str, reader: str) -> None:
    with pytest.raises(ModelFormatError, match="line 1: field 'a' must be"):
        getattr(parse_prototxt(text), reader)("a")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError):
        read_prototxt(tmp_path / "none.prototxt")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        read_prototxt(tmp_path)
    (tmp_path / "binary").write_bytes(b"\x0a\x03abc\x00")
    with pytest.raises(ModelFormatError, match="is not text"):
        read_prototxt(tmp_path / "binary")


@pytest.mark.parametrize("comment", ["# Gr\u00f6\u00dfe".encode("latin-1"), "# \u6ce8\u91ca".encode("gbk")])
def test_comments_may_be_in_any_encoding(comment: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_bytes(comment + b"\nname: 'a\xff'\n")
    assert read_prototxt(tmp_path / "net.prototxt").string("name") == "a\ufffd"


@given(st.text(st.sampled_from("ab1.-{}<>[]:;,#'\"\\ \nxu0efin\u00fc"), max_size=60) | st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        message = parse_prototxt(text)
    except ModelError as error:
        assert "line" in str(error)
    else:
        assert isinstance(message, Message)
        for name, _ in message.fields:
            for reader in (
                message.strings,
                message.integers,
                message.floats,
                message.booleans,
                message.words,
            ):
                try:
                    reader(name)
                except ModelError as error:
                    assert "must be" in str(error)


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)


@given(
    st.lists(
        st.tuples(NAMES, st.text(max_size=12) | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False))
    )
)
def test_values_survive_writing_and_reading(fields: list[tuple[str, str | int | float]]) -> None:
    def text_of(value: str | float) -> str:
        if isinstance(value, str):
            return '"' + "".join(f"\\{byte:03o}" for byte in value.encode("utf-8", "replace")) + '"'
        return repr(value)

    message = parse_prototxt(" ".join(f"{name}: {text_of(value)}" for name, value in fields))
    for (name, value), (read_name, scalar) in zip(fields, message.fields, strict=True):
        assert name == read_name
        alone = Message("", 1, ((name, scalar),))
        if isinstance(value, str):
            assert alone.strings(name) == (value.encode("utf-8", "replace").decode(),)
        else:
            assert (alone.integers(name) if isinstance(value, int) else alone.floats(name)) == (value,)
