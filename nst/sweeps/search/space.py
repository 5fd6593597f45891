"""The search space of a study, in Hydra's grammar of overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nst.config.pairs import KEY as PAIRS
from nst.sweeps.job_list import sweep_overrides
from nst.utils.errors import ConfigError

DIGITS = 6
"""Significant digits of a searched number in an override."""

EXAMPLE = "such as weights.style='tag(log, interval(1e3, 1e7))' or layers=report,gatys"


@dataclass(frozen=True)
class Space:
    """What a study searches, and what its trials have in common.

    Attributes:
        distributions: of each searched key or config group, as typed with ``+`` or ``@package``.
        fixed: the other overrides of every trial.
    """

    distributions: dict[str, BaseDistribution]
    fixed: list[str]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial.

        Args:
            values: of each searched key.
        """
        return [*self.fixed, *(f"{key}={as_text(value)}" for key, value in values.items())]

    def corners(self) -> list[list[str]]:
        """Overrides with each choice and each bound once, to check before anything is computed."""
        first = {key: _extremes(each)[0] for key, each in self.distributions.items()}
        found = [first]
        for key, distribution in self.distributions.items():
            found += [{**first, key: value} for value in _extremes(distribution)[1:]]
        return [self.overrides(values) for values in found]


def as_text(value: Any) -> str:
    """A value of a parameter as in an override."""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def search_space(config: Any, loader: ConfigLoader) -> Space:
    """The search space that the command line and ``hydra.sweeper.params`` declare.

    ``a,b`` and ``choice(a, b)`` are categories, ``interval(0, 1)`` real and
    ``int(interval(1, 5))`` whole numbers, ``range(0, 10, 2)`` numbers with a step;
    ``tag(log, …)`` searches their logarithms.

    Args:
        config: composed for a multirun, ``hydra`` included.
        loader: Hydra's.

    Raises:
        ConfigError: for a key whose values cannot be searched, or if there is none to search.
    """
    found, tables = sweep_overrides(config, loader)
    if tables:
        raise ConfigError(PAIRS, tables[0], "not in a study; search with one pair of pictures")
    distributions: dict[str, BaseDistribution] = {}
    fixed: list[str] = []
    for override in found:
        if override.is_sweep_override():
            distributions[override.get_key_element()] = _distribution(override)
        else:
            assert override.input_line is not None
            fixed.append(override.input_line)
    if not distributions:
        problem = f"nothing to search; name the values of a key, {EXAMPLE}"
        raise ConfigError("hydra/sweeper", "optuna", problem)
    return Space(distributions, fixed)


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
        return CategoricalDistribution([*override.sweep_string_iterator()])
    except ValueError as error:
        raise ConfigError(override.key_or_group, override.get_value_string(), str(error)) from error


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, _is_log(sweep)
    assert low is not None and high is not None
    _check(low, high, log)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    log = _is_log(sweep)
    values = sorted(sweep.range())
    if not values:
        raise ValueError("is empty")
    low, high, step = values[0], values[-1], abs(sweep.step)
    _check(low, high, log)
    if log and step != 1:
        raise ValueError("tag(log, range(…)) cannot have a step; use tag(log, interval(…))")
    if all(isinstance(each, int) for each in values):
        return IntDistribution(int(low), int(high), log=log, step=int(step))
    return FloatDistribution(float(low), float(high), step=float(step))


def _is_log(sweep: IntervalSweep | RangeSweep) -> bool:
    unknown = sweep.tags - {"log"}
    if unknown:
        raise ValueError(f"no such tag: {', '.join(sorted(unknown))}; allowed: log")
    return "log" in sweep.tags


def _check(low: float, high: float, log: bool) -> None:
    if not low <= high:
        raise ValueError(f"the lower bound {low:g} is above the upper bound {high:g}")
    if log and low <= 0:
        raise ValueError("with tag(log, …) both bounds must be above 0")


def _extremes(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return list(dict.fromkeys([distribution.low, distribution.high]))
