"""Follows a batch while it is optimised, and hands each run's part to its recorder."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from nst import images
from nst.checkpoint import Checkpoint
from nst.errors import DivergedError
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.recorder import Recorder

STOPPING = (signal.SIGINT, signal.SIGTERM)

CHECKPOINT_SHARE = 0.015
"""Checkpoints may take this share of the time."""

FLUSH_SECONDS = 2.0
"""Losses wait this long on the device at most; reading them each step would stall a GPU."""


class Tracker(L.Callback):
    """Follows the batch: rows of losses, snapshots at fixed steps, the end of every run.

    Step k is the image after k updates, in the rows, in the snapshots and in every logger, from 0
    to the last. Seconds count from the first step, tracking included.

    Args:
        recorders: of the runs, in the order of the batch.
        snapshot_every: steps between snapshots.
        checkpoint_seconds: at least so long between checkpoints.
        yardstick: measures the results.

    Attributes:
        interrupted: the signal that ends the runs, once one came.
        checkpoint_cost: seconds that checkpoints took so far.
    """

    def __init__(
        self,
        recorders: Sequence[Recorder],
        snapshot_every: int,
        checkpoint_seconds: float,
        yardstick: Yardstick,
    ) -> None:
        self.recorders = list(recorders)
        self.snapshot_every = snapshot_every
        self.checkpoint_seconds = checkpoint_seconds
        self.yardstick = yardstick
        self.interrupted: signal.Signals | None = None
        self.checkpoint_cost = 0.0
        self._waiting: list[tuple[int, float, float, dict[str, Tensor]]] = []
        self._snapshot: Tensor | None = None
        self._began = self._flushed = 0.0
        self._saved, self._cost = 0.0, 0.0
        self._step = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Tells every logger the run's whole config."""
        for recorder in self.recorders:
            for logger in recorder.loggers:
                logger.log_hyperparams(recorder.config)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keeps the inputs, and tells new loggers what was before."""
        for recorder in self.recorders:
            recorder.keep_inputs()
            recorder.replay(self.snapshot_every)
        self.listen()  # only now: the Trainer has brought handlers of its own
        self._began = self._flushed = self._saved = time.perf_counter()
        if self.recorders[0].checkpoint is not None:
            self._began -= self.recorders[0].checkpoint.seconds

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, step: Any, batch_idx: int
    ) -> None:
        """Takes the snapshot of step k before update k + 1 changes the image."""
        assert isinstance(pl_module, StyleTransfer)
        waited = time.perf_counter() - self._saved
        if step > pl_module.first and waited > max(
            self.checkpoint_seconds, self._cost / CHECKPOINT_SHARE
        ):
            self._save(pl_module, step)
        if step % self.snapshot_every == 0:
            self._snapshot = pl_module.image.detach().clone()

    def listen(self) -> None:
        """Lets the first Ctrl-C or SIGTERM end the step; the second one leaves at once."""
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: object) -> None:
        self.interrupted = signal.Signals(number)
        for each in STOPPING:
            signal.signal(each, signal.SIG_DFL)

    def _save(self, module: StyleTransfer, step: int) -> None:
        """Writes down where every run stands before update ``step`` + 1."""
        began = time.perf_counter()
        if self._waiting:
            self._flush(module)
        for index, recorder in enumerate(self.recorders):
            if recorder.diverged is not None:
                continue  # nothing to go on from
            signature = recorder.run.config.run.signature
            assert signature is not None
            stand = Checkpoint(
                signature,
                step,
                began - self._began,
                module.image[index].detach().cpu(),
                module.optimizer_state(index),
                recorder.rows,
                module.best.of(index),
            )
            recorder.stand(stand)
        self._saved = time.perf_counter()
        self._cost = self._saved - began
        self.checkpoint_cost += self._cost

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
        self._waiting.append((step, now - self._began, rate, outputs["losses"]))
        self._step = step
        last_of_scale = step + 1 == pl_module.scale.stop  # its best image goes with it
        if self._snapshot is not None or last_of_scale or now - self._flushed > FLUSH_SECONDS:
            self._flush(pl_module)
        if self.interrupted is not None and step + 1 < pl_module.scales[-1].stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluates the final images once more, so that the last row is the result's."""
        assert isinstance(pl_module, StyleTransfer)
        if trainer.should_stop:  # by a signal, or by what else a Trainer may be told, as max_time
            step = self._step + 1
            self._save(pl_module, step)
            for recorder in self._going_on():
                recorder.interrupt(
                    self.interrupted.name if self.interrupted else "the Trainer", step
                )
            return
        losses = pl_module.finish()
        self._snapshot = pl_module.image.detach().clone()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = time.perf_counter() - self._began
        self._waiting.append((pl_module.scales[-1].stop, seconds, rate, losses))
        finals = self._snapshot
        self._flush(pl_module)
        for recorder, final in zip(self.recorders, finals, strict=True):
            if recorder.diverged is None:
                image, inputs = images.to_image(final), recorder.inputs
                measures = self.yardstick.measure(image, inputs.get("content"), inputs.get("style"))
                recorder.complete(image, measures)

    def _going_on(self) -> list[Recorder]:
        return [recorder for recorder in self.recorders if recorder.diverged is None]

    def _flush(self, module: StyleTransfer) -> None:
        """Reads what is waiting, with one transfer, and hands it on.

        Raises:
            DivergedError: if no run is left that goes on.
        """
        names = list(self._waiting[0][3])
        # A pyramid's losses differ in nothing but their values, so that they stack.
        table = torch.stack([torch.stack(list(losses.values())) for *_, losses in self._waiting])
        values = table.float().cpu().tolist()  # [row][loss][image]
        for index, recorder in enumerate(self.recorders):
            if recorder.diverged is not None:
                continue
            own = recorder.names(names)
            for (step, seconds, rate, _), row in zip(self._waiting, values, strict=True):
                losses = {f"loss/{name}": row[names.index(name)][index] for name in own}
                recorder.log({"step": step, "seconds": round(seconds, 4), **losses, "lr": rate})
                if recorder.diverged is not None:
                    break
            if self._snapshot is not None and recorder.diverged is None:
                recorder.snapshot(self._waiting[-1][0], self._snapshot[index])
            recorder.folder.metrics(recorder.rows)
            if recorder.diverged is not None:
                recorder.diverge(module.best.of(index))
        self._waiting.clear()
        self._snapshot = None
        self._flushed = time.perf_counter()
        if not self._going_on():
            raise DivergedError(self.recorders[0].diverged)
