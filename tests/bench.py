"""Seconds per step: the textbook loop, a bare loop with our kernels, and the whole framework.

``make bench`` prints the table and writes ``outputs/bench.json``. The three take turns in one
process, in rounds, so that a change in the machine's speed falls on all of them alike; the ratios
are medians over rounds of the ratio within a round.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from nst import images
from nst.execute import execute
from nst.folder import read_facts
from nst.run import Run
from nst.tracking import Tracker
from tests.helpers import embedded, module, prepared
from tests.textbook import Textbook

# size: (steps in a round, rounds)
SIZES = {64: (30, 7), 128: (20, 7), 256: (6, 5)}
CHECKPOINTS = {64: 300, 128: 150, 256: 80}  # size: steps
SETTINGS = ["init=noise", "precision=32", "snapshot_every=25"]


def per_step(ends: Sequence[float]) -> float:
    """Seconds per step from the times at which evaluations ended; the first warms up."""
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def textbook(run: Run, steps: int) -> Callable[[], float]:
    """Seconds per step of the textbook loop: contiguous float32, torch's L-BFGS."""
    assert run.content is not None
    assert run.style is not None
    size = run.config.image.size
    content, style = (
        images.to_tensor(picture, *images.fit(picture.image.size, size))[None]
        for picture in (run.content, run.style)
    )
    weights = embedded()
    loop = Textbook(
        weights.convolutions,
        weights.mean,
        weights.std,
        content,
        style,
        content_layers=[10],
        style_layers=[1, 2, 5, 9, 13],
        style_weight=300,
    )

    def measure() -> float:
        _, seconds = loop.run(torch.rand_like(content), steps)
        return per_step(seconds)

    return measure


def bare(run: Run, steps: int) -> Callable[[], float]:
    """Seconds per step of our objective and optimiser in a plain loop."""

    def measure() -> float:
        made = module([run])
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

    return measure


def framework(run: Run, steps: int) -> Callable[[], float]:
    """Seconds per step of ``nst``: Trainer, run folder, W&B offline, progress."""

    def measure() -> float:
        with quiet():
            (folder,) = execute([run])
        with (folder / "metrics.csv").open() as file:
            # the last row is the evaluation of the result, after the last step
            return per_step([float(row["seconds"]) for row in csv.DictReader(file)][:-1])

    return measure


def checkpoint_share(run: Run) -> float:
    """Share of a run's time that went into checkpoints."""
    trackers: list[Tracker] = []
    plain = Tracker.__init__

    def remember(self: Tracker, *given: Any) -> None:
        plain(self, *given)
        trackers.append(self)

    with quiet(), mock.patch.object(Tracker, "__init__", remember):
        (folder,) = execute([run])
    (tracker,) = trackers
    return tracker.checkpoint_cost / read_facts(folder)["seconds"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress lines between the rows of the table."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def main() -> None:
    """Measures and prints."""
    results = []
    print("| px | textbook loop | bare loop, our kernels | nst | nst / textbook | nst / bare |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size, (steps, rounds) in SIZES.items():
            size_settings = [f"image.size={size}", f"steps={steps}", f"outputs={folder}"]
            run = prepared(*SETTINGS, *size_settings, "force=true")
            kinds = {
                "textbook": textbook(run, steps),
                "bare": bare(run, steps),
                "nst": framework(run, steps),
            }
            times: dict[str, list[float]] = {name: [] for name in kinds}
            for measure in kinds.values():
                measure()  # warm-up
            for number in range(rounds):
                print(f"{size} px, round {number + 1}/{rounds}", end="\r", file=sys.stderr)
                for name, measure in kinds.items():
                    times[name].append(measure())
            row = [statistics.median(times[name]) * 1000 for name in kinds]
            ratios = [
                statistics.median(
                    ours / theirs for ours, theirs in zip(times["nst"], times[name], strict=True)
                )
                for name in ("textbook", "bare")
            ]
            cells = [f"{value:.1f} ms" for value in row] + [f"{ratio:.2f}" for ratio in ratios]
            print(f"| {size} | {' | '.join(cells)} |", flush=True)
            for name, ratio, goal in zip(
                ("textbook loop", "bare loop"), ratios, (None, 1.05), strict=True
            ):
                results.append(
                    {
                        "figure": f"seconds per step, {size} px, against {name}",
                        "ours": row[2] / 1000,
                        "theirs": row[0 if name == "textbook loop" else 1] / 1000,
                        "ratio": ratio,
                        "goal": goal if size == 128 else None,
                    }
                )
        for size, steps in CHECKPOINTS.items():
            settings = [f"image.size={size}", f"steps={steps}", f"outputs={folder}"]
            share = checkpoint_share(prepared(*SETTINGS, *settings, "checkpoint_seconds=0"))
            print(f"checkpoints at {size} px, as often as they may be: {share:.2%} of the time")
            figure = f"share of the time for checkpoints, {size} px"
            results.append({"figure": figure, "ours": share, "goal": 0.02})
    path = Path("outputs/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
