"""YAML files that extend one another, and single keys given on the command line, as plain values."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, Problem
from pipeline.files import expanded, text_of
from pipeline.yaml_text import read_yaml

_MOST_BYTES = 10_000_000
"""Of a configuration; it is held in memory."""


def first_file(path: str | Path) -> Path:
    """The file to begin with; `ConfigError` if it cannot be one."""
    try:
        text = expanded(str(path))
    except ValueError as error:
        raise ConfigError([Problem("--config", "", str(error))]) from error
    if not text:
        message = "a path is empty; name a YAML file, or leave the option out"
        raise ConfigError([Problem("--config", "", message)])
    return Path(text)


def read_layers(path: Path, problems: list[Problem]) -> list[tuple[str, dict[str, Any]]]:
    """The file and all it extends, the furthest ancestor first."""
    layers: list[tuple[str, dict[str, Any]]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            problems.append(Problem(str(current), "extends", "extends itself, directly or through others"))
            break
        seen.append(current.resolve())
        values = _read_yaml(current, problems)
        parent = values.pop("extends", None)
        layers.insert(0, (str(current), values))
        if parent is not None and not (parent and isinstance(parent, str)):
            problems.append(
                Problem(str(current), "extends", f"expected the name of a YAML file, got {parent!r}")
            )
            parent = None
        try:
            current = current.parent / expanded(parent) if parent else None
        except ValueError as error:
            problems.append(Problem(str(current), "extends", str(error)))
            break
    return layers


def _read_yaml(path: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        loaded = read_yaml(text_of(_content(path)))
    except FileNotFoundError:
        problems.append(Problem(str(path), "", "no such file; the shipped ones are in configs/"))
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        what = f"is not {error.encoding.upper()} text (byte {error.start}); save it as UTF-8"
        problems.append(Problem(str(path), "", what))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems.append(
            Problem(str(path), "", f"{where}{getattr(error, 'problem', None) or 'not valid YAML'}")
        )
    except (RecursionError, ValueError, TypeError) as error:
        problems.append(Problem(str(path), "", f"not valid YAML: {error}"))
    else:
        if isinstance(loaded, dict):
            return {key: value for key, value in loaded.items() if not str(key).startswith("x-")}
        if loaded is not None:
            kind = type(loaded).__name__
            problems.append(Problem(str(path), "", f"expected sections such as 'input:', got a {kind}"))
    return {}


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"has more than {_MOST_BYTES} bytes, as no configuration has")
    return content


def read_override(text: str, problems: list[Problem]) -> dict[str, Any]:
    """The values of a text ``section.key=value``, whose value is YAML; none where there is a problem."""
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")):
        message = "expected section.key=value, such as engine.threads=2"
        problems.append(Problem(f"--set {text}", "", message))
        return {}
    try:
        loaded = read_yaml(value)
    except yaml.YAMLError as error:
        why = getattr(error, "problem", None)
        told = f" ({why})" if isinstance(error, yaml.constructor.ConstructorError) and why else ""
        problems.append(Problem(f"--set {text}", key, f"{value!r} is not a YAML value{told}; quote it"))
        return {}
    except (RecursionError, ValueError, TypeError) as error:
        problems.append(Problem(f"--set {text}", key, f"{value!r} is not a YAML value ({error}); quote it"))
        return {}
    for part in reversed(key.split(".")):
        loaded = {part: loaded}
    return dict(loaded)
