"""Records every run while it is optimised: the run folder, and W&B or any other logger."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
import wandb
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from PIL import Image
from torch import Tensor

from nst import checkpoint, images
from nst.checkpoint import Checkpoint
from nst.errors import DivergedError
from nst.folder import COMPLETED, RunFolder
from nst.measures import Yardstick
from nst.module import StyleTransfer
from nst.run import Run

log = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM)

CHECKPOINT_SHARE = 0.015
"""Checkpoints may take this share of the time."""

FLUSH_SECONDS = 2.0
"""Losses wait this long on the device at most; reading them each step would stall a GPU."""


class WandbLogger(LightningWandbLogger):
    """Lightning's logger with one W&B run per instance and W&B's own step set to ours.

    Args:
        mode: ``online``, ``offline`` or ``disabled``; None: WANDB_MODE, then what ``wandb offline``
            set, then online if credentials are found, else offline.
        settings: fields of ``wandb.Settings`` that differ from ours.
        **kwargs: as Lightning's.
    """

    def __init__(
        self, mode: str | None = None, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        # mode=, not offline=: Lightning's flag sets WANDB_MODE for the whole process.
        # create_new: a second run in the process would otherwise go on in the first.
        mode = mode or _default_mode()
        if mode == "online":
            kwargs.setdefault("resume", "allow")  # a run that was broken off goes on
        # The bar has the terminal; offline there is nothing to tell but where the files are.
        ours: dict[str, Any] = {"silent": mode != "online", "console": "off"}
        ours["finish_timeout"] = 60.0  # the default waits for ever
        super().__init__(
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(**(ours | dict(settings or {}))),
            **kwargs,
        )
        self._wandb_init.pop("anonymous")  # wandb warns of it, whatever it is

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs at W&B's step ``step``, so that media of all runs slide together."""
        if step is not None:
            metrics = {**metrics, "trainer/global_step": step}  # Lightning's x axis
        if step is None or step >= self.experiment.starting_step:  # else the server has it
            self.experiment.log(metrics, step=step)

    def finalize(self, status: str) -> None:
        """Ends the W&B run as well, which Lightning leaves open."""
        super().finalize(status)
        if self._experiment is not None:
            run = self._experiment
            run.finish(exit_code=0 if status == "success" else 1)
            if run.settings.mode == "online":
                log.info("W&B: %s", run.url)
            elif run.settings.mode == "offline":
                log.info("W&B: offline; wandb sync %s", os.path.relpath(run.settings.sync_dir))


def _default_mode() -> str:
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if wandb.setup().settings.mode != "online":  # set by `wandb offline` or `wandb disabled`
        return wandb.setup().settings.mode
    return "online" if wandb.login(prompt=False) else "offline"


@dataclass
class Recorder:
    """Where one run of the batch is recorded.

    Attributes:
        run: the run.
        folder: its run folder.
        config: its config, every reference resolved.
        loggers: its Lightning loggers.
        rows: its metrics so far.
        diverged_at: first step whose loss was not finite.
        inputs: content and style as they were kept.
        checkpoint: where an unfinished attempt stood.
    """

    run: Run
    folder: RunFolder
    config: dict[str, Any]
    loggers: Sequence[Logger]
    rows: list[dict[str, float]] = field(default_factory=list)
    diverged_at: int | None = None
    inputs: dict[str, Image.Image] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    def names(self, losses: Sequence[str]) -> list[str]:
        """Of the batch's losses, those that this run has."""
        layers = {
            *(f"content/{layer}" for layer in self.run.config.layers.content),
            *(f"style/{layer}" for layer in self.run.config.layers.style),
        }
        return [name for name in losses if "/" not in name or name in layers]

    def log(self, row: dict[str, float]) -> None:
        """Keeps a row; the folder gets it at the next flush."""
        self.rows.append(row)
        metrics = {name: value for name, value in row.items() if name != "step"}
        for logger in self.loggers:
            logger.log_metrics(metrics, step=int(row["step"]))

    def replay(self, snapshot_every: int) -> None:
        """Tells the loggers all that they were told before the run was broken off."""
        if self.checkpoint is None:
            return
        for row in self.checkpoint.rows:
            self.log(row)
            step = int(row["step"])
            if step % snapshot_every == 0:
                self.log_picture("snapshot", self.folder.snapshot_path(step), step)

    def log_picture(self, key: str, path: Any, step: int) -> None:
        """Hands a picture to every logger that takes pictures."""
        for logger in self.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key, [os.fspath(path)], step=step, caption=[f"step {step}"])


