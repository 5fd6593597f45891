"""Scores from comparisons of two things at a time: the model of Bradley & Terry (1952).

Item i is preferred to item j with probability 1 / (1 + exp(s_j - s_i)). The scores s maximise

    sum over i, j of w_ij log P(i is preferred to j)  -  sum over i of s_i^2 / (2 DEVIATION^2)

where w_ij is how often i was preferred to j, and no difference is half a preference for each. The
second sum is a weak prior: it keeps an item finite that won all its comparisons, and is all but
unnoticed after some votes. Scores are log odds; those of compared items have the mean 0.

Standard errors are those of the score minus the mean, from the inverse of the observed information
(the Hessian at the maximum). A bootstrap would give an item that won everything an interval of
width 0. A comparison without a difference is counted as if it had been drawn at random: where there
are many, the intervals are too wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit
from scipy.stats import norm

DEVIATION = 3.0
"""Standard deviation of the prior, log odds: 19 of 20 items between 1 : 360 and 360 : 1."""

QUANTILE = float(norm.ppf(0.975))
"""Standard errors on each side of a 95 % confidence interval."""

Array = NDArray[np.float64]
Comparison = tuple[str, str, float]
"""Two items, and the share of the first: 1 if it is preferred, 0 if the other is, else 0.5."""


@dataclass(frozen=True)
class Score:
    """The score of an item among those that it was compared with, directly or by way of others.

    Attributes:
        value: log odds against an average item.
        error: its standard error.
        count: comparisons of the item.
    """

    value: float
    error: float
    count: int

    @property
    def margin(self) -> float:
        """Half the width of the 95 % confidence interval of ``value``."""
        return QUANTILE * self.error

    @property
    def chance(self) -> float:
        """Probability to be preferred to an average item."""
        return float(expit(self.value))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of ``chance``."""
        return float(expit(self.value - self.margin)), float(expit(self.value + self.margin))


def rankings(comparisons: Sequence[Comparison]) -> list[dict[str, Score]]:
    """The scores of all items, the best first, apart for items that no comparison connects."""
    found = [each for each in comparisons if each[0] != each[1]]
    names = list(dict.fromkeys(name for each in found for name in each[:2]))
    place = {name: index for index, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for one, other, share in found:
        wins[place[one], place[other]] += share
        wins[place[other], place[one]] += 1 - share
    counts = wins + wins.T
    rankings = []
    if names:
        number, groups = connected_components(counts, directed=False)
        for group in range(number):
            own = np.flatnonzero(groups == group)
            values, errors = fit(wins[np.ix_(own, own)])
            scores = {
                names[index]: Score(float(value), float(error), round(counts[index].sum()))
                for index, value, error in zip(own, values, errors, strict=True)
            }
            rankings.append(dict(sorted(scores.items(), key=lambda item: -item[1].value)))
    return rankings


def fit(wins: Array, deviation: float = DEVIATION) -> tuple[Array, Array]:
    """The scores that the comparisons make likeliest, and their standard errors.

    Args:
        wins: (items, items), how often the item of the row was preferred to that of the column.
            Without a prior the scores are finite only if no items won all against the others.
        deviation: of the prior, log odds; ``inf``: no prior.

    Returns:
        Both (items,), log odds; the mean of the scores is 0.
    """
    items = len(wins)
    counts, precision = wins + wins.T, deviation**-2

    def margins(scores: Array) -> Array:
        return scores[:, None] - scores[None, :]

    # the terms with the sum of the scores only make their mean 0, which no comparison determines

    def loss(scores: Array) -> float:
        likelihood = (wins * log_expit(margins(scores))).sum()
        return float(precision * (scores @ scores) / 2 + scores.sum() ** 2 / 2 - likelihood)

    def gradient(scores: Array) -> Array:
        expected = (counts * expit(margins(scores))).sum(axis=1)
        found: Array = expected - wins.sum(axis=1) + precision * scores + scores.sum()
        return found

    def hessian(scores: Array) -> Array:
        chances = expit(margins(scores))
        weights = counts * chances * (1 - chances)
        found: Array = np.diag(weights.sum(axis=1)) - weights + precision * np.eye(items) + 1
        return found

    start = np.zeros(items)
    result = minimize(loss, start, method="trust-exact", jac=gradient, hess=hessian, tol=1e-8)
    centred = np.eye(items) - 1 / items
    covariance = centred @ np.linalg.inv(hessian(result.x)) @ centred
    return result.x, np.sqrt(np.diag(covariance))
