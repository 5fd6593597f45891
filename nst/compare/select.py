"""The runs of an output folder, and those of them that a filter selects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from nst.compare.filter import TEXT_KEYS, Condition, Facts, number, parse
from nst.compare.page_run import PageRun, as_texts
from nst.compare.run_cache import RunCache
from nst.compare.studies import KEY, Studies, Trials
from nst.config.experiment import MEASURES
from nst.runner.record import FACTS
from nst.runner.votes import preference_values
from nst.sweeps import sweep_folder
from nst.utils.errors import ConfigError, NstError, listed
from nst.utils.text import nearest

LAST = "last"
"""``sweep=last`` matches the runs of the sweep that began last."""

PAGE = "compare"
"""Folder of the page among the outputs."""

SPECIAL = ("name", "status", "program", "experiment", "sweep", KEY)
"""Keys that every run has besides those of its config and its metrics."""


class NoRunsError(NstError):
    """There is no run, or none that matches."""


@dataclass(frozen=True)
class Entry:
    """A run that a page can show.

    Attributes:
        folder: the run folder.
        run: what its folder tells.
        sweeps: names of the sweeps that it was a job of, and ``LAST`` if one of them began last.
        trials: those that it is.
        preference: see ``nst.runner.votes.preference_values``; None: there is no vote on it.
    """

    folder: Path
    run: PageRun
    sweeps: list[str]
    trials: Trials
    preference: float | None = None

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.run.name

    @cached_property
    def facts(self) -> Facts:
        """All that a filter can refer to, as text."""
        found: dict[str, Any] = {
            "sweep": self.sweeps,
            KEY: [*self.trials],
            "trial": [number for numbers in self.trials.values() for number in numbers],
        }
        if self.preference is not None:
            found["preference"] = self.preference
        return {**self.run.facts, **as_texts(found)}


def entries(outputs: Path, cache: RunCache | None = None) -> list[Entry]:
    """All runs of an output folder that have begun, the oldest first.

    Args:
        outputs: root folder.
        cache: reads the runs; None: that of the folder's page.

    Raises:
        NoRunsError: if there is none.
    """
    cache = cache or RunCache(outputs / PAGE)
    jobs = _jobs(outputs)
    found: list[tuple[Path, PageRun, dict[str, str]]] = []
    for file in sorted((outputs / "runs").glob(f"*/{FACTS}"), key=_age):
        folder = file.parent
        run = cache.run(folder)
        if run is not None:
            sweeps = jobs.get(run.name, {})
            if run.group:
                # the sweep's folder may be elsewhere: the sweep began no later than this run
                made = datetime.fromtimestamp(_age(folder / "config.yaml"), UTC)
                sweeps = {run.group: made.isoformat(), **sweeps}
            found.append((folder, run, sweeps))
    if not found:
        raise NoRunsError(f"no run in {outputs / 'runs'}")
    last, studies = _last([sweeps for *_, sweeps in found]), Studies(outputs)
    preferences = preference_values(outputs)
    return [
        Entry(
            folder,
            run,
            [*sweeps, *([LAST] if last in sweeps else [])],
            studies.of_run(run.name, run.study, run.trial),
            preferences.get(run.name),
        )
        for folder, run, sweeps in found
    ]


def sweep_named(outputs: Path, words: Sequence[str]) -> Path | None:
    """The folder of the sweep that a word ``sweep=NAME`` names; None: no word does."""
    folders = [path.parent for path in (outputs / "sweeps").glob(f"*/{sweep_folder.JOBS}")]
    for word in words:
        key, _, name = word.partition("=")
        if key == "sweep":
            found = [each for each in folders if name in (each.name, LAST)]
            return max(found, key=sweep_folder.began, default=None)
    return None


def _jobs(outputs: Path) -> dict[str, dict[str, str]]:
    """By the name of a run folder, the sweeps that it was a job of, and when they began."""
    found: dict[str, dict[str, str]] = {}
    for path in (outputs / "sweeps").glob(f"*/{sweep_folder.JOBS}"):
        began = sweep_folder.began(path.parent)
        for ended in sweep_folder.outcomes(path.parent):
            if ended.folder is not None:
                found.setdefault(ended.folder.name, {})[path.parent.name] = began
    return found


def _last(sweeps: Iterable[dict[str, str]]) -> str:
    """Name of the sweep that began last; empty if there is none."""
    began: dict[str, str] = {}
    for each in sweeps:
        for name, time in each.items():
            began[name] = min(time, began.get(name, time))
    return max(began, key=began.__getitem__, default="")


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def select(found: Sequence[Entry], words: Iterable[str]) -> list[Entry]:
    """The runs that match all words.

    Args:
        found: the runs to choose from.
        words: see ``nst.compare.filter``.

    Raises:
        ConfigError: for a key that no run has, and for ``<`` or ``>`` without a number.
        NoRunsError: if no run matches.
    """
    words = list(words)
    conditions = [parse(word) for word in words]
    for condition in conditions:
        if condition.keys != TEXT_KEYS:
            _check(condition, found)
    chosen = [entry for entry in found if all(each.matches(entry.facts) for each in conditions)]
    if not chosen:
        raise NoRunsError(f"no run matches {' '.join(words)} ({len(found)} searched)")
    return chosen


def _check(condition: Condition, found: Sequence[Entry]) -> None:
    key, value = condition.keys[0], condition.patterns[0]
    known = {*SPECIAL, *MEASURES, *(key for entry in found for key in entry.facts)}
    if key not in known:
        near = nearest(key, known)
        hint = f" (did you mean {near}?)" if near else ""
        allowed = f"keys of config.yaml, metrics, {listed(SPECIAL)}"
        raise ConfigError(key, value, f"no run has such a key{hint}; allowed: {allowed}")
    if condition.sign != "=" and math.isnan(number(value)):
        raise ConfigError(key, value, f"{key}{condition.sign} must be followed by a number")
