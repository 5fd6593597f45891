"""Seconds to the loss that the textbook loop has after 100, 200 and 300 steps.

Both minimise the same function, and a check makes sure of that. Seconds count from the first
evaluation. The loss of ours that counts is the one at full size in float32, whatever precision and
schedule it is reached with; it is evaluated after every step, with the clock stopped. The textbook
loop is given the lowest loss that it had within so many steps, at the time when it had it: now and
then it runs up a wall, and a loss up there would be too easy a target.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from nst.transfer.module import StyleTransfer
from nst.transfer.objective import Objective
from nst.transfer.run import Run
from nst.utils.errors import NstError
from tests.bench import plot as plots
from tests.bench.loop import BASE, Ask, quiet, start, tell, textbook, write_problem
from tests.bench.rows import Row
from tests.helpers import execute, module, prepared

FAST = ["optimizer.filter_power=0.5"]
"""Settings of ours that a picture is to be had fastest with."""

CAP = 240
"""Steps that ours gets at most. A schedule shares them out, so that it hangs on their number."""

SIZE = 256
TARGETS = (100, 200, 300)
PICTURES = (("builtin:astronaut", "builtin:brushstrokes"),)
CURVES = Path("outputs/bench_curves.json")
PLOT = Path("docs/loss_over_seconds.svg")

TOLERANCE = 1e-4
"""How far apart the two may be about the loss of one image, as a share of it."""


@dataclass(frozen=True)
class Case:
    """What is made, and the goal for it."""

    name: str
    overrides: tuple[str, ...]
    goal: float


CASES = (
    Case("style transfer from noise", ("init=noise", "schedule=quick"), 8.0),
    Case("texture from noise", ("task=texture_synthesis", "init=noise", "schedule=quick"), 8.0),
    Case("style transfer from the photo", ("init=content",), 8.0),
)


@dataclass
class Curve:
    """Losses over the seconds at which the images with these losses were there."""

    seconds: list[float]
    losses: list[float]

    def first(self, target: float) -> float | None:
        """When the loss was first at or below the target."""
        points = zip(self.seconds, self.losses, strict=True)
        return next((seconds for seconds, loss in points if loss <= target), None)


def measure(
    pictures: Sequence[Sequence[str]] = PICTURES,
    size: int = SIZE,
    targets: Sequence[int] = TARGETS,
    cap: int = CAP,
    fast: Sequence[str] = FAST,
    curves: Path = CURVES,
    plot: Path = PLOT,
) -> list[Row]:
    """All rows of this part; writes the curves, and a plot of the first pictures'.

    Args:
        pictures: pairs of content and style.
        size: shorter side of the picture, px.
        targets: steps of the textbook loop whose loss is to be reached.
        cap: steps that ours gets at most.
        fast: settings of ours.
        curves: where all the curves go.
        plot: where the drawing goes.
    """
    rows: list[Row] = []
    records: list[dict[str, Any]] = []
    for case in CASES:
        times: dict[int, list[tuple[float, float | None]]] = {steps: [] for steps in targets}
        for content, style in pictures:
            told = f"{case.name}: {Path(content).name}, {Path(style).name}"
            given = [f"content.path={content}", f"style.path={style}", *case.overrides]
            theirs, ours, marks = _race(given, size, targets, cap, fast, told)
            for steps, (seconds, target) in marks.items():
                times[steps].append((seconds, ours.first(target)))
            records.append(
                {
                    "case": case.name,
                    "content": content,
                    "style": style,
                    "size": size,
                    "targets": {str(steps): mark for steps, mark in marks.items()},
                    "textbook": asdict(theirs),
                    "ours": asdict(ours),
                }
            )
        rows += [_row(case, size, steps, pairs) for steps, pairs in times.items()]
    curves.parent.mkdir(parents=True, exist_ok=True)
    curves.write_text(json.dumps(records) + "\n")
    shown = [record for record in records if [record["content"], record["style"]] == [*pictures[0]]]
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(plots.draw(shown))
    return rows


def _row(case: Case, size: int, steps: int, pairs: list[tuple[float, float | None]]) -> Row:
    """Medians over the pictures; where ours does not get there with one of them, there is none."""
    theirs = [seconds for seconds, _ in pairs]
    ours = [seconds for _, seconds in pairs if seconds is not None]
    reached = len(ours) == len(pairs)
    return Row(
        f"time to the loss of {steps} textbook steps, {size} px, {case.name}",
        "s",
        statistics.median(ours) if reached else None,
        statistics.median(theirs),
        statistics.median(a / b for a, b in zip(theirs, ours, strict=True)) if reached else None,
        case.goal,
    )


def _race(
    given: list[str],
    size: int,
    targets: Sequence[int],
    cap: int,
    fast: Sequence[str],
    told: str,
) -> tuple[Curve, Curve, dict[int, tuple[float, float]]]:
    """Both curves, and for each target the textbook loop's seconds and its loss."""
    with tempfile.TemporaryDirectory() as name, textbook() as ask:
        folder = Path(name)
        common = [*BASE, *given, "layers=report", f"image.size={size}", f"outputs={folder}"]
        whole = [text for text in common if not text.startswith("schedule=")]
        plain = prepared(*whole, "precision=32", f"steps={cap}")
        problem = write_problem(plain, folder / "problem.pt")
        made = module([plain])
        check_same(made.objective, start(plain), ask, problem)
        tell(f"{told}: the textbook loop")
        found = ask(problem, max(targets) + 1)
        # evaluation k is of the image after k steps, which is there once evaluation k - 1 is over
        theirs = Curve([0.0, *found["seconds"][:-1]], found["losses"])
        marks = {steps: _lowest(theirs, steps) for steps in targets}
        tell(f"{told}: ours")
        run = prepared(*common, *fast, f"steps={cap}", WATCHED)
        watched = Watch(made.objective, run, min(target for _, target in marks.values()))
        ours = watched.follow(run)
    return theirs, ours, marks


