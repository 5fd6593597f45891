"""Tests the sentences of a report on the runs of its experiments.

A claim gives one number per block (see ``blocks``) or per pair of its runs, which is above 0 if the
claim is true of the block. The verdict follows from the 95 % confidence interval of the mean over
blocks (Student's t): the claim holds if the whole interval is above 0, it does not hold if the
whole interval is below 0, and otherwise the test is inconclusive.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from nst.config.experiment import MEASURES, ClaimConfig
from nst.reports.blocks import Values, between, blocks, compare, optimised
from nst.reports.collect import Experiment

HOLDS = "holds"
FAILS = "does not hold"
UNKNOWN = "inconclusive"
CONFIDENCE = 0.95

Numbers = dict[str, list[float]]


@dataclass(frozen=True)
class Finding:
    """The result of testing a claim by one metric.

    Attributes:
        claim: the sentence and its test.
        metric: a key of ``MEASURES``; empty for settings.
        numbers: values of the metric over the blocks, by value of the claim's key.
        verdict: ``HOLDS``, ``FAILS`` or ``UNKNOWN``.
        reason: of the verdict, in one line.
        optimised: values of the key under which runs minimise the metric themselves.
        case: the value of ``claim.each`` that is tested, in words; empty: there is none.
    """

    claim: ClaimConfig
    metric: str
    numbers: Numbers
    verdict: str
    reason: str
    optimised: list[str] = field(default_factory=list)
    case: str = ""

    @property
    def text(self) -> str:
        """The claim's sentence, with the case that is tested."""
        return f"{self.claim.text} ({self.case})" if self.case else self.claim.text


def test(experiment: Experiment) -> list[Finding]:
    """Tests all claims of an experiment; returns a finding for each metric of each claim."""
    tests = {"setting": _setting, "alike": _alike}
    findings = []
    for claim in experiment.config.claims:
        for case, chosen in experiment.cases(claim):
            for metric in claim.measures or [""]:
                found = tests.get(claim.kind, _compare)(chosen, claim, metric)
                own = optimised(chosen, claim.key, list(found[0]), metric) if metric else []
                findings.append(Finding(claim, metric, *found, own, case))
    return findings


def _compare(experiment: Experiment, claim: ClaimConfig, metric: str) -> tuple[Numbers, str, str]:
    """Compares the metric between the values of the claim's key."""
    wanted = [*claim.winners, *claim.against] if claim.against else []
    found = compare(experiment, claim, metric, wanted)
    settings, values = found.settings, found.values
    numbers = dict(zip(settings, values.T.tolist(), strict=True))
    if len(settings) < 2:
        return numbers, UNKNOWN, f"{claim.key} has only one value"
    if not len(values):
        return numbers, UNKNOWN, "no block of runs is complete" + found.remark
    if claim.kind == "best":
        result = _best(claim, metric, settings, values)
    elif claim.kind == "varies":
        result = _varies(values)
    else:
        labels = [experiment.label(claim.key, setting) for setting in settings]
        result = _monotone(1 if claim.kind == "rises" else -1, labels, values)
    return numbers, result[0], result[1] + found.remark


