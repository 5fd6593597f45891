"""The optimisation: a LightningModule whose one parameter is a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.checkpoint import Checkpoint
from nst.inits import initial_image
from nst.objective import Objective
from nst.optim import PerImage
from nst.run import Run
from nst.schedule import Scale, Steps
from nst.vgg import VGG


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
        self.images = torch.where(better[:, None, None, None], images, self.images)
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


class StyleTransfer(L.LightningModule):
    """Optimises N independent images in one forward and backward pass.

    The runs must share picture shape, schedule, optimiser and backbone settings; pictures, layers,
    weights, inits and seeds are each run's own. A batch is a step: step k evaluates the image after
    k updates and then updates it once more.

    Args:
        backbone: feature extractor with taps for the layers of all runs.
        runs: N of them.
        make_optimizer: from the image parameter to ``nst.optim.LBFGS`` or ``nst.optim.Adam``.
        checkpoints: where the runs stood, all at the same step; empty: from the start.
        precise: the extractor in float32, for the last steps; None: the same one.

    Attributes:
        image: the parameter (N, 3, H, W), RGB in [0, 1]; its shape changes with the scale.
        scale: the ``Scale`` in force.
        best: what to keep of a run that diverges.
    """

    objective: Objective
    best: Best

    def __init__(
        self,
        backbone: VGG,
        runs: Sequence[Run],
        make_optimizer: Callable[[list[nn.Parameter]], PerImage],
        checkpoints: Sequence[Checkpoint] = (),
        precise: VGG | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.precise = precise or backbone
        self.runs = list(runs)
        self.make_optimizer = make_optimizer
        self.scales = self.runs[0].scales
        self.checkpoints = list(checkpoints)
        self.first = checkpoints[0].step if checkpoints else 0
        self.scale = next(scale for scale in self.scales if self.first < scale.stop)
        starts = [checkpoint.image for checkpoint in checkpoints] or map(self._initial, self.runs)
        self.image = nn.Parameter(torch.stack(list(starts)))

    def _initial(self, run: Run) -> Tensor:
        config = run.config
        shape = run.shape(self.scale)
        return initial_image(config.init, config.seed, *shape, run.content, run.style, run.init)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser for the whole batch."""
        return self.make_optimizer([self.image])

    def train_dataloader(self) -> Steps:
        """The steps of all scales that are left."""
        return Steps(self.first, self.scales[-1].stop)

    def on_train_start(self) -> None:
        """Computes the targets on the device that Lightning chose, and goes on if it may."""
        self.best = Best(self.image, self.first)
        if self.checkpoints:
            for index, checkpoint in enumerate(self.checkpoints):
                self.best.restore(index, *checkpoint.best)
            self._optimizer.restore([checkpoint.optimizer for checkpoint in self.checkpoints])
        self.objective = self._objective(self.first)

    def training_step(self, step: int, batch_idx: int) -> dict[str, Any]:
        """Evaluates all images; ``losses`` are (N,) each and go to the callbacks."""
        losses = self.objective(self.image)
        totals = losses["total"].detach()
        self._optimizer.losses = totals  # step control is each image's own
        self.best.update(step, totals, self.image.detach())
        return {"loss": losses["total"].sum(), "losses": losses}

    def on_train_batch_end(self, outputs: Any, step: int, batch_idx: int) -> None:
        """Enters the next scale once the steps of this one are done, and float32 at the end."""
        if step + 1 == self.scale.stop and self.scale is not self.scales[-1]:
            self._enter(self.scales[self.scales.index(self.scale) + 1])
        elif step + 1 == self.runs[0].precise_from and self.precise is not self.backbone:
            self.objective = self._objective(step + 1)

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

    @property
    def accepted(self) -> Tensor:
        """(N,): losses of the images that the next step starts from, after any undoing."""
        accepted = self._optimizer.accepted
        assert accepted is not None  # training_step sets them
        return accepted

    def optimizer_state(self, index: int) -> dict[str, Tensor]:
        """What the optimiser knows of one image, as views."""
        return self._optimizer.of(index)

    def keep(self, indices: Sequence[int]) -> None:
        """Goes on with these images alone, between two steps; nothing changes for them."""
        kept = list(indices)
        optimizer = self._optimizer
        parts = [optimizer.of(index) for index in kept]
        self.runs = [self.runs[index] for index in kept]
        self.image = nn.Parameter(self.image.detach()[kept])
        # a new parameter, as where a scale ends; then the state is what it was
        optimizer.rescale(self.image, lambda tensor: tensor[kept])
        optimizer.restore(parts)
        self.objective = Objective(self.objective.backbone, self.runs, self.scale, self.device)
        self.best.keep(kept)

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
