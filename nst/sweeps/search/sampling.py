"""Chooses the values of a study's trials, in memory.

Optuna's samplers read all trials several times for each value, and each value is written by itself.
A trial chosen in memory is written once, and whole; with 1,000 trials that takes half as long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

_NOTES = "study"
"""Attribute of a trial: what its sampler noted of the study, such as the parents of a generation.

Optuna takes them in another order when it reads them again than when it finds them. With the trial
they are there for the next one, whichever process asks for it.
"""


class Sampling:
    """A copy of a study, in which its next trials are chosen.

    Args:
        directions: of the objective.
        distributions: of each searched key.
        sampler: makes Optuna's sampler from a seed.
        seed: of all trials. The sampler of a trial is seeded by it and the trial's number, so what
            is chosen depends only on the trials before.
    """

    def __init__(
        self,
        directions: Sequence[StudyDirection],
        distributions: Mapping[str, BaseDistribution],
        sampler: Callable[..., BaseSampler],
        seed: int,
    ) -> None:
        self._study = optuna.create_study(directions=directions)
        self._distributions, self._sampler, self._seed = dict(distributions), sampler, seed

    def learn(self, known: Sequence[FrozenTrial]) -> None:
        """Copies the trials that are new, and the results of those that have finished.

        Args:
            known: all trials of the study, in the order of their numbers.
        """
        storage, copied = self._study._storage, self._trials
        for own, trial in zip(copied, known, strict=False):
            if own.state.is_finished() or not trial.state.is_finished():
                continue
            for step, value in trial.intermediate_values.items():
                storage.set_trial_intermediate_value(own._trial_id, step, value)
            storage.set_trial_state_values(own._trial_id, trial.state, trial.values)
        for trial in known[len(copied) :]:
            self._study.add_trial(trial)
            for key, value in trial.system_attrs.get(_NOTES, {}).items():
                storage.set_study_system_attr(self._study._study_id, key, value)

    def next(self) -> FrozenTrial:
        """The next trial: running, with a value of every key."""
        storage, study_id = self._study._storage, self._study._study_id
        number = len(self._trials)
        before = storage.get_study_system_attrs(study_id)
        sampler = self._sampler(seed=_seed(self._seed, number))
        _keep_search_space(self._study.sampler, sampler)
        self._study.sampler = sampler
        trial = self._study.ask(self._distributions)
        after = storage.get_study_system_attrs(study_id)
        if notes := {key: value for key, value in after.items() if before.get(key) != value}:
            storage.set_trial_system_attr(trial._trial_id, _NOTES, notes)
        return self._trials[number]

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _keep_search_space(before: BaseSampler, after: BaseSampler) -> None:
    """Gives a sampler what the last one knows of the search space.

    Otherwise it compares the distributions of all trials anew. With a thousand trials, asking for
    one and recording its result then takes 1.2 times as long.
    """
    if type(before) is not type(after):  # the first one
        return
    for name, value in vars(before).items():
        if isinstance(value, IntersectionSearchSpace):
            setattr(after, name, value)


def _seed(seed: int, number: int) -> int:
    digest = hashlib.sha256(json.dumps([seed, number]).encode()).digest()
    return int.from_bytes(digest[:4], "big")
