"""Follows a batch while it is optimised, and hands each run's part to its recorder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from nst import images
from nst.checkpoint import Checkpoint
from nst.interrupts import Interrupts
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.recorder import Recorder

CHECKPOINT_SHARE = 0.015
"""Checkpoints may take this share of the time."""

SECONDS_PER_BYTE = 4e-9
"""What a checkpoint is taken to cost before the first one was timed: 250 MB/s."""

FLUSH_SECONDS = 2.0
"""Losses wait this long on the device at most; reading them each step would stall a GPU."""


class Tracker(L.Callback):
    """Follows the batch: rows of losses, snapshots at fixed steps, the end of every run.

    Step k is the image after k updates, in the rows, in the snapshots and in every logger, from 0
    to the last. Seconds count from the first step, tracking included.

    What is a run's own, its loss or its files, ends that run alone: its image leaves the batch.

    Args:
        recorders: of the runs, in the order of the batch.
        snapshot_every: steps between snapshots.
        checkpoint_seconds: at least so long between checkpoints.
        yardstick: measures the results.
        interrupts: what ends the runs before their time.
        prompt: whether each row is logged at once, since callbacks log as well: W&B drops what
            comes after a later step.

    Attributes:
        recorders: of the runs whose images are in the batch still, in its order.
        checkpoint_cost: seconds that checkpoints took so far.
        steps_done: updates that the images had.
    """

    def __init__(
        self,
        recorders: Sequence[Recorder],
        snapshot_every: int,
        checkpoint_seconds: float,
        yardstick: Yardstick,
        interrupts: Interrupts,
        prompt: bool = False,
    ) -> None:
        self.recorders = list(recorders)
        self.snapshot_every = snapshot_every
        self.checkpoint_seconds = checkpoint_seconds
        self.yardstick = yardstick
        self.interrupts = interrupts
        self.prompt = prompt
        self.checkpoint_cost = 0.0
        self._waiting: list[tuple[int, float, float, dict[str, Tensor], Tensor]] = []
        self._snapshot: Tensor | None = None
        self._began = self._flushed = 0.0
        self._saved = self._here = 0.0
        self._seconds_per_byte = SECONDS_PER_BYTE
        self.steps_done = 0

    def begin(self, trainer: L.Trainer) -> None:
        """Logs the run's whole config, and gives the loggers to the Trainer."""
        for recorder in self.recorders:
            with recorder.own():
                for logger in recorder.loggers:
                    logger.log_hyperparams(recorder.config)
        # only now: the Trainer would begin them all, and end with the first that cannot
        self._set_loggers(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keeps the inputs, and tells new loggers what was before."""
        for recorder in self._going_on():
            with recorder.own():
                recorder.keep_inputs()
                recorder.replay(self.snapshot_every)
        self._stop_if_none_is_left()
        assert isinstance(pl_module, StyleTransfer)
        self.steps_done = pl_module.first
        self.interrupts.listen()  # only now: the Trainer has brought handlers of its own
        self._began = self._here = self._flushed = self._saved = time.perf_counter()
        if self.recorders[0].checkpoint is not None:
            self._began -= self.recorders[0].checkpoint.seconds

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, step: Any, batch_idx: int
    ) -> None:
        """Takes the snapshot of step k before update k + 1 changes the image."""
        assert isinstance(pl_module, StyleTransfer)
        if step > pl_module.first and self._may_save(pl_module):
            self._save(pl_module, step)
        if step % self.snapshot_every == 0:
            self._snapshot = pl_module.image.detach().clone()

    def _may_save(self, module: StyleTransfer) -> bool:
        """Whether a checkpoint is due, and all of them together stay within their share."""
        now = time.perf_counter()
        if now - self._saved <= self.checkpoint_seconds:
            return False
        cost = self._seconds_per_byte * self._size(module)
        return self.checkpoint_cost + cost < CHECKPOINT_SHARE * (now - self._here)

    def _size(self, module: StyleTransfer) -> int:
        """Bytes of the tensors in all checkpoints: nearly all that there is to write."""
        numbers = range(len(self.recorders))
        states = sum(part.nbytes for i in numbers for part in module.optimizer_state(i).values())
        return states + 2 * module.image.nbytes  # the best ones as well

    def _save(self, module: StyleTransfer, step: int) -> None:
        """Writes down where every run stands before update ``step`` + 1."""
        began = time.perf_counter()
        if self._waiting:
            self._flush(module)
        for index, recorder in enumerate(self.recorders):
            if recorder.ended:
                continue  # nothing to go on from
            signature = recorder.run.config.run.signature
            assert signature is not None
            stand = Checkpoint(
                signature,
                step,
                began - self._began,
                _alone(module.image[index].detach()),
                {name: _alone(part) for name, part in module.optimizer_state(index).items()},
                recorder.rows,
                module.best.of(index),
            )
            with recorder.own():
                if self.prompt and recorder.rows:
                    recorder.folder.metrics(recorder.rows)
                recorder.stand(stand)
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
        now = time.perf_counter()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        judged = torch.stack([pl_module.accepted, pl_module.objective.magnitude])
        self._waiting.append((step, now - self._began, rate, outputs["losses"], judged))
        self.steps_done = step + 1
        last_of_scale = step + 1 == pl_module.scale.stop  # its best image goes with it
        due = self._snapshot is not None or last_of_scale or now - self._flushed > FLUSH_SECONDS
        if due or self.prompt:
            self._flush(pl_module, write=due)
            self._leave(trainer, pl_module)
        if self.interrupts.received and step + 1 < pl_module.scales[-1].stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluates the final images once more, so that the last row is the result's."""
        assert isinstance(pl_module, StyleTransfer)
        step = self.steps_done
        if step < pl_module.scales[-1].stop:  # a signal, or a Trainer told so: max_time, max_steps
            signal = self.interrupts.received
            self._save(pl_module, step)
            for recorder in self._going_on():
                with recorder.own():
                    recorder.interrupt(signal.name if signal else "the Trainer", step)
            trainer.loggers = []  # it would tell them of a success
            return
        losses = pl_module.finish()
        self._snapshot = pl_module.image.detach().clone()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = time.perf_counter() - self._began
        judged = torch.stack([losses["total"], pl_module.objective.magnitude])
        self._waiting.append((pl_module.scales[-1].stop, seconds, rate, losses, judged))
        finals = self._snapshot
        self._flush(pl_module)
        for recorder, final in zip(self.recorders, finals, strict=True):
            if recorder.ended:
                continue
            with recorder.own():
                image, inputs = images.to_image(final), recorder.inputs
                measures = self.yardstick.measure(image, inputs.get("content"), inputs.get("style"))
                recorder.complete(image, measures)
        trainer.loggers = []  # each recorder ends its own

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Tells the loggers that a request to stop, such as ``SystemExit``, is no failure."""
        if not isinstance(exception, Exception):
            for recorder in self._going_on():
                with recorder.own():
                    for logger in recorder.loggers:
                        logger.finalize("aborted")
            trainer.loggers = []  # the Trainer would say "failed"

    def _going_on(self) -> list[Recorder]:
        return [recorder for recorder in self.recorders if not recorder.ended]

    def _leave(self, trainer: L.Trainer, module: StyleTransfer) -> None:
        """Images of runs that have ended are computed no more."""
        kept = [index for index, each in enumerate(self.recorders) if not each.ended]
        if len(kept) < len(self.recorders):
            module.keep(kept)
            self.recorders = [self.recorders[index] for index in kept]
            self._set_loggers(trainer)

    def _set_loggers(self, trainer: L.Trainer) -> None:
        trainer.loggers = [logger for each in self._going_on() for logger in each.loggers]

    def _flush(self, module: StyleTransfer, write: bool = True) -> None:
        """Reads what is waiting, with one transfer, and hands it on.

        Args:
            module: whose losses they are.
            write: whether files are written too, all rows so far.

        Raises:
            Exception: what ended one of the runs, if none is left that goes on.
        """
        names = list(self._waiting[0][3])
        # A pyramid's losses differ in nothing but their values, so that they stack.
        table = torch.stack(
            [torch.stack([*losses.values(), *judged]) for *_, losses, judged in self._waiting]
        )
        values = table.float().cpu().tolist()  # [row][loss][image]
        for index, recorder in enumerate(self.recorders):
            if recorder.ended:
                continue
            own = recorder.names(names)
            with recorder.own():
                for (step, seconds, rate, *_), row in zip(self._waiting, values, strict=True):
                    losses = {f"loss/{name}": row[names.index(name)][index] for name in own}
                    recorder.log({"step": step, "seconds": round(seconds, 4), **losses, "lr": rate})
                    recorder.judge(row[-2][index], row[-1][index])
                    if recorder.diverged is not None:
                        break
                if self._snapshot is not None and recorder.diverged is None:
                    recorder.snapshot(self._waiting[-1][0], self._snapshot[index])
                if write or recorder.diverged is not None:
                    recorder.folder.metrics(recorder.rows)
                if recorder.diverged is not None:
                    recorder.diverge(module.best.of(index))
        self._waiting.clear()
        self._snapshot = None
        if write:
            self._flushed = time.perf_counter()
        self._stop_if_none_is_left()

    def _stop_if_none_is_left(self) -> None:
        if not self._going_on():
            error = self.recorders[0].error
            assert error is not None
            raise error


def _alone(part: Tensor) -> Tensor:
    """On the CPU, and without the rest of the tensor that it is a view of: that would be saved."""
    part = part.cpu()
    return part if part.untyped_storage().nbytes() == part.nbytes else part.clone()
