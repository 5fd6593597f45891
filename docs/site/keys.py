"""The reference of config groups and keys, from the schema and the comments of ``conf/``."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from docs.site.options import CONF, OptionFile, default_options, groups
from docs.site.text import code, directive, docstring, prose, table
from nst.config import schema
from nst.config.keys import keys
from nst.config.schema import Affects, Config, Key

LOSSES = ("style_loss", "content_loss")
"""Groups whose classes have a page of their own."""

_AFFECTS = {Affects.RESULT: "result", Affects.BATCH: "batch", Affects.NEITHER: "neither"}
_TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}


def page() -> str:
    """The sections of the page: keys without a group, then every group."""
    parts = [_general()]
    for group, options in groups().items():
        parts.append(section(group, options))
        if group in LOSSES:
            parts.append("The parameters: [losses, one by one](loss_reference.md).")
        else:
            parts += [
                directive(name, {"heading_level": 3, "members": "false"})
                for name in _classes(options)
            ]
    return "\n\n".join(parts)


def _general() -> str:
    """The keys that ``config.yaml`` itself sets, and those that ``nst`` fills in."""
    file = [OptionFile(CONF / "config.yaml")]
    own = [name for name in keys() if name.split(".")[0] not in groups()]
    filled = [name for name in own if name.startswith("run.")]
    parts = ["## Keys without a group", _declared([name for name in own if "." not in name], file)]
    for head in dict.fromkeys(name.split(".")[0] for name in own if "." in name):
        names = [name for name in own if name.startswith(f"{head}.")]
        parts += [f"## `{head}`", docstring(_declaration(head))]
        parts.append(", ".join(map(code, names)) if names == filled else _declared(names, file))
    return "\n\n".join(part for part in parts if part)


def section(group: str, options: Sequence[OptionFile]) -> str:
    """The section of a group: what it is, its options, its keys."""
    own = [name for name in keys() if name.startswith(f"{group}.")]
    parts = [
        f"## `{group}`",
        docstring(_declaration(group)),
        table(
            ["option", "what it is", "command"],
            [
                [
                    f"[`{each.name}`](../conf/{each.path.as_posix()})"
                    + (" (default)" if default_options().get(group) == each.name else ""),
                    prose(f"{each.about} {each.remarks}".strip()),
                    "<br>".join(map(code, each.commands)),
                ]
                for each in options
            ],
        ),
    ]
    if own:
        parts.append(_declared(own, options, group))
    elif not _global(options):
        parts.append(_undeclared(group, options))
    return "\n\n".join(part for part in parts if part)


def _declaration(group: str) -> Any:
    """The dataclass of a group in the schema; a class without a docstring for others."""
    hint = get_type_hints(Config).get(group)
    return hint if is_dataclass(hint) else type(None)


def _classes(options: Sequence[OptionFile]) -> list[str]:
    """Our classes that the options name, whose parameters are the keys."""
    targets = dict.fromkeys(each.target for each in options if each.target)
    return [name for name in targets if name.startswith(("nst.", "hydra_plugins."))]


def _global(options: Sequence[OptionFile]) -> bool:
    """Whether the options set keys of other groups."""
    return any(each.text.startswith("# @package _global_") for each in options)


def _declared(names: Iterable[str], files: Sequence[OptionFile], group: str = "") -> str:
    """A table of keys that the schema declares."""
    rows = []
    for name in names:
        comment = _comment(name.removeprefix(f"{group}."), files) or _title(name)
        rows.append(
            [
                code(name),
                _default(name),
                "<br>".join(
                    each for each in (comment, f"*{_allowed(name, keys()[name])}*") if each
                ),
                _AFFECTS[keys()[name].affects] + (" (own)" if keys()[name].own else ""),
            ]
        )
    return table(["key", "default", "meaning, and *values*", "affects"], rows)


def _title(name: str) -> str:
    """What the dataclass of a key says of itself, in a line."""
    hint = _hint(name)
    return prose(docstring(hint).partition("\n")[0]) if is_dataclass(hint) else ""


def _undeclared(group: str, options: Sequence[OptionFile]) -> str:
    """A table of keys that only the option files have."""
    names = dict.fromkeys(name for each in options for name in each.keys)
    prefix = group.replace("/", ".")
    rows = []
    for name in names:
        given = {each.name: each.keys[name].value for each in options if name in each.keys}
        if all(option == value for option, value in given.items()):
            shown = "the option's name"
        elif len(given) == len(options) and len(set(given.values())) == 1:
            shown = code(next(iter(given.values())))
        else:
            shown = "<br>".join(f"{option}: {code(value)}" for option, value in given.items())
        rows.append([code(f"{prefix}.{name}"), shown, _comment(name, options)])
    return table(["key", "value", "meaning"], rows) if rows else ""


def _comment(name: str, files: Sequence[OptionFile]) -> str:
    """The comment beside a key, of the first file that has one."""
    for each in files:
        if name in each.keys and each.keys[name].comment:
            return prose(each.keys[name].comment)
    return ""


def _default(name: str) -> str:
    node: Any = _composed()
    for part in name.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict) and node:  # another group: its options say
        return ""
    return code("null" if node is None else _flow(node))


def _flow(value: Any) -> str:
    """A value as YAML has it on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value)


@cache
def _composed() -> dict[str, Any]:
    """The default config."""
    schema.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = OmegaConf.to_container(compose("config"), resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _allowed(name: str, key: Key) -> str:
    """The values that a key takes."""
    if key.one_of is not None:
        return ", ".join("null" if each is None else each for each in key.one_of)
    hint = _hint(name)
    if is_dataclass(hint):
        return "; ".join(each.name for each in fields(hint))
    kind = _type(hint)
    if key.file:
        kind = kind.replace("text", "a file").replace("any value", "a file, or a list of files")
    if key.valid is None:
        return kind
    first, _, null = kind.partition(" or ")
    limits = key.valid[1].removeprefix("must be ").removeprefix("allowed: ")
    limits = re.sub(r"[,;] or null$", "", limits)
    said = limits.removeprefix("a ")  # the limits may say the type as well
    words = said if said.startswith(first.split()[0]) else f"{first}: {limits}"
    return prose(words) + (f"; or {null}" if null and "null" not in limits else "")


def _hint(name: str) -> Any:
    hint: Any = Config
    for part in name.split("."):
        hint = get_type_hints(hint)[part]
    return hint


def _type(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_type, get_args(hint)))
    if get_origin(hint) is list:
        return f"list of {_type(get_args(hint)[0])}s".replace("texts", "names")
    return _TYPES.get(hint, "any value")
