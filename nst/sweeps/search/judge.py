"""Decides at snapshots whether a trial is worth its further steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from optuna.pruners import BasePruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from nst.config.objective import higher_is_better
from nst.config.schema import Config
from nst.sweeps.search.study import storage
from nst.transfer.run import Judge

log = logging.getLogger(__name__)


def judge_of(config: Config, sweeper: Any) -> Judge | None:
    """The judge of a trial, in the process that runs it; None: nothing prunes it.

    Args:
        config: of its job.
        sweeper: Hydra's config of it.
    """
    if config.study is None or config.trial is None:
        return None
    place = Path(config.outputs), config.study
    if sweeper.get("pruner"):
        return Pruner(*place, config.trial, config.objective[0], instantiate(sweeper.pruner))
    if sweeper.get("stop_dominated") is not None:
        return Dominance(*place, config.trial, config.objective, sweeper.stop_dominated)
    return None


class _Judge:
    """A judge that reads and writes the file of the study.

    Args:
        outputs: root folder.
        study: name of the study.
        number: of the trial.
        pruner: Optuna's; None: no pruner of Optuna's.
    """

    def __init__(
        self, outputs: Path, study: str, number: int, pruner: BasePruner | None = None
    ) -> None:
        self.storage: RDBStorage = storage(outputs, study)
        self.study = optuna.load_study(study_name=study, storage=self.storage, pruner=pruner)
        self.number = number

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials of the study, in order."""
        return self.study.get_trials(deepcopy=False)


class Pruner(_Judge):
    """A pruner of Optuna's, by one objective.

    Args:
        outputs: root folder.
        study: name of the study.
        number: of the trial.
        name: of the objective.
        pruner: of Optuna's.
    """

    def __init__(
        self, outputs: Path, study: str, number: int, name: str, pruner: BasePruner
    ) -> None:
        super().__init__(outputs, study, number, pruner)
        self.name, self.pruner = name, pruner

    def __call__(self, step: int, values: Sequence[float]) -> str | None:
        """Why the trial is pruned; None: it continues."""
        (value,) = values
        trial = self.trials[self.number]
        if step not in trial.intermediate_values:  # a resumed run reports again
            self.storage.set_trial_intermediate_value(trial._trial_id, step, value)
        if not self.pruner.prune(self.study, self.trials[self.number]):
            return None
        return f"{self.name}={value:.4g} at step {step} ({type(self.pruner).__name__})"


class Dominance(_Judge):
    """Stops a trial that is worse than a completed one at the same step, by every objective.

    Optuna cannot prune by several objectives. A completed trial dominates if each of its values is
    better by a margin, relative to the value of this trial.

    Args:
        outputs: root folder.
        study: name of the study.
        number: of the trial.
        names: of the objectives.
        margin: such as 0.2.
    """

    def __init__(
        self, outputs: Path, study: str, number: int, names: Sequence[str], margin: float
    ) -> None:
        super().__init__(outputs, study, number)
        self.names, self.margin = list(names), margin
        self._signs = [-1.0 if higher_is_better(name) else 1.0 for name in names]

    def __call__(self, step: int, values: Sequence[float]) -> str | None:
        """Why the trial is stopped; None: it continues."""
        key = f"step {step}"
        found = self.trials
        self.storage.set_trial_user_attr(found[self.number]._trial_id, key, list(values))
        for other in found:
            there = other.user_attrs.get(key)
            if other.state == TrialState.COMPLETE and there and self._dominated(values, there):
                own = ", ".join(f"{n}={v:.4g}" for n, v in zip(self.names, values, strict=True))
                return f"trial {other.number} was better by {self.margin:g} at step {step}: {own}"
        return None

    def _dominated(self, own: Sequence[float], other: Sequence[float]) -> bool:
        return all(
            math.isfinite(there) and sign * there <= sign * here - self.margin * abs(here)
            for sign, here, there in zip(self._signs, own, other, strict=True)
        )
