"""Tests the sentences of a report on the runs of its experiments.

A *block* is a set of runs that differ in the claim's key alone: same pictures, same seed. Every
claim becomes one number per block whose sign, or distance to a bound, speaks for or against it. The
95 % confidence interval of its mean over the blocks (Student's t) gives the verdict, by a rule that
is the same for all claims: it holds if the whole interval speaks for it, it does not hold if the
whole interval speaks against it, and otherwise nobody can tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from nst.config.experiment import MEASURES, ClaimConfig
from nst.metrics import similarity
from nst.report.collect import Experiment, Job, order
from nst.report.table import label
from nst.runs.record import RunRecord

HOLDS = "holds"
FAILS = "does not hold"
UNKNOWN = "inconclusive"
CONFIDENCE = 0.95

Block = dict[str, RunRecord]
Numbers = dict[str, list[float]]


@dataclass(frozen=True)
class Finding:
    """One measure's word on a claim.

    Attributes:
        claim: the sentence and its test.
        measure: a key of ``MEASURES``; empty for settings.
        numbers: what was measured, a list over the blocks for each label.
        verdict: ``HOLDS``, ``FAILS`` or ``UNKNOWN``.
        reason: in one line.
    """

    claim: ClaimConfig
    measure: str
    numbers: Numbers
    verdict: str
    reason: str


def test(experiment: Experiment) -> list[Finding]:
    """All claims of an experiment, a finding per measure."""
    return [
        _finding(experiment, claim, measure)
        for claim in experiment.config.claims
        for measure in (claim.measures or [""])
    ]


def _finding(experiment: Experiment, claim: ClaimConfig, measure: str) -> Finding:
    jobs = [
        job
        for job in experiment.jobs
        if all(job.values.get(key) == value for key, value in claim.only.items())
    ]
    if claim.kind == "setting":
        return _setting(claim, jobs)
    blocks = _blocks(experiment, jobs, claim.key)
    if claim.kind == "alike":
        return _alike(claim, measure, blocks)
    settings = order(jobs, claim.key)
    table = _table(blocks, settings, measure)
    numbers = {setting: [row[setting] for row in table] for setting in settings}
    if len(settings) < 2:
        return Finding(claim, measure, numbers, UNKNOWN, f"{claim.key} has one value only")
    if not table:
        return Finding(claim, measure, numbers, UNKNOWN, "no block of runs is complete")
    if claim.kind == "best":
        verdict, reason = _best(claim, measure, settings, table)
    elif claim.kind == "varies":
        verdict, reason = _varies(settings, table)
    else:
        sign = 1 if claim.kind == "rises" else -1
        names = {value: label(experiment, claim.key, value) for value in settings}
        verdict, reason = _monotone(sign, names, table)
    return Finding(claim, measure, numbers, verdict, reason)


def _blocks(experiment: Experiment, jobs: Sequence[Job], key: str) -> list[Block]:
    """Finished runs by the value of ``key``, for every combination of what else varies."""
    others = [other for other in experiment.varying if other != key]
    blocks: dict[tuple[str | None, ...], Block] = {}
    for job in jobs:
        if job.completed and key in job.values:
            block = blocks.setdefault(tuple(job.values.get(other) for other in others), {})
            block[job.values[key]] = job.completed
    return list(blocks.values())


def _table(
    blocks: Sequence[Block], settings: Sequence[str], measure: str
) -> list[dict[str, float]]:
    """The measure at every setting, for the blocks that are complete."""
    table = []
    for block in blocks:
        if any(setting not in block for setting in settings):
            continue
        row = {setting: _value(block[setting], measure, block) for setting in settings}
        known = {setting: value for setting, value in row.items() if value is not None}
        if len(known) == len(settings):
            table.append(known)
    return table


def _value(result: RunRecord, measure: str, block: Block) -> float | None:
    if measure in ("steps_to_loss", "seconds_to_loss"):
        return to_loss(result, list(block.values()), measure.removesuffix("_to_loss"))
    return result.measure(measure)


def to_loss(result: RunRecord, compared: Sequence[RunRecord], unit: str) -> float | None:
    """Steps or seconds until the loss is as low as the worst of the compared runs ends.

    Args:
        result: one of ``compared``.
        compared: runs with the same objective.
        unit: ``steps`` or ``seconds``.
    """
    ends = [other.measure("loss") for other in compared]
    if any(end is None for end in ends):
        return None
    level = max(end for end in ends if end is not None)
    column = "step" if unit == "steps" else "seconds"
    for row in result.rows:
        # the table has the digits that were logged, the summary all of them
        if row.get("loss/total", np.inf) <= level * (1 + 1e-6):
            return row[column]
    return None


def interval(numbers: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its confidence interval (Student's t); infinite for one number."""
    mean = float(np.mean(numbers))
    if len(numbers) < 2:
        return mean, float("inf")
    error = float(np.std(numbers, ddof=1)) / len(numbers) ** 0.5
    return mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, len(numbers) - 1)) * error


def verdict(numbers: Sequence[float]) -> str:
    """Whether numbers that are above 0 where the claim is true speak for it or against it."""
    mean, half = interval(numbers)
    if mean - half > 0:
        return HOLDS
    return FAILS if mean + half < 0 else UNKNOWN


