"""A study on disk: asks for trials and records how they ended. One SQLite file, for all processes.

The trials do not depend on when a process was killed: the sampler of a trial is seeded by the
trial's number, and a trial that a dead process left is run again with the values that it has, in
the batch that it was in.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import SoftFileLease, Timeout
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nst.config.objective import higher_is_better
from nst.sweeps.search.folder import FOLDER
from nst.sweeps.search.sampling import Sampling
from nst.sweeps.search.space import Space
from nst.utils.errors import ConfigError
from nst.utils.lock import lock

log = logging.getLogger(__name__)

WAIT = 60.0
"""Longest time to wait for another process that writes to the file, s."""

OBJECTIVE = "objective"
_SETTINGS, _OWNER = "settings", "owner"
RUN, REASON = "run", "reason"
"""Attributes of a trial: the name of its run folder, and why it did not complete."""


@dataclass(frozen=True)
class Asked:
    """A trial to run.

    Attributes:
        number: in the study.
        overrides: of its job.
    """

    number: int
    overrides: list[str]


def storage(outputs: Path, name: str) -> RDBStorage:
    """The file of a study; Optuna makes it if there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = outputs / FOLDER / f"{name}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": WAIT}})


class Study:
    """A study of this process, which other processes may share.

    Args:
        outputs: root folder.
        name: of the study.
        space: that it searches.
        objective: names of metrics or losses.
        settings: what its trials share, by key; a study never mixes other settings.
        sampler: makes Optuna's sampler from a seed.
        seed: of all trials.

    Attributes:
        optuna_study: the open study, as Optuna has it.

    Raises:
        ConfigError: if the study exists with another objective, space or settings.
    """

    def __init__(
        self,
        outputs: Path,
        name: str,
        space: Space,
        objective: Sequence[str],
        settings: Mapping[str, str],
        sampler: Callable[..., BaseSampler],
        seed: int,
    ) -> None:
        self.name, self.objective = name, list(objective)
        self._space = space
        self._folder = outputs / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._asking = lock(self._folder / f".{name}.lease")
        self._token = secrets.token_hex(4)
        self._others: dict[str, SoftFileLease] = {}  # of other processes, by their token
        self._alive = lock(self._owner_file(self._token))
        directions = [
            StudyDirection.MAXIMIZE if higher_is_better(each) else StudyDirection.MINIMIZE
            for each in objective
        ]
        with self._asking:
            for path in self._folder.glob(f".{name}-*.lease"):
                self._is_alive(path.stem.rpartition("-")[2])  # else it is removed
            self._alive.acquire()
            self.optuna_study = optuna.create_study(
                storage=storage(outputs, name),
                study_name=name,
                directions=directions,
                load_if_exists=True,
            )
            self._storage = self.optuna_study._storage
            self._join(list(objective), dict(settings))
        self._sampling = Sampling(directions, space.distributions, sampler, seed)

    def _join(self, objective: list[str], settings: dict[str, str]) -> None:
        """Records what the study is about, or compares it with what is recorded."""
        known = self.optuna_study.user_attrs
        searched = {key: str(each) for key, each in self._space.distributions.items()}
        shared = {**settings, **searched}
        if _SETTINGS not in known:
            self.optuna_study.set_user_attr(OBJECTIVE, objective)
            self.optuna_study.set_user_attr(_SETTINGS, shared)
            return
        if known[OBJECTIVE] != objective:
            raise self._refusal(f"objective=[{','.join(known[OBJECTIVE])}]")
        before = known[_SETTINGS]
        for key in {**before, **shared}:
            if key not in before:
                raise self._refusal(f"no value of {key}")
            if before[key] != shared.get(key):
                raise self._refusal(f"{key}={before[key]}")

    def _refusal(self, difference: str) -> ConfigError:
        problem = f"began with {difference}; choose another name for a new study"
        return ConfigError("study", self.name, problem)

    def ask(self, count: int, total: int) -> list[Asked]:
        """The next trials: those that dead processes left and the others of their batch, or new.

        Args:
            count: trials in a batch.
            total: trials of the study, whatever becomes of them.

        Returns:
            Nothing, if the study has all its trials, finished or in another process.
        """
        with self._asking:
            known = self.optuna_study.get_trials(deepcopy=False)
            left = [each for each in known if self._is_left(each)]
            asked = left[:count]
            for trial in asked:
                self._storage.set_trial_user_attr(trial._trial_id, _OWNER, self._token)
            new = count - len(asked)
            if left:  # completes a batch of which a killed process asked for a part
                new = min(new, -len(known) % count)
            self._sampling.learn(known)
            asked += [self._ask() for _ in range(min(new, total - len(known)))]
            return [Asked(each.number, self._space.overrides(each.params)) for each in asked]

    def _ask(self) -> FrozenTrial:
        trial = self._sampling.next()
        self.optuna_study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={_OWNER: self._token},
                system_attrs=trial.system_attrs,
            )
        )
        return trial

    def _is_left(self, trial: FrozenTrial) -> bool:
        """Whether a trial is unfinished and its process is dead."""
        if trial.state != TrialState.RUNNING:
            return False
        token = trial.user_attrs.get(_OWNER)  # None: somebody asked for it by Optuna itself
        return token not in (None, self._token) and not self._is_alive(token)

    def _is_alive(self, token: str) -> bool:
        """Whether a process is alive: it holds its lock. Removes the file of a dead one.

        That of another machine is dead when it was not renewed for a while, in several calls.
        """
        path = self._owner_file(token)
        if not path.exists():
            return False
        own = self._others.setdefault(token, lock(path))
        try:
            own.acquire(blocking=False)
        except Timeout:
            return True
        own.release()
        return False

    def _owner_file(self, token: str) -> Path:
        return self._folder / f".{self.name}-{token}.lease"

    def complete(self, number: int, values: Sequence[float], run: str) -> None:
        """Records the objective of a trial, and the name of its run folder."""
        self._tell(number, TrialState.COMPLETE, run, values=values)

    def prune(self, number: int, run: str, reason: str) -> None:
        """Records that a trial was stopped early."""
        self._tell(number, TrialState.PRUNED, run, reason)

    def fail(self, number: int, run: str | None, reason: str) -> None:
        """Records that a trial failed or diverged."""
        self._tell(number, TrialState.FAIL, run, reason)

    def _tell(
        self,
        number: int,
        state: TrialState,
        run: str | None,
        reason: str = "",
        values: Sequence[float] | None = None,
    ) -> None:
        study_id = self.optuna_study._study_id
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        with suppress(UpdateFinishedTrialError):  # by another process
            for name, value in ((RUN, run), (REASON, reason)):
                if value:
                    self._storage.set_trial_user_attr(trial_id, name, value)
            self._storage.set_trial_state_values(trial_id, state, values)

    def close(self) -> None:
        """Leaves unfinished trials to other processes."""
        self._alive.release()
