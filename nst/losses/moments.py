"""Means and standard deviations of the channels as style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nst.losses.base import StyleLoss, at_least_float32

EPSILON = 1e-5
"""Added to variances, for a finite gradient of their root: as Huang & Belongie 2017."""


@dataclass(frozen=True)
class Moments(StyleLoss):
    """Squared differences of mean and standard deviation: Li et al. 2017, equation 10.

    L = mean (μ - μ̂)² + mean (σ - σ̂)² over the channels, with σ² = variance + 1e-5 over the
    positions. Huang & Belongie 2017, equation 13, is the same with a norm in place of its square.

    - Shapes: the description is (N, 2, C), the means of f and of f².
    - Cost: that of reading the features once.
    - Pitfalls: channels are compared one by one. What Gram matrices say of their combinations is
      lost, and with it much of the shapes of strokes.
    """

    additive: ClassVar[bool] = True

    def describe(self, *features: Tensor) -> Tensor:
        """First and second moments of one layer's channels."""
        full = at_least_float32(features[0])
        return torch.stack([full.mean(dim=(2, 3)), full.square().mean(dim=(2, 3))], 1)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """The sum of both mean squared differences, (N,)."""
        means = description[:, 0] - target[:, 0]
        deviations = _deviation(description) - _deviation(target)
        return means.square().mean(1) + deviations.square().mean(1)


def _deviation(description: Tensor) -> Tensor:
    variance = description[:, 1] - description[:, 0].square()
    return (variance.clamp(min=0) + EPSILON).sqrt()  # rounding can make it negative
