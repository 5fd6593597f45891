"""What the page knows of a study: ``study`` in ``runs.js``, see ``scripts/types.d.ts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nst.config.experiment import MEASURES, VOTED
from nst.config.objective import higher_is_better, is_loss
from nst.utils.errors import listed

if TYPE_CHECKING:
    from nst.sweeps.search.record import StudyRecord


def study_data(study: StudyRecord, keys: Mapping[int, str]) -> dict[str, Any]:
    """The trials of a study, its front, its history and the importances of what it searched.

    Args:
        study: any.
        keys: of the page's runs, by the numbers of their trials.
    """
    from nst.sweeps.search.history import best_so_far

    trials = [asdict(trial) | {"run": keys.get(trial.number)} for trial in study.trials]
    return {
        "name": study.name,
        "objective": [
            {
                "name": name,
                "title": {**MEASURES, **VOTED}[name].title if not is_loss(name) else name,
                "higher": higher_is_better(name),
            }
            for name in study.objective
        ],
        "trials": trials,
        "front": [trial.number for trial in study.front],
        "history": best_so_far(study),
        "importances": study.importances(),
    }


def trial_label(study: StudyRecord, numbers: Sequence[int]) -> str:
    """``trial 3 weights.style=1e5``, or ``trials 3, 7 …`` for a run that is several.

    Args:
        study: any.
        numbers: of the trials; at least one.
    """
    settings = study.trials[numbers[0]].settings
    words = ["trial" if len(numbers) == 1 else "trials", listed(numbers)]
    return " ".join([*words, *(f"{key}={value}" for key, value in settings.items())])
