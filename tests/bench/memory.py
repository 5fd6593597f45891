"""Memory and seconds per step against pixels.

``python -m tests.bench.memory [SIZE …] [KEY=VALUE …]`` measures these sizes, with these overrides,
and puts the rows into ``outputs/bench.json``. Every size and precision has a process of its own,
whose peak of resident memory is told. A few steps fill only a little of the optimiser's history,
for which room is made as it is filled, and memory that was never written does not count: so here
there is room for all of it at once, and it is written, as it will be after 50 steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
from torch import Tensor

from nst.optim import lbfgs
from nst.transfer.module import StyleTransfer
from tests.bench.loop import (
    BASE,
    ROOT,
    environment,
    logged_seconds,
    per_step,
    precisions,
    quiet,
    tell,
    textbook,
    write_problem,
)
from tests.bench.rows import Row, merge, table
from tests.helpers import execute, prepared
from tests.textbook import peak_memory

SIZES = (64, 128, 256, 512, 1024, 2048)
STEPS = 3
GOALS = {2048: 8.0}  # size: GiB

TILED = ["optimizer.history_size=10"]
"""Settings of ours at large sizes: 50 pairs of images of 2048 px would be 7.5 GB."""

TILED_FROM = 1024
"""The least of these sizes, px."""

TEXTBOOK_UP_TO = 512
"""The textbook loop is measured as well up to this size, px; beyond, it needs too much memory."""

GIB = 2**30


def measure(
    sizes: Sequence[int] = SIZES, steps: int = STEPS, overrides: Sequence[str] = ()
) -> list[Row]:
    """All rows of this part.

    Args:
        sizes: shorter sides of the picture, px.
        steps: of each run, 2 at least.
        overrides: further settings of ours.
    """
    rows = []
    for size in sizes:
        theirs = _textbook(size, steps) if size <= TEXTBOOK_UP_TO else None
        for precision in precisions():
            tell(f"memory: {size} px, {precision}")
            tiled = TILED if size >= TILED_FROM else []
            settings = [*_settings(size, steps), f"precision={precision}", *tiled, *overrides]
            ours = _in_own_process(settings)
            rows += _rows(size, precision, ours, theirs)
    return rows


def _rows(
    size: int, precision: str, ours: tuple[float, float] | None, theirs: tuple[float, float] | None
) -> list[Row]:
    """Of memory and of seconds; without ``ours``, the process was killed or failed."""
    rows = []
    names = (("peak memory", "GiB"), ("seconds per step in a process of its own", "s"))
    for index, (name, unit) in enumerate(names):
        mine = ours[index] if ours else None
        other = theirs[index] if theirs else None
        # the goal is in GiB, so that its row has nothing to compare with
        goal = GOALS.get(size) if index == 0 else None
        rows.append(
            Row(
                f"{name}, {size} px, {precision}",
                unit,
                mine,
                None if goal else other,
                other / mine if mine and other and not goal else None,
                goal,
                "lower" if goal else "higher",
            )
        )
    return rows


def _settings(size: int, steps: int) -> list[str]:
    return [*BASE, "init=noise", "layers=report", f"image.size={size}", f"steps={steps}"]


def _textbook(size: int, steps: int) -> tuple[float, float]:
    """(GiB, seconds per step) of the textbook loop in a process of its own."""
    tell(f"memory: {size} px, the textbook loop")
    with tempfile.TemporaryDirectory() as name, textbook() as ask:
        run = prepared(*_settings(size, steps))
        found = ask(write_problem(run, Path(name) / "problem.pt"), steps)
        return found["peak"] / GIB, per_step(found["seconds"])


def _in_own_process(settings: Sequence[str]) -> tuple[float, float] | None:
    """(GiB, seconds per step) of ours; None if the process was ended, for want of memory say."""
    command = [sys.executable, "-m", "tests.bench.memory", "--one", *settings]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        tell(f"ended with status {ended.returncode}: {ended.stderr[-2000:]}")
        return None
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found["peak"] / GIB, found["seconds"]


def one(settings: Sequence[str]) -> dict[str, Any]:
    """Runs the whole framework once in this process: ``peak`` in bytes, ``seconds`` per step."""
    written = "+trainer.callbacks=[{_target_: tests.bench.memory.WriteHistory}]"
    with tempfile.TemporaryDirectory() as folder:
        run = prepared(*settings, f"outputs={folder}", written)
        with quiet(), mock.patch.object(lbfgs, "GROWTH", 10**6):
            (made,) = execute([run])
        return {"peak": peak_memory(), "seconds": per_step(logged_seconds(made))}


class WriteHistory(L.Callback):
    """Writes all that the optimiser has set aside, after its first step."""

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, StyleTransfer)
        if batch_idx == 0:
            for optimizer in trainer.optimizers:
                for state in optimizer.state.values():
                    for value in state.values():
                        if isinstance(value, Tensor):
                            value.add_(0)


def main() -> None:
    """Measures, keeps the rows and prints them."""
    parser = argparse.ArgumentParser("tests.bench.memory", description="Memory against pixels.")
    parser.add_argument("words", nargs="*", metavar="SIZE | KEY=VALUE")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        score = Path("/proc/self/oom_score_adj")
        if score.exists():
            score.write_text("1000")  # should memory run out, this is the process to end
        print(json.dumps(one(options.words)))
        return
    overrides = [word for word in options.words if "=" in word]
    sizes = [int(word) for word in options.words if "=" not in word] or SIZES
    rows = measure(sizes, overrides=overrides)
    merge("memory", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
