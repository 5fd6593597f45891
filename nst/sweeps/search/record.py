"""Reads studies: their trials, the best trade-offs, and what the objective depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nst.config.objective import higher_is_better
from nst.sweeps.search.folder import FOLDER, names
from nst.sweeps.search.space import as_text
from nst.sweeps.search.study import OBJECTIVE, REASON, RUN, storage
from nst.utils.errors import ConfigError, listed


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a study.

    Attributes:
        number: in the study.
        status: ``completed``, ``pruned``, ``failed`` or ``running``.
        settings: the searched keys with their values, as in overrides.
        values: of the objective; empty unless it completed.
        run: name of its run folder; None if it is not known yet.
        reason: why it did not complete; else empty.
    """

    number: int
    status: str
    settings: dict[str, str]
    values: list[float]
    run: str | None
    reason: str


@dataclass(frozen=True)
class StudyRecord:
    """A study.

    Attributes:
        name: of the study.
        objective: names of metrics or losses.
        trials: in the order of their numbers.
    """

    name: str
    objective: list[str]
    trials: list[TrialRecord]
    _study: optuna.Study

    @property
    def completed(self) -> list[TrialRecord]:
        """The trials that completed."""
        return [each for each in self.trials if each.status == "completed"]

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The best trade-offs: the completed trials that no other one dominates, one for each run.

        In the order of the first objective, the best first; with one objective, the best trial.
        """
        signs = [-1 if higher_is_better(name) else 1 for name in self.objective]
        points = {each.number: _signed(each.values, signs) for each in self.completed}
        found: dict[str, TrialRecord] = {}
        # in this order no trial is dominated by a later one
        for trial in sorted(self.completed, key=lambda each: (points[each.number], each.number)):
            own = points[trial.number]
            if not any(dominates(points[each.number], own) for each in found.values()):
                found.setdefault(trial.run or str(trial.number), trial)
        return list(found.values())

    @property
    def logarithmic(self) -> set[str]:
        """The searched keys whose logarithm is searched."""
        return {
            key
            for trial in self._study.get_trials(deepcopy=False)
            for key, distribution in trial.distributions.items()
            if getattr(distribution, "log", False)
        }

    def importances(self) -> list[dict[str, float]]:
        """For each objective, the share of its variance that each searched key explains.

        By fANOVA (Hutter et al. 2014) over completed trials. Empty with fewer than two of them, or
        where all values are equal.
        """
        found = []
        for index in range(len(self.objective)):
            values = {each.values[index] for each in self.completed}
            found.append(self._importances(index) if len(values) > 1 else {})
        return found

    def _importances(self, index: int) -> dict[str, float]:
        def target(trial: FrozenTrial) -> float:
            return float(trial.values[index])

        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, target=target
        )


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether a point is at least as low in every coordinate, and lower in one."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def read(outputs: Path, name: str) -> StudyRecord:
    """A study from its file.

    Raises:
        ConfigError: if there is no such study.
    """
    found = names(outputs)
    if name not in found:
        allowed = f"allowed: {listed(found)}" if found else f"{outputs / FOLDER} has none"
        raise ConfigError("study", name, f"no such study; {allowed}")
    return from_optuna(optuna.load_study(study_name=name, storage=storage(outputs, name)))


def from_optuna(study: optuna.Study) -> StudyRecord:
    """What an open study has now."""
    objective = study.user_attrs[OBJECTIVE]
    trials = [_trial(each) for each in study.get_trials(deepcopy=False)]
    return StudyRecord(study.study_name, objective, trials, study)


_STATUS = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
}


def _trial(trial: FrozenTrial) -> TrialRecord:
    completed = trial.state == TrialState.COMPLETE
    attributes: dict[str, Any] = trial.user_attrs
    return TrialRecord(
        trial.number,
        _STATUS[trial.state],
        {key: as_text(value) for key, value in trial.params.items()},
        list(trial.values) if completed else [],
        attributes.get(RUN),
        attributes.get(REASON, ""),
    )


def _signed(values: Sequence[float], signs: Sequence[int]) -> tuple[float, ...]:
    return tuple(sign * value for sign, value in zip(signs, values, strict=True))
