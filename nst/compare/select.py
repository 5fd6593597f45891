"""Which runs a person means: words and ``key=value`` against what run folders say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from nst.config.keys import values
from nst.runs.record import FACTS, RunRecord
from nst.sweeps import sweep_folder
from nst.utils.errors import ConfigError, NstError, listed
from nst.utils.text import nearest

SPECIAL = ("experiment", "status", "sweep", "task", "init", "content", "style")
"""Keys besides those of configs; ``sweep=last`` is the one that was begun last."""

LAST = "last"


class NoRunsError(NstError):
    """There is no run of what was asked for, or not yet."""


@dataclass(frozen=True)
class Entry:
    """A run that may be shown.

    Attributes:
        result: what its folder says.
        experiments: names of those that it is part of.
        sweeps: those that it was a job of: names of their folders, and when they began (ISO 8601).
    """

    result: RunRecord
    experiments: list[str]
    sweeps: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.result.folder.name

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a filter may ask for, by key."""
        config = self.result.config
        named = {
            group: node.get("name") or Path(str(node.get("path"))).name.removeprefix("builtin:")
            for group in ("init", "content", "style")
            if isinstance(node := config.get(group), dict)
        }
        own = {
            "status": self.result.status,
            "experiment": self.experiments,
            "sweep": list(self.sweeps),
        }
        return values(config) | named | own


def entries(outputs: Path) -> list[Entry]:
    """All runs of an output folder that have begun, the oldest first.

    Raises:
        NoRunsError: if there is none.
    """
    sweeps: dict[str, dict[str, str]] = {}  # by the name of a run folder
    for path in (outputs / "sweeps").glob(f"*/{sweep_folder.JOBS}"):
        began = sweep_folder.began(path.parent)
        for ended in sweep_folder.outcomes(path.parent):
            if ended.folder is not None:
                sweeps.setdefault(ended.folder.name, {})[path.parent.name] = began
    found = []
    for file in sorted((outputs / "runs").glob(f"*/{FACTS}"), key=_age):
        folder = file.parent
        result = RunRecord(folder)
        if result.config:
            own = sweeps.get(folder.name, {})
            if group := (result.config.get("run") or {}).get("group"):
                # a sweep whose folder was chosen, or lies in other outputs: this run began with it
                made = datetime.fromtimestamp(_age(folder / "config.yaml"), UTC)
                own = {group: made.isoformat(), **own}
            found.append(Entry(result, result.experiments, own))
    if not found:
        raise NoRunsError(f"no run in {outputs / 'runs'}")
    return found


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # taken away meanwhile
        return 0.0


def select(found: Sequence[Entry], words: Iterable[str]) -> list[Entry]:
    """The runs that all words speak of.

    Args:
        found: the runs to choose from.
        words: ``KEY=PATTERN[,PATTERN]`` with ``*`` and ``?`` for a key of the config, or of
            ``SPECIAL``; anything else is part of a run folder's name.

    Raises:
        ConfigError: for a key that no run has.
        NoRunsError: if there is no such run.
    """
    words = list(words)
    keys = {*SPECIAL, *(key for entry in found for key in entry.settings)}
    last = _last(found)
    chosen = list(found)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            pattern = word if any(sign in word for sign in "*?[") else f"*{word}*"
            chosen = [entry for entry in chosen if fnmatchcase(entry.name, pattern)]
            continue
        if key not in keys:
            near = nearest(key, keys)
            hint = f" (did you mean {near}?)" if near else ""
            problem = f"no key of these runs{hint}; allowed: keys of the config, {listed(SPECIAL)}"
            raise ConfigError(key, text, problem)
        patterns = [text]  # a value may itself have commas or brackets
        if not text.startswith("["):
            patterns += text.strip("[]").split(",")
        if key == "sweep":
            patterns = [last if pattern == LAST else pattern for pattern in patterns]
        chosen = [entry for entry in chosen if _matches(entry.settings.get(key), patterns)]
    if not chosen:
        raise NoRunsError(f"no run matches {' '.join(words)} ({len(found)} searched)")
    return chosen


def _last(found: Sequence[Entry]) -> str:
    """Name of the sweep that began last; empty if there is none."""
    began: dict[str, str] = {}
    for entry in found:
        for name, time in entry.sweeps.items():
            began[name] = min(time, began.get(name, time))
    return max(began, key=began.__getitem__, default="")


def _matches(value: Any, patterns: Sequence[str]) -> bool:
    values = value if isinstance(value, list) else [value]
    whole = f"[{','.join(map(str, values))}]" if isinstance(value, list) else str(value)
    return any(
        pattern.replace(" ", "") == whole
        or any(
            str(each) == pattern or fnmatchcase(str(each), pattern) or _same(each, pattern)
            for each in values
        )
        for pattern in patterns
    )


def _same(value: Any, text: str) -> bool:
    """1e5 is 100000.0."""
    try:
        return not isinstance(value, bool) and float(value) == float(text)
    except (TypeError, ValueError):
        return False
