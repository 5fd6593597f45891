"""In what the configs of runs differ, and the values as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst.config.keys import PROGRAM, displayed_values, is_label


def labels(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is chosen in each group, by name: ``{"init": ["noise"], "style": ["waves"]}``.

    A group has several names if a file is chosen in it: ``{"init": ["file", "start.png"]}``.
    """
    found: dict[str, list[str]] = {}
    for key, value in displayed_values(config).items():
        if is_label(key) and value is not None:
            found.setdefault(key.rpartition(".")[0], []).append(_name(value))
    return found


def _name(value: Any) -> str:
    if isinstance(value, list):  # several styles
        return " + ".join("none" if each is None else _name(each) for each in value)
    return Path(str(value)).name.removeprefix("builtin:")


def settings(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each config the keys whose values differ between the configs, with its values.

    An init or a picture has its name as value: ``{"init": "noise", "style": "waves"}``. From the
    settings of runs, which a measured picture does not have, it does not differ.

    Args:
        configs: resolved, as run folders have them.
    """
    return differing([displayed_values(config) for config in configs])


def differing(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``settings`` of configs whose ``displayed_values`` are known."""
    keys = dict.fromkeys(key for each in found for key in each)
    different = [key for key in keys if _differs(found, key)]
    return [_named(each, [key for key in different if key in each]) for each in found]


def _differs(found: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = (str(each.get(key)) for each in found if key in each or PROGRAM not in each)
    first = next(values)
    return any(value != first for value in values)


def _named(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    labelled = {key.rpartition(".")[0] for key in keys if is_label(key)}
    found: dict[str, Any] = {}
    for key in keys:
        group = key.rpartition(".")[0]
        if is_label(key):
            if config[key] is not None or group not in found:
                found[group] = _name(config[key])
        elif group not in labelled:
            found[key] = config[key]
    return found


def text(value: Any) -> str:
    """A value as on the command line: ``true``, ``null``, ``1e6``, ``[a,b]``."""
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    if isinstance(value, float):
        short = re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")  # 1e6, not 1e+06
        return short if float(short) == value else repr(value)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
