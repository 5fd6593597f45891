"""A study against a grid: steps until its front is as good, and what asking and telling costs."""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from nst.cli.main import invoke
from nst.runner.record import RunRecord
from nst.sweeps import sweep_folder
from nst.sweeps.search import record
from nst.sweeps.search.space import Space
from nst.sweeps.search.study import Study, storage
from nst.sweeps.search.trials import progress
from tests.bench.loop import tell
from tests.bench.rows import Row

OBJECTIVE = ("content_distance", "patch_distance")
PAIRS = ("astronaut_brushstrokes", "chelsea_waves", "china_stained_glass")
BASE = (
    *("+preset=report", "image.size=64", "steps=60", "snapshot_every=60"),
    *("logger=none", "checkpoint_seconds=1e6"),
)
GRID = (
    "weights.style=1e3,2.15e4,4.64e5,1e7",
    "weights.tv=0.1,1,10,100",
    "layers=report,gatys,deep,textbook",
)
SPACE = (
    "weights.style=tag(log,interval(1e3,1e7))",
    "weights.tv=tag(log,interval(0.1,100))",
    "layers=report,gatys,deep,textbook",
)
SEARCHED = {
    "weights.style": FloatDistribution(1e3, 1e7, log=True),
    "weights.tv": FloatDistribution(0.1, 100, log=True),
    "layers": CategoricalDistribution(["report", "gatys", "deep", "textbook"]),
}
SEEDS = 3
TRIALS = 40
GOAL = 22
"""Runs' worth of steps, at most, to the hypervolume of the grid of 64 runs."""

MARGIN = 1.1
MANY = 1000
OVERHEAD = 50.0
"""Milliseconds a trial, at most, after so many trials."""

Point = tuple[float, float]


def measure(
    pairs: Sequence[str] = PAIRS,
    grid: Sequence[str] = GRID,
    base: Sequence[str] = BASE,
    seeds: int = SEEDS,
    trials: int = TRIALS,
    many: int = MANY,
) -> list[Row]:
    """All rows of this part.

    Args:
        pairs: of content and style.
        grid: overrides of the grid.
        base: overrides of all runs.
        seeds: of studies, for each pair.
        trials: of a study.
        many: trials whose asking and telling is timed.
    """
    needed: list[int | None] = []
    ratios: list[float] = []
    for pair in pairs:
        with _elsewhere() as outputs:
            tell(f"search: {pair}, grid")
            _sweep(["-m", *base, f"pair={pair}", *grid])
            points = _grid(outputs)
            # a little beyond the worst values, so that the ends of a front count as well
            reference = MARGIN * max(x for x, _ in points), MARGIN * max(y for _, y in points)
            wanted = hypervolume(points, reference)
            for seed in range(seeds):
                tell(f"search: {pair}, study {seed + 1}/{seeds}")
                _study(pair, base, seed, trials)
                found = [trial.values for trial in record.read(outputs, f"s{seed}").completed]
                volumes = [
                    hypervolume([(x, y) for x, y in found[:count]], reference)
                    for count in range(1, len(found) + 1)
                ]
                reached = [n for n, volume in enumerate(volumes, 1) if volume >= wanted]
                needed.append(reached[0] if reached else None)
                ratios.append(volumes[min(GOAL, len(volumes)) - 1] / wanted)
    runs = [each for each in needed if each is not None]
    tell("search: asking and telling")
    asking, theirs = overhead(many), optuna_alone(many)
    cases = f"{len(pairs)} pairs, {seeds} seeds"
    return [
        Row(
            f"search: runs of a study until its hypervolume is that of the grid, mean of {cases}",
            "runs",
            statistics.mean(runs) if len(runs) == len(needed) else None,
            goal=GOAL,
            better="lower",
        ),
        Row(
            f"search: hypervolume of a study after {GOAL} runs over that of the grid, mean of "
            f"{cases}; lowest {min(ratios):.3f}",
            "",
            None,
            ratio=statistics.mean(ratios),
            goal=1.0,
        ),
        Row(
            f"search: asking, telling and the line of progress, after {many} trials",
            "ms a trial",
            asking,
            goal=OVERHEAD,
            better="lower",
        ),
        Row(
            f"search: the same against a study of Optuna's own, after {many} trials",
            "ms a trial",
            asking,
            theirs,
            ratio=theirs / asking,
        ),
    ]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The area that points dominate, up to a reference; lower is better in both coordinates."""
    area, lowest = 0.0, reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < lowest:
            area += (reference[0] - x) * (lowest - y)
            lowest = y
    return area


def overhead(many: int) -> float:
    """Milliseconds to ask for, tell and report a trial, after many trials."""
    sampler = partial(optuna.samplers.TPESampler, multivariate=True, n_startup_trials=8)
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder), "s", Space(SEARCHED, []), OBJECTIVE, {}, sampler, 0)

        def batch(count: int) -> None:
            for trial in study.ask(count, many):
                values = [chance.random(), chance.random()]
                study.complete(trial.number, values, f"run {trial.number}")
            progress(study, many)

        milliseconds = _mean_of_last(batch, many)
        study.close()
    return milliseconds


def optuna_alone(many: int) -> float:
    """The same by a study of Optuna's own, in a file of the same kind."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(
            storage=storage(Path(folder), "s"),
            directions=["minimize"] * len(OBJECTIVE),
            sampler=optuna.samplers.TPESampler(multivariate=True, n_startup_trials=8, seed=0),
        )

        def batch(count: int) -> None:
            for trial in [study.ask(SEARCHED) for _ in range(count)]:
                trial.set_user_attr("run", f"run {trial.number}")
                study.tell(trial, [chance.random(), chance.random()])

        return _mean_of_last(batch, many)


def _mean_of_last(batch: Callable[[int], None], many: int, size: int = 8, last: int = 100) -> float:
    """Milliseconds a trial of the last ones of many that are asked for and told in batches."""
    times: list[float] = []
    while len(times) < many:
        began = time.perf_counter()
        batch(size)
        times += [(time.perf_counter() - began) / size] * size
    return 1000 * statistics.mean(times[-last:])


@contextmanager
def _elsewhere() -> Iterator[Path]:
    """Works in an empty folder; its ``outputs``."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder, "outputs")
        finally:
            os.chdir(here)


def _sweep(arguments: list[str]) -> None:
    sys.argv = ["nst"]
    status = invoke([*arguments, "hydra/launcher=vectorized"])
    if status:
        raise RuntimeError(f"ended with status {status}: {' '.join(arguments)}")


def _study(pair: str, base: Sequence[str], seed: int, trials: int) -> None:
    objective = f"objective=[{','.join(OBJECTIVE)}]"
    own = (f"study=s{seed}", f"hydra.sweeper.seed={seed}", f"hydra.sweeper.n_trials={trials}")
    _sweep(["-m", "hydra/sweeper=optuna", *base, f"pair={pair}", objective, *SPACE, *own])


def _grid(outputs: Path) -> list[Point]:
    """The objective of the runs of the only sweep."""
    (folder,) = (outputs / "sweeps").iterdir()
    found = []
    for ended in sweep_folder.outcomes(folder):
        assert ended.folder is not None
        x, y = (RunRecord(ended.folder).measure(name) for name in OBJECTIVE)
        assert x is not None and y is not None
        found.append((x, y))
    return found
