"""Values of several sources laid upon one another, and what is wrong with them: source, key, next step."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pipeline.errors import Problem

_MAX_DEPTH = 8


def merge(
    base: dict[str, Any], layer: Mapping[Any, Any], source: str, origins: dict[str, str], prefix: str = ""
) -> None:
    """Lay one source's values upon others, and note for every key which source it is of."""
    if prefix.count(".") > _MAX_DEPTH:
        return  # a YAML anchor inside itself; its outermost key is reported as unknown
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        origins[dotted] = source
        if isinstance(value, Mapping):
            if not isinstance(base.get(key), dict):
                base[key] = {}
            merge(base[key], value, source, origins, f"{dotted}.")
        else:
            base[key] = value


def with_sections(
    model: type[BaseModel],
    layer: Mapping[Any, Any],
    prefix: tuple[str, ...],
    source: str,
    problems: list[Problem],
) -> dict[Any, Any]:
    """The values of one source, of which a section that holds a value instead of keys is told and left out.

    Before sources are merged: afterwards the keys of another source would have taken its place.
    """
    kept: dict[Any, Any] = {}
    for key, value in layer.items():
        field = model.model_fields.get(key) if isinstance(key, str) else None
        section = None if field is None else section_of(field.annotation)
        if section is None:
            kept[key] = value
        elif isinstance(value, Mapping):
            kept[key] = with_sections(section, value, (*prefix, key), source, problems)
        elif value is not None:
            message = f"expected keys below it ({', '.join(section.model_fields)}), got {value!r}"
            problems.append(Problem(source, ".".join((*prefix, key)), message))
    return kept


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field of such an annotation holds, or None."""
    candidates = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def check_keys(
    model: type[BaseModel],
    values: dict[str, Any],
    prefix: tuple[str, ...],
    origins: Mapping[str, str],
    path: str,
    problems: list[Problem],
) -> None:
    """Report unknown keys with the nearest known one, and drop them so that the rest is still checked."""
    for key in list(values):
        dotted = ".".join((*prefix, str(key)))
        if key not in model.model_fields:
            near = difflib.get_close_matches(str(key), model.model_fields, n=1, cutoff=0.5)
            known = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(model.model_fields)}"
            problems.append(Problem(origins.get(dotted, path), dotted, f"unknown key; {known}"))
            del values[key]
            continue
        section = section_of(model.model_fields[key].annotation)
        if section is not None:
            check_keys(section, values[key], (*prefix, str(key)), origins, path, problems)


def validation_problems(
    whole: type[BaseModel], error: ValidationError, origins: Mapping[str, str], path: str
) -> list[Problem]:
    """One problem a key: pydantic reports every branch of a union by itself."""
    messages: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for item in error.errors():
        names = _key_path(whole, item["loc"])
        dotted = ".".join(names)
        message = (
            item["msg"]
            .removeprefix("Input should be ")
            .removeprefix("a valid ")
            .removeprefix("Value error, ")
            .replace("tuple", "list")
        )
        if message not in messages.setdefault(dotted, []):
            messages[dotted].append(message)
        given[dotted] = item["input"]
    return [
        Problem(
            _origin(dotted, origins, path), dotted, f"expected {' or '.join(texts)}, got {given[dotted]!r}"
        )
        for dotted, texts in messages.items()
    ]


def _key_path(whole: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The part of a pydantic location that is made of our keys and of list positions."""
    names: list[str] = []
    model: type[BaseModel] | None = whole
    for part in loc:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            names.append(part)
            model = section_of(model.model_fields[part].annotation)
        elif isinstance(part, int):
            names.append(str(part))
    return names


def _origin(dotted: str, origins: Mapping[str, str], path: str) -> str:
    while dotted and dotted not in origins:
        dotted = dotted.rpartition(".")[0]
    return origins.get(dotted, path)
