"""Keys of the configuration that were called otherwise in earlier versions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pipeline.errors import Problem

_log = logging.getLogger(__name__)

RENAMED = {
    "crop.max_side_px": "network.max_side_px",
    "refine.jaw_penalty": "scores.jaw_penalty",
    "refine.jaw_support": "scores.jaw_support",
    "network.upsample": "network.interpolation",
}
"""Keys of earlier versions and their names of today; the old ones are still taken, with a warning."""

RENAMED_VALUES = {"network.upsample": {"scores": "cubic"}}
"""Old key -> its values that are called otherwise under the new one."""


def renamed(layer: Mapping[str, Any], source: str | None, problems: list[Problem]) -> dict[str, Any]:
    """The values of one source with the keys of earlier versions under their names of today.

    What a user may write anew is warned of; a source of None is a record, which nobody is to change.
    """
    renamed = dict(layer)
    for old, new in RENAMED.items():
        (old_section, old_key), (section, key) = old.split("."), new.split(".")
        given = renamed.get(old_section)
        if not isinstance(given, dict) or old_key not in given:
            continue
        kept = {name: given[name] for name in given if name != old_key}
        target = kept if section == old_section else renamed.get(section) or {}
        if not isinstance(target, dict):
            continue
        if source is not None and key in target:
            problems.append(Problem(source, old, f"is called {new} now, which is given too; keep that one"))
        elif source is not None:
            _log.warning("%s: %s is called %s now; the old name will go", source, old, new)
        value, values = given[old_key], RENAMED_VALUES.get(old, {})
        renamed[old_section] = kept
        renamed[section] = {key: values.get(value, value) if isinstance(value, str) else value, **target}
    return renamed
