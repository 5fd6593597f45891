"""Blocks of runs, and the values of a measure that a question compares within them.

A *block* is a set of runs that differ only in the key whose values are compared: same pictures,
same seed. With ``at_equal`` a block has a curve of runs for each value of the key, and the measure
is read where the curves have the same value of another measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst.config.experiment import MEASURES, QuestionConfig
from nst.metrics import similarity
from nst.reports.collect import Experiment, JobRecord
from nst.runner.record import RunRecord

Values = NDArray[np.float64]
Curve = list[tuple[float, float]]
"""(the measure held equal, the measure compared), a point per run."""


@dataclass(frozen=True)
class Compared:
    """The values of a measure.

    Attributes:
        settings: values of the question's key.
        values: (blocks, settings).
        omitted: blocks whose curves have no common value of the measure to hold equal.
        level: mean over the blocks of the value that is held equal; None: none is.
    """

    settings: list[str]
    values: Values
    omitted: int = 0
    level: float | None = None

    @property
    def remark(self) -> str:
        """How many blocks were omitted, for a reason's end; empty if none was."""
        return f"; curves do not overlap in {self.omitted} blocks" if self.omitted else ""


def compare(
    experiment: Experiment, question: QuestionConfig, measure: str, settings: Sequence[str] = ()
) -> Compared:
    """The values of a measure in all complete blocks.

    Args:
        experiment: of whose jobs ``question.only`` already holds.
        question: what is compared.
        measure: a key of ``MEASURES``.
        settings: values of the question's key; none: all.
    """
    order = [each for each in experiment.order(question.key) if not settings or each in settings]
    apart = {question.key, question.along} - {""}
    keys = [key for key in experiment.varying if key not in apart]
    kept = [key for key in keys if key not in question.average]
    rows: dict[tuple[str, ...], list[list[float]]] = {}
    levels, omitted = [], 0
    for jobs in experiment.groups(keys).values():
        runs = {each: _runs(jobs, question.key, each) for each in order}
        if not runs or not all(runs.values()):
            continue
        if question.at_equal:
            curves = [_curve(own, question.at_equal, measure) for own in runs.values()]
            if not all(curves):
                continue
            level = shared_level([[x for x, _ in curve] for curve in curves])
            if level is None:
                omitted += 1
                continue
            levels.append(level)
            row: list[float | None] = [interpolated(curve, level) for curve in curves]
        else:
            newest = {each: own[-1] for each, own in runs.items()}
            row = [_value(run, measure, list(newest.values())) for run in newest.values()]
        found = [value for value in row if value is not None]
        if len(found) == len(order):
            rows.setdefault(jobs[0].at(kept), []).append(found)
    means = [np.mean(own, axis=0) for own in rows.values()]
    values = np.array(means, float).reshape(len(means), len(order))
    return Compared(order, values, omitted, float(np.mean(levels)) if levels else None)


def blocks(experiment: Experiment, key: str) -> list[dict[str, RunRecord]]:
    """The blocks of a key alone: completed runs by its value."""
    groups = experiment.groups([other for other in experiment.varying if other != key])
    return [
        {job.values[key]: job.completed for job in jobs if job.completed and key in job.values}
        for jobs in groups.values()
    ]


def _runs(jobs: Sequence[JobRecord], key: str, value: str) -> list[RunRecord]:
    return [job.completed for job in jobs if job.completed and job.values.get(key) == value]


def _curve(runs: Sequence[RunRecord], x: str, y: str) -> Curve:
    """The points of the runs, sorted; empty if a run lacks a number or there are fewer than two."""
    points = [(run.measure(x), run.measure(y)) for run in runs]
    known = sorted((a, b) for a, b in points if a is not None and b is not None)
    return known if len(known) == len(points) > 1 else []


def shared_level(curves: Sequence[Sequence[float]]) -> float | None:
    """The middle of the range that all curves cover; None if there is none.

    The geometric middle of positive ranges: distances span orders of magnitude.
    """
    least, most = max(map(min, curves)), min(map(max, curves))
    if least > most:
        return None
    return float((least * most) ** 0.5) if least > 0 else (least + most) / 2


def interpolated(curve: Curve, level: float) -> float:
    """The second value of a sorted curve where the first is ``level``.

    Linear between the points, in the logarithm of the first value where all are positive.
    """
    xs, ys = np.array(curve).T
    if xs[0] > 0:
        return float(np.interp(np.log(level), np.log(xs), ys))
    return float(np.interp(level, xs, ys))


def _value(run: RunRecord, measure: str, block: Sequence[RunRecord]) -> float | None:
    if measure in ("steps_to_loss", "seconds_to_loss"):
        return to_loss(run, block, measure.removesuffix("_to_loss"))
    if measure == "distance_from_first":
        return between(run, block[0], "patch_distance")
    return run.measure(measure)


def to_loss(run: RunRecord, compared: Sequence[RunRecord], unit: str) -> float | None:
    """Returns when the run's loss is as low as the highest final loss of the compared runs.

    Args:
        run: one of ``compared``.
        compared: runs with the same objective.
        unit: ``steps`` or ``seconds``.
    """
    ends = [loss for other in compared if (loss := other.measure("loss")) is not None]
    if len(ends) < len(compared):
        return None
    level = max(ends) * (1 + 1e-6)  # metrics.csv has fewer digits than run.json
    column = "step" if unit == "steps" else "seconds"
    return next((row[column] for row in run.rows if row.get("loss/total", np.inf) <= level), None)


def optimised(experiment: Experiment, key: str, settings: Sequence[str], measure: str) -> list[str]:
    """The values of a key under which runs minimise the measure themselves, or nearly so."""
    own = MEASURES[measure]
    return [
        each
        for each in settings
        if any(own.optimised(run.settings) for run in _runs(experiment.jobs, key, each))
    ]


def between(run: RunRecord, other: RunRecord, measure: str, name: str = "final") -> float | None:
    """A measure between the pictures of two runs.

    Args:
        run: one of them.
        other: the other.
        measure: of ``PAIR_MEASURES``.
        name: of the picture: ``final`` or ``start``.

    Returns:
        None if a picture is missing, or if their sizes do not fit.
    """
    first, second = _pixels(run, name), _pixels(other, name)
    if first is None or second is None or first.shape != second.shape:
        return None
    if measure == "patch_distance" and min(first.shape[:2]) < similarity.PATCH:
        return None
    compare: Any = getattr(similarity, measure)
    return float(compare(first, second))


def _pixels(run: RunRecord, name: str) -> NDArray[np.uint8] | None:
    path = run.picture(name)
    if path is None:
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
