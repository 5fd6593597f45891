"""The keys of the schema, and what is declared of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, reduce
from typing import Any, get_type_hints

from nst.config.schema import Affects, Config, Key

PICTURE_GROUPS = ("content", "style")
"""Config groups that take a picture in place of an option: ``style=X`` is ``style.path=X``."""

PROGRAM = "program"
"""Key of a measured picture's config, which has the program that made it in place of settings."""


@cache
def keys() -> Mapping[str, Key]:
    """Every key of the schema by its dotted name, such as ``init.name`` or ``logger``."""
    return dict(_keys(Config, ""))


def _keys(schema: type, prefix: str) -> Iterator[tuple[str, Key]]:
    types = get_type_hints(schema)
    for item in fields(schema):
        name = f"{prefix}{item.name}"
        if "key" in item.metadata:
            yield name, item.metadata["key"]
        else:
            yield from _keys(types[item.name], f"{name}.")


@cache
def declared(name: str) -> Key | None:
    """The ``Key`` of a dotted name, which may lie inside a key that holds any mapping.

    Returns:
        None for a name that is not a key of the schema, such as a config group.
    """
    found = keys()
    if name in found:
        return found[name]
    head, dot, part = name.rpartition(".")
    while dot:
        if head in found:
            return found[head].parts.get(part.split(".")[0], found[head])
        head, dot, last = head.rpartition(".")
        part = f"{last}.{part}"
    return None


@cache
def affects_result(name: str) -> bool:
    """Whether a dotted key, or the option of a config group, may change the picture."""
    found = declared(name)
    if found is not None:
        return found.affects == Affects.RESULT
    group = [each.affects for key, each in keys().items() if key.startswith(f"{name}.")]
    if group:
        return Affects.RESULT in group
    # a group such as pair may set any key; Hydra's own keys and groups set none
    return not name.startswith(("hydra.", "hydra/"))


def batch_shares(name: str) -> bool:
    """Whether the runs of a batch must have the same value of a dotted key."""
    found = declared(name)
    return found is not None and found.affects != Affects.NEITHER and not found.own


def value_of(config: Any, name: str) -> Any:
    """The value of a dotted key of a ``Config``."""
    return reduce(getattr, name.split("."), config)


def values(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted key, nested mappings included.

    Args:
        config: a ``Config``, or a resolved one as a run folder has it.
        prefix: of the keys.
    """
    if is_dataclass(config):
        config = {item.name: getattr(config, item.name) for item in fields(config)}
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        nested = is_dataclass(value) or isinstance(value, Mapping)
        found |= values(value, f"{name}.") if nested else {name: value}
    return found


def displayed_values(config: Any) -> dict[str, Any]:
    """Those of ``values`` that pages show where runs differ: all that may change the picture.

    Keys that the config of an older run does not have are filled in; a measured picture has no
    settings.
    """
    found = values(config)
    if PROGRAM not in found:
        groups = {part for key in found for part in _prefixes(key)}
        for name, neutral in _neutral().items():
            if name not in groups:
                found |= values({name: neutral})
    return {key: value for key, value in found.items() if affects_result(key) or is_label(key)}


@cache
def _prefixes(name: str) -> frozenset[str]:
    """A dotted name and the names of the groups that it is in."""
    parts = name.split(".")
    return frozenset(".".join(parts[:count]) for count in range(1, len(parts) + 1))


@cache
def _neutral() -> Mapping[str, Any]:
    """The keys that older runs may not have, with the values that say the same."""
    return {name: key.neutral for name, key in keys().items() if key.neutral is not None}


def is_label(name: str) -> bool:
    """Whether a dotted key is the name of its group's option, such as ``init.name``."""
    found = declared(name)
    return found is not None and found.label


@cache
def file_keys() -> frozenset[str]:
    """Keys that take the name of a file, such as ``content.path`` and ``content.mask``."""
    return frozenset(name for name, key in keys().items() if key.file)


@cache
def picture_keys() -> frozenset[str]:
    """Those of the ``file_keys`` that take a picture: all that affect the result but weights."""
    return frozenset(
        name
        for name in file_keys()
        if keys()[name].affects == Affects.RESULT and keys()[name].fact != "weights"
    )
