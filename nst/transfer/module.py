"""The optimisation: a LightningModule whose one parameter is a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.optim import PerImage
from nst.transfer.checkpoint import Checkpoint
from nst.transfer.divergence import Divergence
from nst.transfer.initial_image import initial_image
from nst.transfer.objective import Objective
from nst.transfer.run import Run
from nst.transfer.schedule import Scale, Steps
from nst.vgg.network import VGG


class Best:
    """The image of every run with the lowest loss so far at one scale; kept without reading it.

    Args:
        images: (N, 3, H, W), where the scale begins.
        step: updates that they had.

    Attributes:
        images: (N, 3, H, W).
        losses: (N,), infinite before the first finite one.
        steps: (N,), updates that each image had.
    """

    def __init__(self, images: Tensor, step: int) -> None:
        self.images = images.detach().clone()
        self.losses = images.new_full((len(images),), torch.inf)
        self.steps = torch.full((len(images),), step, device=images.device)

    @torch.no_grad()
    def update(self, step: int, losses: Tensor, images: Tensor) -> None:
        """Keeps the images (N, 3, H, W) after ``step`` updates whose losses (N,) are the lowest."""
        better = losses < self.losses  # false for NaN
        self.images = torch.where(better[:, None, None, None], images.detach(), self.images)
        self.losses = torch.where(better, losses, self.losses)
        self.steps = torch.where(better, step, self.steps)

    def keep(self, indices: Sequence[int]) -> None:
        """Forgets all images but these."""
        kept = list(indices)
        self.images, self.losses = self.images[kept], self.losses[kept]
        self.steps = self.steps[kept]

    def of(self, index: int) -> tuple[float, int, Tensor]:
        """(loss, step, image (3, H, W) on the CPU) of one run."""
        image = self.images[index].detach().cpu().clone()
        return float(self.losses[index]), int(self.steps[index]), image

    def restore(self, index: int, loss: float, step: int, image: Tensor) -> None:
        """Puts back what ``of`` gave."""
        self.losses[index], self.steps[index], self.images[index] = loss, step, image


CHECK_EVERY = 25
"""On a GPU, images that diverged leave after so many steps: each check waits for the GPU."""

FREE_TO_READ = frozenset({"cpu"})
"""Devices on which a check waits for nothing: images that diverged leave at once."""


class Diverged(NamedTuple):
    """An image that has left the batch.

    Attributes:
        reason: why.
        best: (loss, step, image (3, H, W) on the CPU) with the lowest loss before, at its scale.
    """

    reason: str
    best: tuple[float, int, Tensor]


class Evaluated(TypedDict):
    """What a step has found out, on the device.

    Attributes:
        losses: (N,) each, of the images before they moved.
        diverged: (N,), whether they have, at this step or before.
        active: which of the runs the N images are of.
        scale: of the images.
    """

    losses: dict[str, Tensor]
    diverged: Tensor
    active: list[int]
    scale: Scale


class StyleTransfer(L.LightningModule):
    """Optimises N independent images in one forward and backward pass.

    The runs must share picture shape, schedule, optimiser and backbone settings; pictures, layers,
    weights, inits and seeds are each run's own. A batch is a step: step k evaluates the image after
    k updates and then updates it once more.

    Args:
        backbone: feature extractor with taps for the layers of all runs.
        runs: N of them.
        checkpoints: where the runs stood, all at the same step; empty: from the start.
        precise: the extractor in float32, for the last steps; None: the same one.
        interrupted: whether to stop before the next step.

    Attributes:
        image: the parameter (N, 3, H, W), RGB in [0, 1]; its shape changes with the scale.
        scale: the ``Scale`` in force.
        active: which of the runs the images are of; what has diverged leaves.
        best: what to keep of a run that diverges.
        diverged: what has left, by the index of its run.
        final: what the images came to, after the last step; before, None.
    """

    objective: Objective
    best: Best
    divergence: Divergence

    def __init__(
        self,
        backbone: VGG,
        runs: Sequence[Run],
        checkpoints: Sequence[Checkpoint] = (),
        precise: VGG | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.backbone = backbone
        self.precise = precise or backbone
        self.runs = list(runs)
        self.interrupted = interrupted
        self.scales = self.runs[0].scales
        self.checkpoints = list(checkpoints)
        self.first = checkpoints[0].step if checkpoints else 0
        self.scale = next(scale for scale in self.scales if self.first < scale.stop)
        starts = [checkpoint.image for checkpoint in checkpoints] or map(self._initial, self.runs)
        self.image = nn.Parameter(torch.stack(list(starts)))
        self.active = list(range(len(self.runs)))
        self.diverged: dict[int, Diverged] = {}
        self.final: Evaluated | None = None

    def _initial(self, run: Run) -> Tensor:
        config = run.config
        shape = run.shape(self.scale)
        return initial_image(config.init, config.seed, *shape, run.content, run.style, run.init)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser for the whole batch."""
        return self.runs[0].resolved.optimizer([self.image])

    def train_dataloader(self) -> Steps:
        """The steps of all scales that are left."""
        return Steps(self.first, self.scales[-1].stop)

    def on_train_start(self) -> None:
        """Computes the targets on the device that Lightning chose, and resumes where it may."""
        bounds = [run.config.divergence for run in self.runs]
        starts = [scale.start for scale in self.scales]
        self.divergence = Divergence(bounds, starts, self.device)
        self.best = Best(self.image, self.first)
        if self.checkpoints:
            for index, checkpoint in enumerate(self.checkpoints):
                self.best.restore(index, *checkpoint.best)
                self.divergence.restore(index, [row["loss/total"] for row in checkpoint.rows])
            self._optimizer.restore([checkpoint.optimizer for checkpoint in self.checkpoints])
            # callbacks of the Trainer log at its step, which is the run's, also when it resumes
            self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.first
        self.objective = self._objective(self.first)

    def training_step(self, step: int, batch_idx: int) -> Evaluated:
        """Evaluates every image, moves each once, and prepares the next step."""
        optimizer: Any = self.optimizers()
        losses = self.objective(self.image)
        totals = losses["total"].detach()
        optimizer.zero_grad()
        self.manual_backward(losses["total"].sum())
        self.best.update(step, totals.where(self.divergence.step < 0, torch.inf), self.image)
        accepted = optimizer.step(losses=totals)  # undone where an image's own loss rose too much
        evaluated = self._judge(step, losses, accepted)
        self._log(evaluated["losses"])
        self._prepare(step + 1)
        return evaluated

    def _judge(self, step: int, losses: dict[str, Tensor], accepted: Tensor) -> Evaluated:
        losses = {name: loss.detach() for name, loss in losses.items()}
        magnitude = self.objective.magnitude
        diverged = self.divergence.update(step, losses["total"], accepted, magnitude)
        return Evaluated(losses=losses, diverged=diverged, active=self.active, scale=self.scale)

    def _prepare(self, step: int) -> None:
        """What the schedule has between two steps, and after the last one."""
        if (
            step == self.scale.stop
            or step % CHECK_EVERY == 0
            or self.device.type in FREE_TO_READ
            or self.interrupted()
        ):
            self._drop_diverged()
        if step == self.scales[-1].stop:
            losses = self.finish()
            self.final = self._judge(step, losses, losses["total"])
            self._drop_diverged()
        elif step == self.scale.stop:
            self._enter(self.scales[self.scales.index(self.scale) + 1])
        elif step == self.runs[0].precise_from and self.precise is not self.backbone:
            self.objective = self._objective(step)
        if self.interrupted() or self.diverged.keys() >= set(self.active):
            self.trainer.should_stop = True

    def _drop_diverged(self) -> None:
        """The others are optimised as before; the last images stay, and all of the final ones."""
        gone = self.divergence.step.ge(0).nonzero().flatten().tolist()
        for index in gone:
            reason, best = self.divergence.reason(index), self.best.of(index)
            self.diverged[self.active[index]] = Diverged(reason, best)
        if 0 < len(gone) < len(self.active) and self.final is None:
            self.keep([index for index in range(len(self.active)) if index not in gone])

    def _log(self, losses: dict[str, Tensor]) -> None:
        """Offers means over the batch to callbacks, under the names of ``metrics.csv``.

        Not by ``self.log``, whose metrics would keep the module in memory, and take time.
        """
        means = {f"loss/{name}": loss.mean() for name, loss in losses.items() if "/" not in name}
        self.trainer.callback_metrics.update(means)

    def _objective(self, step: int) -> Objective:
        late = step >= self.runs[0].precise_from
        return Objective(
            self.precise if late else self.backbone, self.runs, self.scale, self.device
        )

    @property
    def _optimizer(self) -> PerImage:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, PerImage)
        return optimizer

    def optimizer_state(self, index: int) -> dict[str, Tensor]:
        """What the optimiser knows of one image, as views."""
        return self._optimizer.of(index)

    def keep(self, indices: Sequence[int]) -> None:
        """Drops all images but these, between two steps; nothing changes for them."""
        kept = list(indices)
        optimizer = self._optimizer
        parts = [optimizer.of(index) for index in kept]
        self.active = [self.active[index] for index in kept]
        self.runs = [self.runs[index] for index in kept]
        self.image = nn.Parameter(self.image.detach()[kept])
        # a new parameter, as where a scale ends; then the state is what it was
        optimizer.rescale(self.image, lambda tensor: tensor[kept])
        optimizer.restore(parts)
        self.objective = Objective(self.objective.backbone, self.runs, self.scale, self.device)
        self.best.keep(kept)
        self.divergence.keep(kept)

    def finish(self) -> dict[str, Tensor]:
        """Ends the steps at a scale: no image stays on a last step that went wrong.

        Returns:
            Losses of the images, (N,) each.
        """
        losses = self.evaluate()
        return self.evaluate() if self._optimizer.settle(losses["total"]) else losses

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Losses of the images as they are now, (N,) each."""
        return self.objective(self.image)

    def _enter(self, scale: Scale) -> None:
        self.finish()
        self.scale = scale
        shape = self.runs[0].shape(scale)

        def resample(tensor: Tensor) -> Tensor:
            return F.interpolate(tensor, shape, mode="bicubic", align_corners=False)

        # A new parameter: autograd remembers the shape that the old one had.
        self.image = nn.Parameter(resample(self.image.detach()).clamp(0, 1))
        self._optimizer.rescale(self.image, resample)
        self.objective = self._objective(scale.start)
        self.best = Best(self.image, scale.start)
