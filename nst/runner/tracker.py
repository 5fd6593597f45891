"""Records a batch while it is optimised."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

import lightning as L
import torch
from torch import Tensor

from nst.runner.pruning import Pruning
from nst.runner.signals import Interrupts
from nst.runner.writer import RunWriter
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.departure import Departure, Why
from nst.transfer.module import StepOutput, StyleTransfer

CHECKPOINT_SHARE = 0.015
"""Largest share of the time that checkpoints may take."""

SECONDS_PER_BYTE = 4e-9
"""Assumed cost of a checkpoint before the first one is timed: 250 MB/s."""

FLUSH_SECONDS = 2.0
"""Longest time that losses stay on the device: reading them at each step would stall a GPU."""


class _Row(NamedTuple):
    """Results of a step, still on the device."""

    step: int
    seconds: float
    lr: float
    found: StepOutput


class Tracker(L.Callback):
    """Records the losses, the snapshots, the checkpoints and the end of every run of a batch.

    Step k is the image after k updates, in rows, snapshots and loggers. Seconds count from the
    first step, tracking included. A run that cannot be written ends alone; once all
    have ended, the first one's error ends the batch.

    Args:
        writers: of the runs, in the order of the batch.
        snapshot_every: steps between snapshots.
        checkpoint_seconds: shortest time between checkpoints, s.
        pruning: of runs at snapshots; has the metrics of results too.
        interrupts: signals that interrupt the runs.
        log_every_step: log each row at once. Needed where callbacks log too: W&B drops rows of a
            step before the last logged one.

    Attributes:
        checkpoint_cost: seconds spent on checkpoints.
        steps_done: updates so far.
    """

    def __init__(
        self,
        writers: Sequence[RunWriter],
        snapshot_every: int,
        checkpoint_seconds: float,
        pruning: Pruning,
        interrupts: Interrupts,
        log_every_step: bool = False,
    ) -> None:
        self.writers = list(writers)
        self.snapshot_every = snapshot_every
        self.checkpoint_seconds = checkpoint_seconds
        self.pruning = pruning
        self.interrupts = interrupts
        self.log_every_step = log_every_step
        self.checkpoint_cost = 0.0
        self._waiting: list[_Row] = []
        self._snapshot: Tensor | None = None  # of the last row that waits
        self._began = self._flushed = 0.0
        self._saved = self._session_began = 0.0
        self._seconds_per_byte = SECONDS_PER_BYTE
        self.steps_done = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        assert isinstance(pl_module, StyleTransfer)
        self.steps_done = pl_module.first
        self.interrupts.listen()  # here, since the Trainer has just installed its own handlers
        self._began = self._session_began = self._flushed = self._saved = time.perf_counter()
        if self.writers[0].checkpoint is not None:
            self._began -= self.writers[0].checkpoint.seconds

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, step: Any, batch_idx: int
    ) -> None:
        """Takes the snapshot and the checkpoint of step k, before update k + 1."""
        assert isinstance(pl_module, StyleTransfer)
        if step > pl_module.first and self._may_save(pl_module):
            self._save(pl_module, step)
        if step % self.snapshot_every == 0:
            self._snapshot = pl_module.image.detach().clone()

    def _may_save(self, module: StyleTransfer) -> bool:
        """Whether a checkpoint is due and the share of the time allows it."""
        now = time.perf_counter()
        if now - self._saved <= self.checkpoint_seconds:
            return False
        cost = self._seconds_per_byte * self._size(module)
        return self.checkpoint_cost + cost < CHECKPOINT_SHARE * (now - self._session_began)

    def _size(self, module: StyleTransfer) -> int:
        """Bytes of the tensors in all checkpoints, which are nearly all of their size."""
        numbers = range(len(module.active))
        states = sum(part.nbytes for i in numbers for part in module.optimizer_state(i).values())
        return states + 2 * module.image.nbytes  # with the best images

    def _save(self, module: StyleTransfer, step: int) -> None:
        """Writes a checkpoint of every run before update ``step`` + 1."""
        began = time.perf_counter()
        if self._waiting:
            self._flush(module)
        for index, writer in self._active(module.active):
            signature, best = writer.run.config.run.signature, module.best.get(index)
            assert signature is not None
            checkpoint = Checkpoint(
                signature,
                step,
                began - self._began,
                _detached(module.image[index].detach()),
                {name: _detached(part) for name, part in module.optimizer_state(index).items()},
                writer.rows,
                (best.loss, best.step, best.image),  # plain, to be loaded without our classes
            )
            with writer.isolating_errors():
                if self.log_every_step and writer.rows:
                    writer.folder.metrics(writer.rows)
                writer.save(checkpoint)
        self._saved = time.perf_counter()
        self.checkpoint_cost += self._saved - began
        self._seconds_per_byte = (self._saved - began) / self._size(module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        step: Any,
        batch_idx: int,
    ) -> None:
        """Keeps the losses on the device until there is a reason to read them."""
        assert isinstance(pl_module, StyleTransfer)
        self._add(trainer, step, cast(StepOutput, outputs))
        self.steps_done = step + 1
        due = self._snapshot is not None or time.perf_counter() - self._flushed > FLUSH_SECONDS
        if due or self.log_every_step or self._have_departed(pl_module):
            self._flush(pl_module, write=due)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ends every run: with its result, or as interrupted before the last step."""
        assert isinstance(pl_module, StyleTransfer)
        if pl_module.final is None:  # by a signal, or by max_time or max_steps of the Trainer
            self._interrupt(pl_module)
            return
        final = pl_module.image.detach().clone()
        self._add(trainer, self.steps_done, pl_module.final)
        self._snapshot = final
        self._flush(pl_module)
        for index, writer in self._active(pl_module.active):
            with writer.isolating_errors():
                self._complete(writer, final[index])

    def _complete(self, writer: RunWriter, image: Tensor, early: Departure | None = None) -> None:
        picture, config = writer.picture(image), writer.run.config
        measures = self.pruning.metrics.measure(
            picture, writer.content, writer.styles, config.learned_metrics, config.wraps
        )
        writer.complete(picture, measures, early)

    def _depart(self, writer: RunWriter, departure: Departure) -> None:
        """Ends a run whose image left the batch."""
        writer.folder.metrics(writer.rows)
        if departure.why is Why.REACHED:
            self._complete(writer, departure.best.image, departure)
        else:
            writer.depart(departure)

    def _interrupt(self, module: StyleTransfer) -> None:
        signal = self.interrupts.received
        self._save(module, self.steps_done)
        for writer in self._unfinished():
            with writer.isolating_errors():
                writer.interrupt(signal.name if signal else "the Trainer", self.steps_done)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Ends the loggers without a failure at a ``SystemExit`` or ``KeyboardInterrupt``."""
        if not isinstance(exception, Exception):
            for writer in self._unfinished():
                with writer.isolating_errors():
                    for logger in writer.loggers:
                        logger.finalize("aborted")

    def _unfinished(self) -> list[RunWriter]:
        return [writer for writer in self.writers if not writer.ended]

    def _active(self, runs: Sequence[int]) -> list[tuple[int, RunWriter]]:
        """(index of the image, writer) of these runs that have not ended."""
        found = [(index, self.writers[run]) for index, run in enumerate(runs)]
        return [(index, each) for index, each in found if not (each.ended or each.left)]

    def _have_departed(self, module: StyleTransfer) -> bool:
        return any(not self.writers[run].ended for run in module.departed)

    def _add(self, trainer: L.Trainer, step: int, found: StepOutput) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self._waiting.append(_Row(step, time.perf_counter() - self._began, rate, found))

    def _flush(self, module: StyleTransfer, write: bool = True) -> None:
        """Reads the waiting rows from the device, and passes them to the writers.

        Args:
            module: of the batch.
            write: whether to write files as well.

        Raises:
            Exception: the first error of a run, if all have ended.
        """
        for active, rows in groupby(self._waiting, lambda row: row.found["active"]):
            self._distribute(active, list(rows), write, final=module.final is not None)
        for run, departure in module.departed.items():
            writer = self.writers[run]
            if not writer.ended:
                with writer.isolating_errors():
                    self._depart(writer, departure)
        self._waiting.clear()
        self._snapshot = None
        if write:
            self._flushed = time.perf_counter()
        self._raise_if_all_ended()

    def _distribute(
        self, active: Sequence[int], rows: Sequence[_Row], write: bool, final: bool
    ) -> None:
        """Reads rows of the same images in one transfer, and passes each writer its own."""
        names = list(rows[0].found["losses"])
        # the same losses at all scales: they stack
        table = torch.stack(
            [
                torch.stack([*found["losses"].values(), found["ended"].to(torch.float32)])
                for *_, found in rows
            ]
        )
        values = table.float().cpu().tolist()  # [row][loss][image]
        for index, writer in self._active(active):
            with writer.isolating_errors():
                for (step, seconds, rate, _), row in zip(rows, values, strict=True):
                    if writer.left:
                        break
                    losses = {
                        f"loss/{name}": row[names.index(name)][index]
                        for name in writer.names(names)
                    }
                    writer.log({"step": step, "seconds": round(seconds, 4), **losses, "lr": rate})
                    writer.left = bool(row[-1][index])
                last = rows[-1] is self._waiting[-1]
                if self._snapshot is not None and last and not writer.left:
                    picture = writer.snapshot(rows[-1].step, self._snapshot[index])
                    if not final:  # then it is too late to prune
                        self.pruning.snapshot(active[index], writer, picture)
                if write:
                    writer.folder.metrics(writer.rows)

    def _raise_if_all_ended(self) -> None:
        if not self._unfinished():
            errors = [writer.error for writer in self.writers if writer.error is not None]
            if errors:
                raise errors[0]


def _detached(part: Tensor) -> Tensor:
    """On the CPU, without the rest of the tensor that it is a view of: that would be saved too."""
    part = part.cpu()
    return part if part.untyped_storage().nbytes() == part.nbytes else part.clone()
