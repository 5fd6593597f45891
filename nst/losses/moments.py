"""Means and standard deviations of the channels as style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        found: Tensor = _ChannelMoments.apply(features[0])
        return found

    def describe_weighted(self, features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """First and second moments of one layer's channels, with weighted positions."""
        full = at_least_float32(features[0])
        weighted = full * weights[0]
        return torch.stack([weighted.mean(dim=(2, 3)), (weighted * full).mean(dim=(2, 3))], 1)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """The sum of both mean squared differences, (N,)."""
        means = description[:, 0] - target[:, 0]
        deviations = _deviation(description) - _deviation(target)
        return means.square().mean(1) + deviations.square().mean(1)


class _ChannelMoments(torch.autograd.Function):
    """Features (N, C, H, W) ↦ means of f and of f², (N, 2, C).

    The gradient is one linear map of the features in their own precision. Autograd would write
    their squares' gradient in float32 first.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        full = at_least_float32(features)
        return torch.stack([full.mean(dim=(2, 3)), full.square().mean(dim=(2, 3))], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        share = gradient[..., None, None] / features[0, 0].numel()
        first, second = share.to(features.dtype).unbind(1)
        return torch.addcmul(first, features, second, value=2)


def _deviation(description: Tensor) -> Tensor:
    variance = description[:, 1] - description[:, 0].square()
    return (variance.clamp(min=0) + EPSILON).sqrt()  # rounding can make it negative
