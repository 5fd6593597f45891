"""Seconds per step against the textbook loop and a bare loop, and the share of the machine's rate.

The textbook loop, ours and the machine's own matrix multiplication take turns, in rounds, so that
a change in the machine's speed falls on all of them alike; ratios are medians over rounds of the
ratio within a round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from nst.runner.record import read_facts
from nst.runner.tracker import Tracker
from nst.transfer.run import Run
from nst.vgg import architecture
from tests.bench.loop import (
    BASE,
    Ask,
    logged_seconds,
    per_step,
    precisions,
    quiet,
    tell,
    textbook,
    write_problem,
)
from tests.bench.rows import Row
from tests.helpers import execute, module, prepared

# size: (steps in a round, rounds); the textbook's optimiser cannot do less than 20
SIZES = {64: (40, 7), 128: (20, 7), 256: (20, 5)}
CHECKPOINTS = {64: 300, 128: 150, 256: 80}  # size: steps
MATRICES = (2048, 4096)
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16}
# every step in the precision that is measured
SETTINGS = [*BASE, "init=noise", "snapshot_every=25", "schedule.precise=0"]

GOALS_SIZE = 256
"""The size that the share of the machine's rate is measured at, px."""

GOALS = {(256, "bf16"): 2.0, (256, "32"): 1.1, (64, "32"): 1.3}
"""Times faster than the textbook loop."""


