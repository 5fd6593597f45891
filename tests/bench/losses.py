"""A step with each style loss against a step with ``gram``: objective, gradient and optimiser."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from tests.bench.loop import BASE, precisions, tell
from tests.bench.rows import Row
from tests.bench.step import bare
from tests.helpers import STYLE_LOSSES, prepared

SIZE = 256
STEPS = 8
ROUNDS = 3
GOALS = {
    "moments": 1.0,
    "wasserstein": 1.25,
    "sliced_wasserstein": 1.5,
    "cross": 1.2,
    "nearest": 1.5,
}
"""At most so many times the step with ``gram``."""


def measure(
    size: int = SIZE,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    goals: Mapping[str, float] = GOALS,
) -> list[Row]:
    """All rows of this part.

    Args:
        size: of the picture, px.
        steps: in a round, with each loss.
        rounds: how often each loss takes its turn.
        goals: for the ratio of each loss.
    """
    precision = precisions()[0]
    settings = (*BASE, f"image.size={size}", f"steps={steps}", f"precision={precision}")
    names = sorted(STYLE_LOSSES, key=lambda name: name != "gram")
    loops = {
        name: bare(prepared(*settings, "schedule.precise=0", f"style_loss={name}"), steps)
        for name in names
    }
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name, loop in loops.items():
            tell(f"losses: round {number + 1}/{rounds}, {name}")
            seconds[name].append(loop())
    return [
        Row(
            f"a step with {name}, {size} px, {precision}, against gram (ours / theirs)",
            "s",
            statistics.median(seconds[name]),
            statistics.median(seconds["gram"]),
            statistics.median(
                own / gram for own, gram in zip(seconds[name], seconds["gram"], strict=True)
            ),
            goals.get(name),
            "lower",
        )
        for name in names[1:]
    ]