def interval(
    numbers: Sequence[float] | Values, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Mean and half width of its confidence interval (Student's t); infinite for one number."""
    mean = float(np.mean(numbers))
    if len(numbers) < 2:
        return mean, float("inf")
    # of the standard distribution: SciPy's own scaling gives NaN for numbers that are all equal
    _, quantile = stats.t.interval(confidence, len(numbers) - 1)
    return mean, float(quantile * stats.sem(numbers))


def verdict(numbers: Sequence[float] | Values) -> str:
    """The verdict on a claim that is true where the numbers are above 0."""
    mean, half = interval(numbers)
    if mean - half > 0:
        return HOLDS
    return FAILS if mean + half < 0 else UNKNOWN


def spread(numbers: Sequence[float] | Values) -> str:
    """Mean and half width of its confidence interval: ``12.3 ± 0.4``; one number: itself."""
    mean, half = interval(numbers)
    return rounded(mean, 3) if half == float("inf") else f"{rounded(mean, 3)} ± {rounded(half, 2)}"


def rounded(value: float, digits: int) -> str:
    """A number with so many digits, without an exponent if it has at most five before the point."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+0" in text and abs(float(text)) < 1e5 else text


def _spread(numbers: Sequence[float] | Values, unit: str = "block") -> str:
    if len(numbers) < 2:
        return f"{spread(numbers)} in a single {unit} (no confidence interval)"
    return f"{spread(numbers)} over {len(numbers)} {unit}s"


def _best(
    claim: ClaimConfig, metric: str, settings: Sequence[str], values: Values
) -> tuple[str, str]:
    """Compares the best winner with the best of the others in each row of (blocks, settings)."""
    wins = np.isin(settings, claim.winners)
    if wins.all() or not wins.any():
        return UNKNOWN, f"{'every' if wins.all() else 'no'} value of {claim.key} is a winner"
    signed = values if MEASURES[metric].better == "higher" else -values
    margins = signed[:, wins].max(axis=1) - signed[:, ~wins].max(axis=1)
    return verdict(margins), f"lead over the best of the others: {_spread(margins)}"


def _monotone(sign: int, labels: Sequence[str], values: Values) -> tuple[str, str]:
    """Tests that every change from one column of (blocks, settings) to the next has this sign."""
    changes = list(sign * np.diff(values).T)
    verdicts = [verdict(change) for change in changes]
    way = "rises" if sign > 0 else "falls"
    for found in (FAILS, UNKNOWN):
        if found in verdicts:
            at = verdicts.index(found)
            change = _spread(changes[at])
            return found, f"from {labels[at]} to {labels[at + 1]} it {way} by {change}"
    least = _spread(min(changes, key=np.mean))
    return HOLDS, f"it {way} with every value, by at least {least}"


def _varies(values: Values) -> tuple[str, str]:
    blocks = len(values)
    if blocks < 2:
        return UNKNOWN, "a single block has no variance to compare with"
    ratio, p = blocked_anova(values)
    found = HOLDS if p < 1 - CONFIDENCE else UNKNOWN
    return found, f"F = {ratio:.3g}, p = {p:.2g}, {blocks} blocks"


def blocked_anova(values: Values) -> tuple[float, float]:
    """Analysis of variance of a randomised block design (Fisher 1935).

    Args:
        values: (blocks, settings), two or more of both.

    Returns:
        F, and the probability of one so large if the setting has no effect.
    """
    blocks, settings = values.shape
    effects = values.mean(axis=0) - values.mean()
    residual = values - effects - values.mean(axis=1, keepdims=True)
    freedom = (settings - 1) * (blocks - 1)
    between = blocks * np.square(effects).sum() / (settings - 1)
    within = np.square(residual).sum() / freedom
    ratio = float(between / max(within, 1e-300))
    return ratio, float(stats.f.sf(ratio, settings - 1, freedom))


def _alike(experiment: Experiment, claim: ClaimConfig, metric: str) -> tuple[Numbers, str, str]:
    """Compares every two runs of a block: tests their results, and lists their starts as well."""
    found: Numbers = {"between results": []}
    for block in blocks(experiment, claim.key):
        for pair in itertools.combinations(block.values(), 2):
            for label, name in (("between results", "final"), ("between starts", "start")):
                value = between(*pair, metric, name)
                if value is not None:
                    found.setdefault(label, []).append(value)
    numbers = np.array(found["between results"])
    if not len(numbers):
        return found, UNKNOWN, "no two completed runs to compare"
    if claim.at_least is not None:
        bound, margins = f"at least {claim.at_least:g}", numbers - claim.at_least
    else:
        assert claim.at_most is not None
        bound, margins = f"at most {claim.at_most:g}", claim.at_most - numbers
    return found, verdict(margins), f"{_spread(numbers, 'pair')}; required: {bound}"


def _setting(experiment: Experiment, claim: ClaimConfig, _: str) -> tuple[Numbers, str, str]:
    found = [_at(job.completed.config, claim.key) for job in experiment.jobs if job.completed]
    if not found:
        return {}, UNKNOWN, "no completed run"
    shown = ", ".join(sorted({str(value) for value in found}))
    holds = all(value == claim.value for value in found)
    return {}, HOLDS if holds else FAILS, f"{claim.key} = {shown}; completed runs: {len(found)}"


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config
