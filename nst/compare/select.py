"""The runs of an output folder, and those of them that a filter selects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from nst.compare.filter import TEXT_KEYS, Condition, Facts, number, parse
from nst.compare.studies import KEY, Studies, Trials
from nst.config.differences import labels, text
from nst.config.experiment import MEASURES
from nst.config.keys import PROGRAM, values
from nst.runs.record import FACTS, RunRecord
from nst.runs.votes import preference_values
from nst.sweeps import sweep_folder
from nst.utils.errors import ConfigError, NstError, listed
from nst.utils.text import nearest

LAST = "last"
"""``sweep=last`` matches the runs of the sweep that began last."""

SPECIAL = ("name", "status", "program", "experiment", "sweep", KEY)
"""Keys that every run has besides those of its config and its metrics."""


class NoRunsError(NstError):
    """There is no run, or none that matches."""


@dataclass(frozen=True)
class Entry:
    """A run that a page can show.

    Attributes:
        record: its folder.
        sweeps: names of the sweeps that it was a job of, and ``LAST`` if one of them began last.
        trials: those that it is.
        preference: see ``nst.runs.votes.preference_values``; None: there is no vote on it.
    """

    record: RunRecord
    sweeps: list[str]
    trials: Trials
    preference: float | None = None

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.record.folder.name

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Measures and last losses by name; of an unfinished run, those of its last row."""
        record = self.record
        last = {} if record.completed else next(iter(record.rows[-1:]), {})
        losses = {key: value for key, value in last.items() if key.startswith("loss/")}
        losses |= record.facts.get("losses", {})
        found = {
            **losses,
            **{name: record.measure(name) for name in MEASURES},
            "loss": losses.get("loss/total"),
            "seconds": record.measure("seconds") or last.get("seconds"),
            "preference": self.preference,
        }
        return {name: value for name, value in found.items() if value is not None}

    @cached_property
    def facts(self) -> Facts:
        """All that a filter can refer to, as text."""
        config = self.record.config
        found = {
            **values(config),
            **labels(config),
            **self.metrics,
            "name": self.name,
            "status": self.record.status,
            PROGRAM: self.record.program,
            "experiment": self.record.experiments,
            "sweep": self.sweeps,
            KEY: [*self.trials],
            "trial": [number for numbers in self.trials.values() for number in numbers],
        }
        return {
            key: [*map(text, value)] if isinstance(value, list) else text(value)
            for key, value in found.items()
        }


def entries(outputs: Path) -> list[Entry]:
    """All runs of an output folder that have begun, the oldest first.

    Raises:
        NoRunsError: if there is none.
    """
    jobs = _jobs(outputs)
    found: list[tuple[RunRecord, dict[str, str]]] = []
    for file in sorted((outputs / "runs").glob(f"*/{FACTS}"), key=_age):
        record = RunRecord(file.parent)
        if record.config:
            sweeps = jobs.get(file.parent.name, {})
            if group := (record.config.get("run") or {}).get("group"):
                # the sweep's folder may be elsewhere: the sweep began no later than this run
                made = datetime.fromtimestamp(_age(file.parent / "config.yaml"), UTC)
                sweeps = {group: made.isoformat(), **sweeps}
            found.append((record, sweeps))
    if not found:
        raise NoRunsError(f"no run in {outputs / 'runs'}")
    last, studies = _last([sweeps for _, sweeps in found]), Studies(outputs)
    preferences = preference_values(outputs)
    return [
        Entry(
            record,
            [*sweeps, *([LAST] if last in sweeps else [])],
            studies.of_run(record.folder.name, record.config),
            preferences.get(record.folder.name),
        )
        for record, sweeps in found
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
