"""The images of a batch with their lowest losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class BestImage(NamedTuple):
    """The image of one run with its lowest loss.

    Attributes:
        loss: infinite if none was finite.
        step: updates of the image.
        image: (3, H, W), on the CPU.
    """

    loss: float
    step: int
    image: Tensor


class Best:
    """The images with the lowest losses so far at one scale, kept on their device.

    Args:
        images: (N, 3, H, W), at the start of the scale.
        step: updates so far.

    Attributes:
        images: (N, 3, H, W).
        losses: (N,), infinite before the first finite one.
        steps: (N,), updates of each image.
    """

    def __init__(self, images: Tensor, step: int) -> None:
        self.images = images.detach().clone()
        self.losses = images.new_full((len(images),), torch.inf)
        self.steps = torch.full((len(images),), step, device=images.device)

    @torch.no_grad()
    def update(self, step: int, losses: Tensor, images: Tensor) -> None:
        """Keeps the images (N, 3, H, W) after ``step`` updates whose losses (N,) are lower."""
        better = losses < self.losses  # false for NaN
        self.images = torch.where(better[:, None, None, None], images.detach(), self.images)
        self.losses = torch.where(better, losses, self.losses)
        self.steps = torch.where(better, step, self.steps)

    def keep(self, indices: Sequence[int]) -> None:
        """Drops all images but these."""
        kept = list(indices)
        self.images, self.losses = self.images[kept], self.losses[kept]
        self.steps = self.steps[kept]

    def get(self, index: int) -> BestImage:
        """That of one run."""
        image = self.images[index].detach().cpu().clone()
        return BestImage(float(self.losses[index]), int(self.steps[index]), image)

    def restore(self, index: int, loss: float, step: int, image: Tensor) -> None:
        """Restores what ``get`` returned."""
        self.losses[index], self.steps[index], self.images[index] = loss, step, image