def measure(
    sizes: Mapping[int, tuple[int, int]] = SIZES,
    checkpoints: Mapping[int, int] = CHECKPOINTS,
    matrices: tuple[int, ...] = MATRICES,
) -> list[Row]:
    """All rows of this part.

    Args:
        sizes: for each, px, the steps in a round and the rounds.
        checkpoints: for each size, px, the steps of the run whose checkpoints are timed.
        matrices: sizes of the square matrices that the machine's rate is measured with.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder, textbook() as ask:
        for size, (steps, rounds) in sizes.items():
            rows += _per_step(Path(folder), ask, size, steps, rounds, matrices)
        for size, steps in checkpoints.items():
            tell(f"checkpoints at {size} px")
            settings = [*SETTINGS, "precision=32", f"image.size={size}", f"steps={steps}"]
            run = prepared(*settings, f"outputs={folder}", "checkpoint_seconds=0")
            rows.append(_checkpoints(run, size))
    return rows


def _per_step(
    folder: Path, ask: Ask, size: int, steps: int, rounds: int, matrices: tuple[int, ...]
) -> list[Row]:
    """The rows of one size."""
    runs = {
        precision: prepared(
            *SETTINGS,
            f"precision={precision}",
            f"image.size={size}",
            f"steps={steps}",
            f"outputs={folder}",
        )
        for precision in precisions()
    }
    problem = write_problem(runs["32"], folder / f"{size}.pt")
    kinds: dict[str, Callable[[], float]] = {
        "textbook": lambda: per_step(ask(problem, steps)["seconds"][:steps]),
    }
    for precision, run in runs.items():
        kinds[f"bare {precision}"] = bare(run, steps)
        kinds[f"nst {precision}"] = framework(run)
        kinds[f"rate {precision}"] = multiply(DTYPES[precision], matrices)
    if size != GOALS_SIZE:
        kinds = {name: kind for name, kind in kinds.items() if not name.startswith("rate")}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for kind in kinds.values():
        kind()  # warm-up
    for number in range(rounds):
        tell(f"seconds per step: {size} px, round {number + 1}/{rounds}")
        for name, kind in kinds.items():
            times[name].append(kind())
    rows = []
    at_size = size == GOALS_SIZE
    for precision, run in runs.items():
        ours = times[f"nst {precision}"]
        rows.append(
            Row(
                f"seconds per step, {size} px, {precision}, against the textbook loop",
                "s",
                statistics.median(ours),
                statistics.median(times["textbook"]),
                _median_ratio(times["textbook"], ours),
                GOALS.get((size, precision)),
            )
        )
        rows.append(
            Row(
                f"seconds per step, {size} px, {precision}, against a bare loop (ours / theirs)",
                "s",
                statistics.median(ours),
                statistics.median(times[f"bare {precision}"]),
                _median_ratio(ours, times[f"bare {precision}"]),
                1.05 if size == 128 else None,
                "lower",
            )
        )
        if at_size:
            rows.append(_share(run, ours, times[f"rate {precision}"], precision))
    return rows


def _median_ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def bare(run: Run, steps: int) -> Callable[[], float]:
    """Seconds per step of our objective and optimiser in a plain loop."""

    def loop() -> float:
        made = module([run], DTYPES[run.config.precision])
        optimizer: Any = made.configure_optimizers()

        ends: list[float] = []

        def closure() -> Tensor:
            made.image.grad = None
            loss = made.objective(made.image)["total"].sum()
            loss.backward()
            ends.append(time.perf_counter())
            return loss

        for _ in range(steps):
            optimizer.step(closure)
        return per_step(ends)

    return loop


def framework(run: Run) -> Callable[[], float]:
    """Seconds per step of ``nst``: Trainer, run folder, W&B offline, progress."""

    def whole() -> float:
        with quiet():
            (folder,) = execute([run])
        return per_step(logged_seconds(folder))

    return whole


def multiply(dtype: torch.dtype, sizes: tuple[int, ...], repeats: int = 3) -> Callable[[], float]:
    """Operations per second of matrix products: the best size and way, median over repeats.

    The ways are ``torch.mm`` and the same product as a 1x1 convolution: in float32 the first calls
    MKL and the second oneDNN, and on some processors one is twice as fast as the other.
    """
    tries: list[tuple[int, Callable[[], Tensor]]] = []
    for size in sizes:
        left, right = torch.randn(2, size, size).to(dtype)
        positions = left[None, None].permute(0, 3, 1, 2)  # channels last
        kernel = right.mT.contiguous()[..., None, None]
        tries += [(size, partial(torch.mm, left, right))]
        tries += [(size, partial(torch.conv2d, positions, kernel, dilation=2))]

    def rate() -> float:
        rates = []
        for size, product in tries:
            seconds = []
            for _ in range(repeats):
                began = time.perf_counter()
                product()
                seconds.append(time.perf_counter() - began)
            rates.append(2 * size**3 / statistics.median(seconds))
        return max(rates)

    return rate


def operations(run: Run) -> tuple[float, float]:
    """Operations of one step in the convolutions, and in the Gram matrices.

    A convolution does 2·9·C_in·C_out·H·W forward, and as many backward, with respect to its input:
    the weights have no gradient. A Gram matrix does 2·C²·H·W each way. Nothing else is counted.
    """
    height, width = run.shape(run.scales[-1])
    convolutions = grams = 0.0
    for layer in architecture.up_to(run.taps, "vgg19"):
        pixels = (height >> (layer.block - 1)) * (width >> (layer.block - 1))
        convolutions += 2 * 2 * 9 * layer.inputs * layer.channels * pixels
        if layer.name in run.config.layers.style:
            grams += 2 * 2 * layer.channels**2 * pixels
    return convolutions, grams


def _share(run: Run, seconds: list[float], rates: list[float], precision: str) -> Row:
    convolutions, grams = operations(run)
    total = convolutions + grams
    figure = (
        f"Gflop/s of a step against matrix products, {run.config.image.size} px, {precision} "
        f"(ours / theirs; a step: {convolutions / 1e9:.1f} Gflop in convolutions, "
        f"{grams / 1e9:.1f} in Gram matrices)"
    )
    return Row(
        figure,
        "Gflop/s",
        total / statistics.median(seconds) / 1e9,
        statistics.median(rates) / 1e9,
        statistics.median(total / each / rate for each, rate in zip(seconds, rates, strict=True)),
        0.70,
    )


def _checkpoints(run: Run, size: int) -> Row:
    """Seconds that a run's checkpoints took, as often as they may be written."""
    trackers: list[Tracker] = []
    plain = Tracker.__init__

    def remember(self: Tracker, *given: Any, **named: Any) -> None:
        plain(self, *given, **named)
        trackers.append(self)

    with quiet(), mock.patch.object(Tracker, "__init__", remember):
        (folder,) = execute([run])
    (tracker,) = trackers
    whole = read_facts(folder)["seconds"]
    return Row(
        f"checkpoints of a whole run, {size} px, as often as they may be (ours / theirs)",
        "s",
        tracker.checkpoint_cost,
        whole,
        tracker.checkpoint_cost / whole,
        0.02,
        "lower",
    )