def _spread(numbers: Sequence[float]) -> str:
    mean, half = interval(numbers)
    if half == float("inf"):
        return f"{mean:.3g} in one block, which has no spread"
    return f"{mean:.3g} ± {half:.2g} over {len(numbers)} blocks"


def _best(
    claim: ClaimConfig, measure: str, settings: Sequence[str], table: Sequence[Mapping[str, float]]
) -> tuple[str, str]:
    winners = [setting for setting in settings if setting in claim.winners]
    losers = [setting for setting in settings if setting not in claim.winners]
    if not winners or not losers:
        return UNKNOWN, f"{claim.key} has no {'winner' if losers else 'other'} among its values"
    sign = 1 if MEASURES[measure].better == "higher" else -1
    margins = [
        max(sign * row[winner] for winner in winners) - max(sign * row[loser] for loser in losers)
        for row in table
    ]
    return verdict(margins), f"ahead of the best other by {_spread(margins)}"


def _monotone(
    sign: int, names: Mapping[str, str], table: Sequence[Mapping[str, float]]
) -> tuple[str, str]:
    """Every step along the settings must go the right way; ``names`` are their captions."""
    steps = {
        (before, after): [sign * (row[after] - row[before]) for row in table]
        for before, after in itertools.pairwise(names)
    }
    verdicts = {pair: verdict(changes) for pair, changes in steps.items()}
    way = "rises" if sign > 0 else "falls"
    against = [pair for pair, found in verdicts.items() if found == FAILS]
    unclear = [pair for pair, found in verdicts.items() if found == UNKNOWN]
    for pairs, found in ((against, FAILS), (unclear, UNKNOWN)):
        if pairs:
            before, after = pairs[0]
            change = _spread(steps[before, after])
            return found, f"from {names[before]} to {names[after]} it {way} by {change}"
    least = min(steps, key=lambda pair: np.mean(steps[pair]))
    return HOLDS, f"it {way} at every step, at least by {_spread(steps[least])}"


def _varies(settings: Sequence[str], table: Sequence[Mapping[str, float]]) -> tuple[str, str]:
    """Analysis of variance of a randomised block design (Fisher 1935)."""
    if len(table) < 2:
        return UNKNOWN, "one block has no spread to compare with"
    values = np.array([[row[setting] for setting in settings] for row in table])
    blocks, count = values.shape
    means = values.mean(axis=0)
    residual = values - means - values.mean(axis=1, keepdims=True) + values.mean()
    between = blocks * np.square(means - values.mean()).sum() / (count - 1)
    within = np.square(residual).sum() / ((count - 1) * (blocks - 1))
    ratio = float(between / max(within, 1e-300))
    p = float(stats.f.sf(ratio, count - 1, (count - 1) * (blocks - 1)))
    found = HOLDS if p < 1 - CONFIDENCE else UNKNOWN
    return found, f"F = {ratio:.3g}, p = {p:.2g}, {blocks} blocks"


def _alike(claim: ClaimConfig, measure: str, blocks: Sequence[Block]) -> Finding:
    found: Numbers = {"between results": []}
    for block in blocks:
        for one, other in itertools.combinations(block.values(), 2):
            for between, name in (("between results", "final"), ("between starts", "start")):
                value = _between(one, other, name, measure)
                if value is not None:
                    found.setdefault(between, []).append(value)
    numbers = found["between results"]
    if not numbers:
        return Finding(claim, measure, found, UNKNOWN, "no two finished runs to compare")
    if claim.at_least is not None:
        bound, margins = f"at least {claim.at_least:g}", [v - claim.at_least for v in numbers]
    else:
        assert claim.at_most is not None
        bound, margins = f"at most {claim.at_most:g}", [claim.at_most - v for v in numbers]
    mean, half = interval(numbers)
    spread = "one pair has no spread" if half == float("inf") else f"{mean:.3g} ± {half:.2g}"
    return Finding(claim, measure, found, verdict(margins), f"{bound} asked; {spread}")


def _between(one: RunRecord, other: RunRecord, name: str, measure: str) -> float | None:
    first, second = _pixels(one, name), _pixels(other, name)
    if first is None or second is None or first.shape != second.shape:
        return None
    if measure == "patch_distance" and min(first.shape[:2]) < similarity.PATCH:
        return None
    compare: Any = getattr(similarity, measure)
    return float(compare(first, second))


def _pixels(result: RunRecord, name: str) -> NDArray[np.uint8] | None:
    path = result.picture(name)
    if path is None:
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _setting(claim: ClaimConfig, jobs: Sequence[Job]) -> Finding:
    found = [_at(job.completed.config, claim.key) for job in jobs if job.completed]
    numbers: Numbers = {}
    if not found:
        return Finding(claim, "", numbers, UNKNOWN, "no finished run to look at")
    shown = ", ".join(sorted({str(value) for value in found}))
    same = all(value == claim.value for value in found)
    reason = f"{claim.key} = {shown} in {len(found)} runs"
    return Finding(claim, "", numbers, HOLDS if same else FAILS, reason)


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config
