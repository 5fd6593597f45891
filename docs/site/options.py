"""The option files of ``conf/``: what each is, its commands, its keys and their comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from nst.config.compose import conf_dir

CONF = Path(conf_dir())


@dataclass(frozen=True)
class KeyLine:
    """A key as a file sets it.

    Attributes:
        value: as in YAML.
        comment: beside it; empty: none.
    """

    value: str
    comment: str


@dataclass(frozen=True)
class OptionFile:
    """One file of ``conf/``.

    Attributes:
        path: relative to ``conf/``.
    """

    path: Path

    @property
    def name(self) -> str:
        """The option's name."""
        return self.path.stem

    @cached_property
    def text(self) -> str:
        """The file."""
        return (CONF / self.path).read_text("utf-8")

    @cached_property
    def _head(self) -> list[str]:
        lines = self.text.splitlines()
        head = lines[1:] if lines[0].startswith("# @package") else lines
        comments = []
        for line in head:
            if not line.startswith("#"):
                break
            comments.append(line.lstrip("# "))
        return comments

    @property
    def about(self) -> str:
        """What the option is: the first comment, without the commands."""
        return re.split(r"\s\s+(?=nst )", self._head[0])[0]

    @property
    def commands(self) -> list[str]:
        """Commands that use it, from the first comment."""
        return re.split(r"\s\s+(?:\|\s+)?(?=nst )", self._head[0])[1:]

    @property
    def remarks(self) -> str:
        """The other comments above the keys."""
        return " ".join(self._head[1:])

    @property
    def target(self) -> str | None:
        """The class that Hydra makes of it, if any."""
        found = yaml.safe_load(self.text)
        return found.get("_target_") if isinstance(found, dict) else None

    @cached_property
    def keys(self) -> dict[str, KeyLine]:
        """The keys that the file sets, by dotted name within the group."""
        root = yaml.compose(self.text)
        return dict(self._keys(root, "")) if isinstance(root, yaml.MappingNode) else {}

    def _keys(self, node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, KeyLine]]:
        lines = self.text.splitlines()
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            if name == "defaults" or key.value.startswith("_"):  # Hydra's own
                continue
            block = isinstance(value, yaml.CollectionNode) and not value.flow_style
            mark = key.end_mark if block else value.end_mark
            after = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
            comment = re.search(r"\s#\s*(.*)", f" {after}")
            text = comment[1] if comment else ""
            if block:
                if text:
                    yield name, KeyLine("", text)
                if isinstance(value, yaml.MappingNode):
                    yield from self._keys(value, f"{name}.")
            else:
                yield name, KeyLine(self.text[value.start_mark.index : value.end_mark.index], text)


def groups() -> dict[str, list[OptionFile]]:
    """The options of every group, by the group's name.

    First those of ``config.yaml``, in its order, then those to add with ``+``, then Hydra's.
    """
    found: dict[str, list[OptionFile]] = {}
    for path in sorted(_files()):
        found.setdefault(path.parent.as_posix(), []).append(OptionFile(path))
    order = [str(next(iter(each))) for each in _defaults() if isinstance(each, dict)]

    def place(group: str) -> tuple[bool, int, str]:
        place = order.index(group) if group in order else len(order)
        return group.startswith("hydra/"), place, group

    return {
        group: found[group]
        for group in sorted(found, key=place)
        if not group.startswith("hydra/") or len(found[group]) > 1  # messages, help: no choice
    }


def default_options() -> dict[str, str]:
    """The option of each group that ``config.yaml`` chooses, by the group's name."""
    found: dict[str, str] = {}
    for each in _defaults():
        if isinstance(each, dict):
            found |= {str(key): str(value) for key, value in each.items()}
    return found


def _files() -> Iterator[Path]:
    for folder in (CONF, CONF / "experiments"):  # a link, which rglob does not follow
        for path in folder.rglob("*.yaml"):
            if (relative := path.relative_to(CONF)).parent != Path():
                yield relative


def _defaults() -> list[Any]:
    found: list[Any] = yaml.safe_load((CONF / "config.yaml").read_text("utf-8"))["defaults"]
    return found
