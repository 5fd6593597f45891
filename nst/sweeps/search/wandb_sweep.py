"""A W&B sweep over the search space of a study."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nst.config import objective
from nst.config.overrides import number
from nst.sweeps.search.space import Space, as_text

METHODS = ("bayes", "random")

ETA = 3
"""At each of its brackets, Hyperband lets the best of so many runs continue."""


def of_study(config: Any, space: Space) -> dict[str, Any]:
    """What a W&B sweep has of a study: its search space and its first objective.

    Args:
        config: composed for a multirun, ``hydra`` included, and checked.
        space: of the study.
    """
    first = config.objective[0]
    goal = "maximize" if objective.higher_is_better(first) else "minimize"
    return {
        "run_cap": config.hydra.sweeper.n_trials,
        "metric": {"name": objective.logged_name(first), "goal": goal},
        "parameters": {key: parameter(each) for key, each in space.distributions.items()},
        "early_terminate": early_terminate(logged_values(config)),
    }


def logged_values(config: Any) -> int:
    """How many values of the first objective a run logs."""
    return objective.logged_values(config.objective[0], config.steps, config.snapshot_every)


def early_terminate(values: int) -> dict[str, Any]:
    """Hyperband with brackets after a ninth and a third of a run, and none at its end.

    W&B compares the logged values of a run with those of others. Its brackets are the values with
    the indices ``min_iter``, ``min_iter`` times eta and so on; the first value has index 0.

    Args:
        values: of the metric that a run logs.
    """
    return {"type": "hyperband", "min_iter": math.ceil(values / ETA**2), "eta": ETA}


def parameter(distribution: BaseDistribution) -> dict[str, Any]:
    """A distribution of Optuna's as a parameter of a W&B sweep.

    W&B rounds to multiples of ``q``, whatever the lower bound. So numbers with a step are
    categories, which W&B's Bayesian search takes in order.
    """
    if isinstance(distribution, CategoricalDistribution):
        return {"values": [number(str(each)) for each in distribution.choices]}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    bounds = {"min": low, "max": high}
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            return {"distribution": "q_log_uniform_values", **bounds, "q": 1}
        if step == 1:
            return {"distribution": "int_uniform", **bounds}
        return {"values": [*range(distribution.low, distribution.high + 1, distribution.step)]}
    if step is not None:
        count = round((high - low) / step) + 1
        return {"values": [float(as_text(low + index * step)) for index in range(count)]}
    return {"distribution": "log_uniform_values" if distribution.log else "uniform", **bounds}
