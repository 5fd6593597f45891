"""The studies of an output folder: the runs that are their trials, and the one that a page shows.

Optuna is imported only where a study is read: pages of other runs work without it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nst.compare.filter import parse
from nst.sweeps.search.folder import FOLDER, names
from nst.utils.errors import ConfigError, NstError, listed, reason

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord

log = logging.getLogger(__name__)

KEY = "study"
"""Key of the filter."""

Trials = dict[str, list[int]]
"""By the name of a study, numbers of its trials."""


class Studies:
    """The studies of an output folder and their runs.

    Args:
        outputs: root folder.
    """

    def __init__(self, outputs: Path) -> None:
        found = names(outputs)
        self._by_run: dict[str, Trials] = {}
        self._runs: dict[str, dict[int, str | None]] = {}
        if not found or not _has_optuna():
            return
        for name in found:
            try:
                study = _read(outputs, name)
            except NstError as error:
                log.warning("skipped: %s", error)
                continue
            self._runs[name] = {trial.number: trial.run for trial in study.trials}
            for trial in study.trials:
                if trial.run is not None:
                    own = self._by_run.setdefault(trial.run, {})
                    own.setdefault(name, []).append(trial.number)

    def of_run(self, run: str, name: str | None, number: int | None) -> Trials:
        """The trials that a run is, by their studies.

        A study's file decides: a run that existed before a study has no study in its config, or
        another one. A trial that has not ended has no run in the file, and one of a file that is
        gone has none either: there the config decides.

        Args:
            run: name of its folder.
            name: of the study, by its config; None: it has none there.
            number: of the trial, by its config.
        """
        found = {study: list(numbers) for study, numbers in self._by_run.get(run, {}).items()}
        if name and number is not None and name not in found:
            filed = self._runs.get(name, {number: None})
            if number in filed and filed[number] is None:
                found[name] = [number]
        return found


def selected(outputs: Path, words: Iterable[str], others: Iterable[str] = ()) -> StudyRecord | None:
    """The study that the words of a filter select.

    Args:
        outputs: root folder.
        words: see ``nst.compare.filter``.
        others: studies that runs belong to, whose file may be gone.

    Returns:
        None if they select no study or several, or if it has no file.

    Raises:
        ConfigError: if there is no such study; without Optuna.
        NstError: if its file cannot be read.
    """
    conditions = [each for each in map(parse, words) if (each.keys, each.sign) == ((KEY,), "=")]
    if not conditions:
        return None
    filed = names(outputs)
    known = sorted({*filed, *others})
    found = [name for name in known if all(each.matches({KEY: name}) for each in conditions)]
    if not found:
        allowed = f"allowed: {listed(known)}" if known else f"{outputs / FOLDER} has none"
        raise ConfigError(KEY, conditions[0].patterns[0], f"no such study; {allowed}")
    if len(found) > 1 or found[0] not in filed:
        return None
    if not _has_optuna():
        raise ConfigError(KEY, found[0], "needs Optuna: pip install 'nst[search]'")
    return _read(outputs, found[0])


def _has_optuna() -> bool:
    return importlib.util.find_spec("optuna") is not None


def _read(outputs: Path, name: str) -> StudyRecord:
    """A study from its file.

    Raises:
        NstError: if it is damaged, or of another version of Optuna.
    """
    from nst.sweeps.search import record

    try:
        return record.read(outputs, name)
    except Exception as error:  # of Optuna, SQLAlchemy or SQLite
        cause = getattr(error, "orig", error)  # SQLAlchemy's own message is many lines
        path = outputs / FOLDER / f"{name}.db"
        raise NstError(f"{path} cannot be read: {reason(cause)}") from error