class Tracker(L.Callback):
    """Follows the batch: rows of losses, snapshots at fixed steps, the end of every run.

    Step k is the image after k updates, in the rows, in the snapshots and in every logger, from 0
    to the last. Seconds count from the first step, tracking included.
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
        """Keeps the inputs, at the sizes that count, and what the content was made of."""
        for recorder in self.recorders:
            run = recorder.run
            size = run.config.image.size
            for name, picture, shorter in (
                ("content", run.content, size),
                ("style", run.style, run.config.style.size or size),
            ):
                if picture is None:
                    continue
                tensor = images.to_tensor(picture, *images.fit(picture.image.size, shorter))
                recorder.inputs[name] = images.to_image(tensor)
                for part, image in {name: recorder.inputs[name], **picture.parts}.items():
                    recorder.log_picture(part, recorder.folder.input(part, image), 0)
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
            self._flush()
        for index, recorder in enumerate(self.recorders):
            if recorder.diverged_at is not None:
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
            )
            checkpoint.save(recorder.folder.path, stand)
        self._saved = time.perf_counter()
        self._cost = self._saved - began

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        step: Any,
        batch_idx: int,
    ) -> None:
        """Keeps the losses on the device until there is a reason to read them."""
        now = time.perf_counter()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self._waiting.append((step, now - self._began, rate, outputs["losses"]))
        self._step = step
        if self._snapshot is not None or now - self._flushed > FLUSH_SECONDS:
            self._flush()
            if all(recorder.diverged_at is not None for recorder in self.recorders):
                first = self.recorders[0]
                raise DivergedError(f"the loss is not finite at step {first.diverged_at}")
        if self.interrupted is not None and step + 1 < self.recorders[0].run.scales[-1].stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluates the final images once more, so that the last row is the result's."""
        assert isinstance(pl_module, StyleTransfer)
        if trainer.should_stop:  # by a signal, or by what else a Trainer may be told, as max_time
            step = self._step + 1
            self._save(pl_module, step)
            by = self.interrupted.name if self.interrupted else "the Trainer"
            for recorder in self.recorders:
                reason = f"stopped by {by} after {step} steps"
                recorder.folder.update(status="interrupted", reason=reason, steps=step)
            return
        losses = pl_module.finish()
        self._snapshot = pl_module.image.detach().clone()
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = time.perf_counter() - self._began
        self._waiting.append((pl_module.scales[-1].stop, seconds, rate, losses))
        finals = self._snapshot
        self._flush()
        for recorder, image in zip(self.recorders, finals, strict=True):
            self._finish(recorder, image)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Says in every unfinished run's folder why it ended."""
        status = "failed"
        if isinstance(exception, KeyboardInterrupt):
            status = "interrupted"
        elif isinstance(exception, DivergedError):
            status = "diverged"
        reason = " ".join(f"{type(exception).__name__}: {exception}".split())
        for recorder in self.recorders:
            recorder.folder.update(status=status, reason=reason, steps=len(recorder.rows))

    def _finish(self, recorder: Recorder, image: Tensor) -> None:
        step, last = int(recorder.rows[-1]["step"]), recorder.rows[-1]
        if recorder.diverged_at is not None:
            reason = f"the loss is not finite at step {recorder.diverged_at}"
            recorder.folder.update(status="diverged", reason=reason, steps=step)
            return
        final = images.to_image(image)
        recorder.log_picture("final", recorder.folder.final(final), step)
        inputs = recorder.inputs
        measures = self.yardstick.measure(final, inputs.get("content"), inputs.get("style"))
        for logger in recorder.loggers:
            found = {f"measure/{name}": value for name, value in measures.items()}
            logger.log_metrics(found, step=step)
        recorder.folder.update(
            status=COMPLETED,
            seconds=last["seconds"],
            steps=step,
            losses={name: value for name, value in last.items() if name.startswith("loss/")},
            measures=measures,
        )
        checkpoint.remove(recorder.folder.path)

    def _flush(self) -> None:
        """Reads what is waiting, with one transfer, and hands it on."""
        names = list(self._waiting[0][3])
        # A pyramid's losses differ in nothing but their values, so that they stack.
        table = torch.stack([torch.stack(list(losses.values())) for *_, losses in self._waiting])
        values = table.float().cpu().tolist()  # [row][loss][image]
        for index, recorder in enumerate(self.recorders):
            own = recorder.names(names)
            for (step, seconds, rate, _), row in zip(self._waiting, values, strict=True):
                losses = {f"loss/{name}": row[names.index(name)][index] for name in own}
                if recorder.diverged_at is None and not math.isfinite(losses["loss/total"]):
                    recorder.diverged_at = step
                recorder.log({"step": step, "seconds": round(seconds, 4), **losses, "lr": rate})
            if self._snapshot is not None:
                step = self._waiting[-1][0]
                path = recorder.folder.snapshot(step, images.to_image(self._snapshot[index]))
                recorder.log_picture("snapshot", path, step)
            recorder.folder.metrics(recorder.rows)
        self._waiting.clear()
        self._snapshot = None
        self._flushed = time.perf_counter()
