"""How a study got better, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence

from nst.config.objective import higher_is_better
from nst.sweeps.search.record import StudyRecord

Point = tuple[float, ...]


def best_so_far(study: StudyRecord) -> list[float | None]:
    """After each trial, the best value; with several objectives the hypervolume of the front.

    The hypervolume is the share of the box between the best and the worst values of all completed
    trials that the front dominates: 0 to 1.

    Returns:
        A number for each trial, in order; None before the first completed one.
    """
    signs = [-1 if higher_is_better(name) else 1 for name in study.objective]
    points = {
        each.number: tuple(sign * value for sign, value in zip(signs, each.values, strict=True))
        for each in study.completed
    }
    if len(study.objective) > 1:
        points = dict(zip(points, _scaled(list(points.values())), strict=True))
    found: list[float | None] = []
    front: list[Point] = []
    for trial in study.trials:
        point = points.get(trial.number)
        if point is not None and not any(_covers(other, point) for other in front):
            front = [other for other in front if not _covers(point, other)] + [point]
            best = signs[0] * front[0][0] if len(point) == 1 else hypervolume(front)
            found.append(best)
        else:
            found.append(found[-1] if found else None)
    return found


def hypervolume(points: Sequence[Point]) -> float:
    """The volume between points and (1, …, 1): of all that is higher than one of them in each."""
    (*_, last) = zip(*points, strict=True)
    if len(points[0]) == 1:
        return 1 - min(last)
    # slices along the last coordinate: each is as thick as the way to the next point
    volume, order = 0.0, sorted(points, key=lambda point: point[-1])
    for index, point in enumerate(order):
        end = order[index + 1][-1] if index + 1 < len(order) else 1.0
        if end > point[-1]:
            volume += (end - point[-1]) * hypervolume([each[:-1] for each in order[: index + 1]])
    return volume


def _covers(one: Point, other: Point) -> bool:
    """Whether a point is at least as low in every coordinate."""
    return all(a <= b for a, b in zip(one, other, strict=True))


def _scaled(points: Sequence[Point]) -> list[Point]:
    """From 0, the lowest of all points in a coordinate, to 1, the highest."""
    columns = list(zip(*points, strict=True))
    lows = [min(column) for column in columns]
    spans = [max(column) - low or 1.0 for column, low in zip(columns, lows, strict=True)]
    return [
        tuple((value - low) / span for value, low, span in zip(point, lows, spans, strict=True))
        for point in points
    ]