def check_same(objective: Objective, image: Tensor, ask: Ask, problem: Path) -> None:
    """Makes sure that both have the same loss of one image.

    Raises:
        RuntimeError: if they do not: then nothing can be compared.
    """
    with torch.no_grad():
        ours = objective(image)["total"].item()
    theirs = ask(problem, 0)["final"]
    if abs(ours - theirs) > TOLERANCE * abs(theirs):
        raise RuntimeError(f"not the same function: ours {ours:.6g}, the textbook's {theirs:.6g}")


def _lowest(curve: Curve, steps: int) -> tuple[float, float]:
    """(seconds, loss) of the best image within so many steps."""
    points = zip(curve.losses[: steps + 1], curve.seconds[: steps + 1], strict=True)
    loss, seconds = min(points)
    return seconds, loss


class Watch(L.Callback):
    """Notes the loss after every step at full size, and ends the run at the last target.

    Args:
        objective: at full size, in float32.
        run: that is watched.
        target: the lowest one.
    """

    current: Watch | None = None

    def __init__(self, objective: Objective, run: Run, target: float) -> None:
        self.objective = objective
        self.shape = run.shape(run.scales[-1])
        self.target = target
        self.curve = Curve([], [])
        self.stopped = 0.0
        self.began: float | None = None

    def follow(self, run: Run) -> Curve:
        """Runs it, the whole framework, until it has reached the target or its last step."""
        Watch.current = self
        try:
            with quiet():
                execute([run])
        except NstError:  # for the framework, a run that is stopped early has failed
            if min(self.curve.losses, default=torch.inf) > self.target:
                raise
        finally:
            Watch.current = None
        return self.curve

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.began is None:
            self.began = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, StyleTransfer)
        assert self.began is not None
        image = pl_module.image.detach()
        if image.shape[-2:] != self.shape:
            return
        now = time.perf_counter()
        with torch.no_grad():
            loss = self.objective(image.float().clamp(0, 1))["total"].item()
        self.curve.seconds.append(now - self.began - self.stopped)
        self.curve.losses.append(loss)
        if loss <= self.target:
            trainer.should_stop = True
        self.stopped += time.perf_counter() - now


WATCHED = "+trainer.callbacks=[{_target_: tests.bench.time_to_loss.watch}]"


def watch() -> Watch:
    """The callback of the run that is being watched, for the Trainer's config."""
    assert Watch.current is not None
    return Watch.current
