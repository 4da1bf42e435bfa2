"""YAML as people mean it: what YAML 1.1 reads in surprising ways is refused, with its line."""

from __future__ import annotations

import re
from typing import Any

import yaml

_OLD_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_OLD_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OLD_BOOLEAN = re.compile(r"yes|no|on|off", re.IGNORECASE)


def read_yaml(text: str) -> Any:
    """Read one YAML document into plain values.

    Refused besides what is no YAML: a key that stands twice in a mapping, of which the first value would be
    lost without a word; and plain values of which YAML 1.1 and 1.2 think differently: ``010`` (8 or 10),
    ``1:30`` (90 or text) and ``yes``, ``no``, ``on``, ``off`` (true, false or text).

    Raises
    ------
    yaml.YAMLError
        With the line in ``problem_mark``, where it is known.
    ValueError, TypeError, RecursionError
        A value makes no sense (a date in a month 13, ...).
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses what surprises."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping as it is written, before ``<<`` brings in keys of others."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                message = f"{key.value!r} stands in line {lines[key.value]} already; keep one of them"
                if key.value == "<<":
                    message = f"'<<' stands in line {lines['<<']} already; write <<: [*ONE, *OTHER]"
                raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
            lines[key.value] = line
        return node


def _refuse_surprises(loader: _Loader, node: yaml.ScalarNode) -> Any:
    value = node.value
    kind = node.tag.rpartition(":")[2]
    if kind == "int" and _OLD_OCTAL.fullmatch(value):
        means = f"{value} is an octal number to some; write {value.lstrip('+-0_') or '0'}, or quote it"
    elif kind in ("int", "float") and _OLD_SIXTIES.fullmatch(value):
        means = f"{value} is a number to the base of sixty to some; quote it"
    elif kind == "bool" and _OLD_BOOLEAN.fullmatch(value):
        means = f"{value} is a truth value to some and text to others; write true or false, or quote it"
    else:
        return getattr(loader, f"construct_yaml_{kind}")(node)
    raise yaml.constructor.ConstructorError(None, None, means, node.start_mark)


for _kind in ("int", "float", "bool"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse_surprises)
