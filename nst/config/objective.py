"""The objective of a search: metrics and losses of a run, each with its direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nst.config.experiment import MEASURES, VOTED
from nst.config.schema import LEARNED_METRICS, Config
from nst.utils.errors import ConfigError, listed
from nst.utils.text import nearest

LOSS = "loss/"
(PREFERENCE,) = VOTED
"""The objective that people decide: a trial has it after the first vote on its result."""

COMPARED = ("distance_from_first", "steps_to_loss", "seconds_to_loss")
"""Measures between several runs: one run alone does not have them."""

LOGGED_AT_EVERY_STEP = {"loss": "loss/total", "seconds": "seconds"}
"""Names of measures that are columns of ``metrics.csv``."""


def is_loss(name: str) -> bool:
    """Whether a name is that of a loss in ``metrics.csv``, such as ``loss/style``."""
    return name.startswith(LOSS)


def higher_is_better(name: str) -> bool:
    """The direction of a metric or loss."""
    return not is_loss(name) and {**MEASURES, **VOTED}[name].better == "higher"


def logged_name(name: str) -> str:
    """The name under which loggers have a metric or loss."""
    if name in LOGGED_AT_EVERY_STEP:
        return LOGGED_AT_EVERY_STEP[name]
    return name if is_loss(name) else f"measure/{name}"


def logged_values(name: str, steps: int, snapshot_every: int) -> int:
    """How many values of a metric or loss a run of the agent of a W&B sweep logs.

    Losses have one at every step, and metrics one at every snapshot but the first.

    Args:
        name: of the metric or loss.
        steps: of the run.
        snapshot_every: steps between snapshots.
    """
    if name in LOGGED_AT_EVERY_STEP or is_loss(name):
        return steps + 1
    return math.ceil(steps / snapshot_every)


def intermediate(
    names: Sequence[str], row: Mapping[str, float], measures: Mapping[str, float]
) -> list[float]:
    """The values of an unfinished run; NaN for what it does not have.

    Args:
        names: of the objective.
        row: of ``metrics.csv`` at the step.
        measures: metrics of the picture at the step.
    """
    found = {**measures, **row, "loss": row.get("loss/total", float("nan"))}
    return [found.get(name, float("nan")) for name in names]


def check(config: Config) -> None:
    """Checks the names of the objective, and that the task has them.

    Raises:
        ConfigError: for the first wrong one.
    """
    allowed = [name for name in (*MEASURES, *VOTED) if name not in COMPARED]
    given = config.objective
    for name in given:
        if not is_loss(name) and name not in allowed:
            near = nearest(name, allowed)
            hint = f"; did you mean {near}?" if near else ""
            problem = f"no such metric or loss; allowed: {listed(allowed)}, loss/total, loss/style"
            raise ConfigError("objective", name, f"{problem} and so on{hint}")
        if name in LEARNED_METRICS and name not in config.learned_metrics:
            raise ConfigError("objective", name, f"needs learned_metrics=[{name}]")
        missing = _missing_picture(name, config)
        if missing:
            raise ConfigError("objective", name, f"task={config.task} has no {missing}")
    if len(set(given)) < len(given):
        raise ConfigError("objective", given, "each name once")


def _missing_picture(name: str, config: Config) -> str:
    """The picture that a metric compares the result with, if the task does not have it."""
    against = () if is_loss(name) else {**MEASURES, **VOTED}[name].against
    has = {"content": config.uses_content, "style": config.uses_style}
    return next((picture for picture in against if not has[picture]), "")
