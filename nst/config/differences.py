"""What configs of finished runs have in common, and in what they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_NOT_COMPARED = ("run", "logger", "trainer", "outputs", "force", "retry", "experiment")


def settings(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each config the keys whose values differ between the configs, with its values.

    An init or a picture is told by its name: ``{"init": "noise", "style": "waves"}``.
    """
    flats = [flat(config) for config in configs]
    keys = dict.fromkeys(key for each in flats for key in each)
    differing = [key for key in keys if len({str(each.get(key)) for each in flats}) > 1]
    return [_named(each, [key for key in differing if key in each]) for each in flats]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a config, without what differs from run to run by itself."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if not prefix and key in _NOT_COMPARED:
            continue
        name = f"{prefix}.{key}" if prefix else str(key)
        found |= flat(value, name) if isinstance(value, Mapping) else {name: value}
    return found


def _named(config: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    # the other fields of what has a name follow from it
    named = [key.rpartition(".")[0] for key in keys if key.endswith((".name", ".path"))]
    found: dict[str, Any] = {}
    for key in keys:
        group, _, last = key.rpartition(".")
        if last in ("name", "path"):
            found[group] = Path(str(config[key])).name.removeprefix("builtin:")
        elif group not in named:
            found[key] = config[key]
    return found
