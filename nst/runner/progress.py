"""Progress of a run: a bar in a terminal and in a notebook, plain lines in CI and in files."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from nst.runner.plan import Plan
from nst.transfer.module import StyleTransfer
from nst.transfer.schedule import Scale, work
from nst.utils.text import ranges

REFRESH_SECONDS = 0.25
LINES = 10
"""Plain lines per run."""


class ProgressBar(L.Callback):
    """Shows run, scale, step, losses and the time left on stderr; in a sweep, of all its runs.

    Args:
        name: of the run.
        total: steps.
        plan: of the sweep that the run belongs to.
    """

    def __init__(self, name: str, total: int, plan: Plan) -> None:
        self.name = name
        self.plan = plan
        self.job = ""
        if len(plan.costs) > 1:
            numbers = [number + 1 for number in plan.now]
            self.job = f"{ranges(numbers)}/{len(plan.costs)}"
        self.total = total
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        shown = self.console.is_terminal or (self.console.is_jupyter and _has_widgets())
        self.plain = not shown or bool(os.environ.get("CI"))
        self._began = self._shown = 0.0
        self._first = 0
        self._scales: list[Scale] = []
        self._bar: Progress | None = None
        self._task: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the bar."""
        self._began = time.perf_counter()
        if self.plain:
            self.console.print(f"{self.job} {self.name}: {self.total} steps".strip(), markup=False)
            return
        name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._bar = Progress(
            # in a narrow terminal the name is cut short, not the numbers
            TextColumn("{task.fields[job]}"),
            TextColumn("{task.description}", markup=False, table_column=name),
            TextColumn("{task.fields[size]} px"),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            expand=True,
        )
        assert isinstance(pl_module, StyleTransfer)
        size = pl_module.scale.size
        self._task = self._bar.add_task(
            self.name, total=self.total, job=self.job, size=size, losses="", left=""
        )
        self._bar.start()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        step: Any,
        batch_idx: int,
    ) -> None:
        """Reads the losses only to show them: reading stalls a GPU."""
        done, now = step + 1, time.perf_counter()
        assert isinstance(pl_module, StyleTransfer)
        self._first, self._scales = pl_module.first, pl_module.scales
        if self.plain:
            if done * LINES // self.total > step * LINES // self.total:
                size = outputs["scale"].size
                text = f"{self.job} {self.name}: {size} px, step {done}/{self.total}"
                text += f", {_text(outputs)}, {self._left(done, now)}"
                self.console.print(text.strip(), markup=False)
        elif self._bar is not None and (now - self._shown > REFRESH_SECONDS or done == self.total):
            self._shown = now
            self._bar.update(
                self._task,
                completed=done,
                losses=_text(outputs),
                size=outputs["scale"].size,
                left=self._left(done, now),
            )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Records the time of the run in the plan."""
        self.plan.computed(time.perf_counter() - self._began)

    def _left(self, done: int, now: float) -> str:
        """Time left, of the whole sweep if there is one."""
        seconds = now - self._began
        skipped, ended, all_work = (
            work(self._scales, steps) for steps in (self._first, done, self.total)
        )
        pace = seconds / (ended - skipped)
        if self.job:
            # a resumed run counts as if all its steps had taken this pace
            left = self.plan.left(ended / all_work, pace * ended)
            return f"all {timedelta(seconds=round(left))}"
        return str(timedelta(seconds=round(pace * (all_work - ended))))

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Closes the bar: the message after it starts on a new line."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _has_widgets() -> bool:
    """Whether a notebook can show rich's bar; else it would warn at every update."""
    return find_spec("ipywidgets") is not None


def _text(outputs: Any) -> str:
    losses = outputs["losses"]
    finite = losses["total"].isfinite()  # a diverged image would hide the rest of the batch
    shown = ((name, losses[name][finite].mean().item()) for name in ("total", "content", "style"))
    return " ".join(f"{name} {value:.3g}" for name, value in shown)
