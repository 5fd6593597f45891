"""What callbacks of the user's expect of a Trainer: its loggers, metrics and step numbers."""

from __future__ import annotations

from typing import Any

import lightning as L

from nst.tracking import Tracker


class CallbackSupport(L.Callback):
    """Comes before the user's callbacks, where the ``Tracker`` comes after them.

    Args:
        tracker: of the batch.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begins the loggers: some callbacks refuse a Trainer that has none."""
        self.tracker.begin(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Makes callbacks log at the run's steps, also in a run that is resumed."""
        first = {"_batches_that_stepped": pl_module.first}
        trainer.fit_loop.epoch_loop.on_load_checkpoint(first)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        step: Any,
        batch_idx: int,
    ) -> None:
        """Offers the losses under the names of ``metrics.csv``: means over a batch, not read."""
        terms = {name: loss for name, loss in outputs["losses"].items() if "/" not in name}
        trainer.callback_metrics.update(
            {f"loss/{name}": loss.detach().mean() for name, loss in terms.items()}
        )
