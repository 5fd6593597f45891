"""The optimisation: a LightningModule whose one parameter is a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import lightning as L
import torch
from torch import Tensor, nn

from nst import images
from nst.images import lab
from nst.optim import PerImage
from nst.transfer.best import Best
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.departure import Departure, Why
from nst.transfer.divergence import Divergence
from nst.transfer.initial_image import initial_image
from nst.transfer.objective import Objective
from nst.transfer.resampling import resampled
from nst.transfer.run import Run
from nst.transfer.schedule import Scale, Steps
from nst.transfer.until import Until
from nst.vgg.network import VGG

CHECK_EVERY = 25
"""Steps between checks for divergence on a GPU: each check waits for the device."""

NO_SYNC_DEVICES = frozenset({"cpu"})
"""Devices on which a check is free and takes place at every step."""


class StepOutput(TypedDict):
    """Results of a step, on the device.

    Attributes:
        losses: (N,) each, of the images before the update.
        ended: (N,), whether each image has diverged or reached what its run ends at, at this step
            or before.
        active: indices of the runs that the N images belong to.
        scale: of the images.
    """

    losses: dict[str, Tensor]
    ended: Tensor
    active: list[int]
    scale: Scale


class StyleTransfer(L.LightningModule):
    """Optimises N independent images in one forward and backward pass.

    The runs must share picture shape, schedule, optimiser and backbone settings; each has its own
    pictures, layers, weights, init and seed. A batch of the Trainer is a step: step k evaluates the
    image after k updates, then updates it once more.

    Args:
        backbone: feature extractor with taps for the layers of all runs.
        runs: N of them.
        checkpoints: one per run to resume from, all at the same step; empty: start anew.
        float32_backbone: the extractor in float32, for the last steps; None: the same one.
        interrupted: returns whether to stop before the next step.
        pruned: returns the indices of the runs to stop before the next step, with the reasons.

    Attributes:
        image: the parameter (N, 3, H, W), RGB in [0, 1]; its shape changes with the scale.
        scale: the current ``Scale``.
        active: indices of the runs that the images belong to; images leave that diverge, are
            pruned, or have reached what their runs end at.
        best: the images with the lowest losses, kept of runs that leave.
        departed: the images that left, by the index of their run.
        final: the evaluation of the final images, after the last step; before, None.
    """

    objective: Objective
    best: Best
    divergence: Divergence
    until: Until

    def __init__(
        self,
        backbone: VGG,
        runs: Sequence[Run],
        checkpoints: Sequence[Checkpoint] = (),
        float32_backbone: VGG | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        pruned: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.backbone = backbone
        self.float32_backbone = float32_backbone or backbone
        self.runs = list(runs)
        self.interrupted = interrupted
        self.pruned = pruned
        self.scales = self.runs[0].scales
        self.checkpoints = list(checkpoints)
        self.first = checkpoints[0].step if checkpoints else 0
        self.scale = next(scale for scale in self.scales if self.first < scale.stop)
        starts = [checkpoint.image for checkpoint in checkpoints] or map(self._initial, self.runs)
        self.image = nn.Parameter(torch.stack(list(starts)))
        self.active = list(range(len(self.runs)))
        self.departed: dict[int, Departure] = {}
        self.final: StepOutput | None = None

    def _initial(self, run: Run) -> Tensor:
        config = run.config
        shape = run.shape(self.scale)
        content = run.optimised_content
        start = initial_image(config.init, config.seed, *shape, content, run.style, run.init)
        return start if run.grey is None else lab.grey(start)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser for the whole batch."""
        return self.runs[0].resolved.optimizer([self.image])

    def train_dataloader(self) -> Steps:
        """The remaining steps of all scales."""
        return Steps(self.first, self.scales[-1].stop)

    def on_train_start(self) -> None:
        """Computes the targets, and restores the state of checkpoints."""
        bounds = [run.config.divergence for run in self.runs]
        starts = [scale.start for scale in self.scales]
        self.divergence = Divergence(bounds, starts, self.device)
        self.best = Best(self.image, self.first)
        self.until = Until([run.config.until for run in self.runs], self.device)
        if self.checkpoints:
            for index, checkpoint in enumerate(self.checkpoints):
                self.best.restore(index, *checkpoint.best)
                self.divergence.restore(index, [row["loss/total"] for row in checkpoint.rows])
            rows = [checkpoint.rows[self._full_size :] for checkpoint in self.checkpoints]
            self.until.restore([[row["loss/total"] for row in own] for own in rows])
            self._optimizer.restore([checkpoint.optimizer for checkpoint in self.checkpoints])
            # the Trainer's step is the run's: callbacks of a resumed run log at it
            self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.first
        self.objective = self._objective(self.first)

    def training_step(self, step: int, batch_idx: int) -> StepOutput:
        """Evaluates every image, updates each once, and prepares the next step."""
        optimizer: Any = self.optimizers()
        losses = self.objective(self.image)
        totals = losses["total"].detach()
        optimizer.zero_grad()
        self.manual_backward(losses["total"].sum())
        going_on = (self.divergence.step < 0) & (self.until.step < 0)
        self.best.update(step, totals.where(going_on, torch.inf), self.image)
        accepted = optimizer.step(losses=totals)  # an image whose loss rose too much steps back
        evaluated = self._step_output(step, losses, accepted)
        self._log(evaluated["losses"])
        self._prepare(step + 1)
        return evaluated

    def _step_output(self, step: int, losses: dict[str, Tensor], accepted: Tensor) -> StepOutput:
        losses = {name: loss.detach() for name, loss in losses.items()}
        magnitude = self.objective.magnitude
        ended = self.divergence.update(step, losses["total"], accepted, magnitude)
        if self._full_size <= step < self.scales[-1].stop:
            self.until.update(step, losses["total"])
        ended = ended | (self.until.step >= 0)
        return StepOutput(losses=losses, ended=ended, active=self.active, scale=self.scale)

    @property
    def _full_size(self) -> int:
        """First step at the final size."""
        return next(scale.start for scale in self.scales if scale.size == self.scales[-1].size)

    def _prepare(self, step: int) -> None:
        """Changes scale and precision, drops images and stops, between two steps."""
        if (
            step == self.scale.stop
            or step % CHECK_EVERY == 0
            or self.device.type in NO_SYNC_DEVICES
            or self.interrupted()
            or not self.pruned().keys() <= self.departed.keys()
        ):
            self._drop_departed()
        if step == self.scales[-1].stop:
            losses = self.finish()
            self.final = self._step_output(step, losses, losses["total"])
            self._drop_departed()
        elif step == self.scale.stop:
            self._enter(self.scales[self.scales.index(self.scale) + 1])
        elif step == self.runs[0].float32_from and self.float32_backbone is not self.backbone:
            self.objective = self._objective(step)
        if self.interrupted() or self.departed.keys() >= set(self.active):
            self.trainer.should_stop = True

    def _drop_departed(self) -> None:
        """Removes the images that leave, unless they are the last ones or final.

        An image that has its final losses leaves only if it diverged.
        """
        reasons = self.pruned()
        reached, diverged = self.until.step.tolist(), self.divergence.step.tolist()
        gone: dict[int, tuple[Why, str]] = {}
        for index, run in enumerate(self.active):
            # on a GPU, an image that has ended goes on until it is noticed: the first end counts
            if diverged[index] >= 0 and not 0 <= reached[index] < diverged[index]:
                gone[index] = Why.DIVERGED, self.divergence.reason(index)
            elif reached[index] >= 0 and self.final is None:
                gone[index] = Why.REACHED, self.until.reason(index)
            elif run in reasons and self.final is None:
                gone[index] = Why.PRUNED, reasons[run]
        for index, (why, reason) in gone.items():
            departure = Departure(why, reason, self.best.get(index))
            self.departed.setdefault(self.active[index], departure)
        if 0 < len(gone) < len(self.active) and self.final is None:
            self.keep([index for index in range(len(self.active)) if index not in gone])

    def _log(self, losses: dict[str, Tensor]) -> None:
        """Passes means over the batch to callbacks, under the names of ``metrics.csv``.

        ``self.log`` is slower, and its metrics would keep the module in memory.
        """
        means = {f"loss/{name}": loss.mean() for name, loss in losses.items() if "/" not in name}
        self.trainer.callback_metrics.update(means)

    def _objective(self, step: int) -> Objective:
        late = step >= self.runs[0].float32_from
        return Objective(
            self.float32_backbone if late else self.backbone, self.runs, self.scale, self.device
        )

    @property
    def _optimizer(self) -> PerImage:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, PerImage)
        return optimizer

    def optimizer_state(self, index: int) -> dict[str, Tensor]:
        """The optimiser's state of one image, as views."""
        return self._optimizer.state_of(index)

    def keep(self, indices: Sequence[int]) -> None:
        """Drops all images but these, between two steps; their optimisation does not change."""
        kept = list(indices)
        optimizer = self._optimizer
        parts = [optimizer.state_of(index) for index in kept]
        self.active = [self.active[index] for index in kept]
        self.runs = [self.runs[index] for index in kept]
        self.image = nn.Parameter(self.image.detach()[kept])
        # rescale takes the new parameter; restore puts the state back unchanged
        optimizer.rescale(self.image, lambda tensor: tensor[kept])
        optimizer.restore(parts)
        self.objective = Objective(self.objective.backbone, self.runs, self.scale, self.device)
        self.best.keep(kept)
        self.divergence.keep(kept)
        self.until.keep(kept)

    def finish(self) -> dict[str, Tensor]:
        """Finishes a scale: reverts last steps that raised the loss beyond the optimiser's limit.

        Returns:
            Losses of the images, (N,) each.
        """
        losses = self.evaluate()
        return self.evaluate() if self._optimizer.revert_last_step(losses["total"]) else losses

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Losses of the current images, (N,) each."""
        return self.objective(self.image)

    def _enter(self, scale: Scale) -> None:
        self.finish()
        self.scale = scale
        shape = self.runs[0].shape(scale)

        def resample(tensor: Tensor) -> Tensor:
            if tensor.shape[2:] == shape:  # another draw of the style loss
                return tensor.clone()
            return resampled(tensor, shape, self.backbone.wraps)

        grown = resample(self.image.detach())
        if grown.shape != self.image.shape:
            for index, run in enumerate(self.runs):
                if run.adds_detail:
                    grown[index] += self._detail(run, shape)
        # a new parameter: autograd remembers the old one's shape
        self.image = nn.Parameter(grown.clamp(0, 1))
        self._optimizer.rescale(self.image, resample)
        self.objective = self._objective(scale.start)
        self.best = Best(self.image, scale.start)

    def _detail(self, run: Run, shape: tuple[int, int]) -> Tensor:
        """What the content has at a shape and the image's present size cannot show, (3, H, W).

        The finest band of its Laplacian pyramid. The code of Kolkin et al. 2019 (STROTSS) adds it
        at all scales but the last; without it the image regains slowly what it lost.
        """
        content = run.optimised_content
        assert content is not None
        before, after = (
            images.to_tensor(content, *each) for each in (tuple(self.image.shape[2:]), shape)
        )
        lost = after - resampled(before[None], shape, self.backbone.wraps)[0]
        return lost.to(self.image)
