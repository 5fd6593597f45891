"""Runs as one batch against the same runs in turn, in one process, all else equal."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping

from nst.transfer.run import Run
from tests.bench.loop import BASE, quiet, tell
from tests.bench.rows import Row
from tests.helpers import execute, prepared

SIZES = {64: 1.7, 128: 1.2}  # size: goal
STEPS = 40
ROUNDS = 2

# One shape of picture; what may differ within a batch differs.
RUNS = (
    ("init=noise", "seed=0", "weights=medium"),
    ("init=noise", "seed=1", "weights=medium"),
    ("init=noise", "seed=2", "weights=strong"),
    ("init=noise", "seed=3", "weights=mild"),
    ("init=content", "weights=mild"),
    ("init=content", "weights=medium"),
    ("init=content", "weights=strong"),
    ("init=blend", "seed=4", "weights=medium"),
)


def measure(
    sizes: Mapping[int, float] = SIZES,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    own: tuple[tuple[str, ...], ...] = RUNS,
) -> list[Row]:
    """All rows of this part.

    Args:
        sizes: for each, px, its goal.
        steps: of every run.
        rounds: how often both take their turn.
        own: the overrides of each run.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size, goal in sizes.items():
            common = [*BASE, "logger=none", f"outputs={folder}"]
            common += [f"image.size={size}", f"steps={steps}"]
            runs = [prepared(*common, *each) for each in own]
            times: dict[str, list[float]] = {"batch": [], "in turn": []}
            execute(runs[:1])  # warm-up
            for number in range(rounds):
                tell(f"{len(runs)} runs at {size} px: round {number + 1}/{rounds}")
                times["batch"].append(_seconds(lambda: execute(runs)))  # noqa: B023
                times["in turn"].append(_seconds(lambda: _in_turn(runs)))  # noqa: B023
            pairs = zip(times["in turn"], times["batch"], strict=True)
            rows.append(
                Row(
                    f"{len(runs)} runs of {steps} steps, {size} px: a batch against one by one",
                    "s",
                    statistics.median(times["batch"]),
                    statistics.median(times["in turn"]),
                    statistics.median(theirs / ours for theirs, ours in pairs),
                    goal,
                )
            )
    return rows


def _in_turn(runs: list[Run]) -> None:
    for run in runs:
        execute([run])


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    with quiet():
        work()
    return time.perf_counter() - began
