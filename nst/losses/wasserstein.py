"""The Wasserstein distance of Gaussian features as style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nst.losses.base import StyleLoss, at_least_float32
from nst.losses.gram import gram_matrix, rooted

EPSILON = 1e-4
"""Added to the diagonal of covariances."""

RANK = 256
"""Directions of the style whose covariances count; beyond them, only variances do."""


@dataclass(frozen=True)
class Wasserstein(StyleLoss):
    """Squared 2-Wasserstein distance between Gaussians with the features' moments.

    L = mean (μ - μ̂)² + tr(Σ + Σ̂ - 2 (Σ̂^½ Σ Σ̂^½)^½) / C, with covariances Σ + 1e-4 I (Dowson &
    Landau 1982, equation 4). It compares what ``gram`` compares, in the units of the features: it
    grows with the square of a difference of features, where ``gram`` grows with the fourth power.

    The trace of the root comes from an eigendecomposition, and its derivative is known in closed
    form: ½ Σ̂^½ (Σ̂^½ Σ Σ̂^½)^-½ Σ̂^½. Eigenvalues range over 1e12, so it is done in float64; in
    float32 the gradient is up to hundreds of times wrong (``docs/losses.md``). It is done in the
    ``RANK`` strongest directions of the style. In the others, variances are compared one by one:
    Σ (√σ - √σ̂)². With 512 channels this changes the gradient by about 1 % or less and takes a
    fifth of the time.

    - Shapes: the description is (N, 1 + C, C), the means of f and of f fᵀ.
    - Cost: C²·H·W multiply-adds each way, as ``gram``, and an eigendecomposition of C x C, at most
      ``RANK`` x ``RANK``.
    - Pitfalls: two distributions with equal means and covariances are the same to it; and a layer
      with fewer positions than channels has no more than that many directions of variance. It needs
      a device with float64.
    """

    additive: ClassVar[bool] = True

    def describe(self, *features: Tensor) -> Tensor:
        """First and second moments of one layer."""
        mean = at_least_float32(features[0]).mean(dim=(2, 3))
        second = gram_matrix(features[0]) * features[0].shape[1]
        return torch.cat([mean[:, None], second], 1)

    def describe_weighted(self, features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """First and second moments of one layer, with weighted positions."""
        mean = (at_least_float32(features[0]) * weights[0]).mean(dim=(2, 3))
        second = gram_matrix(rooted(features[0], weights[0])) * features[0].shape[1]
        return torch.cat([mean[:, None], second], 1)

    def prepare(self, target: Tensor, positions: int) -> Tensor:
        """Mean, deviations and directions of the style: (1, 2 + C, C), the strongest last."""
        values, vectors = torch.linalg.eigh(_covariance(target).double())
        deviations = values.clamp(min=EPSILON).sqrt()
        return torch.cat([target[:, :1].double(), deviations[:, None], vectors], 1).to(target)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Squared distances over the number of channels, (N,)."""
        means = (description[:, 0] - target[:, 0]).square().mean(1)
        covariance, deviations, vectors = _covariance(description), target[:, 1], target[:, 2:]
        traces = covariance.diagonal(dim1=1, dim2=2).sum(1) + deviations.square().sum(1)
        bures = traces - 2 * _RootTrace.apply(covariance, deviations, vectors)
        return means + bures.clamp(min=0) / deviations.shape[1]


def _covariance(description: Tensor) -> Tensor:
    mean, second = description[:, 0], description[:, 1:]
    identity = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    return second - mean[:, :, None] * mean[:, None] + EPSILON * identity


class _RootTrace(torch.autograd.Function):
    """Σ ↦ tr (Σ̂^½ Σ Σ̂^½)^½, (N,), for Σ̂ with these standard deviations along these directions.

    NaN for a Σ that is not finite: the eigendecomposition would raise an error.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, deviations: Tensor, vectors: Tensor) -> Tensor:
        weak = max(deviations.shape[1] - RANK, 0)
        strong, rest = vectors[:, :, weak:], vectors[:, :, :weak]
        root = deviations[:, weak:]
        inner = root[:, :, None] * (strong.mT @ covariance @ strong) * root[:, None]
        finite = inner.isfinite().all(2).all(1)
        values, own = torch.linalg.eigh(inner.where(finite[:, None, None], 0).double())
        roots = values.clamp(min=EPSILON**2).sqrt().to(inner)
        variances = (rest * (covariance @ rest)).sum(1).clamp(min=EPSILON)
        slopes = deviations[:, :weak] / variances.sqrt()
        ctx.save_for_backward(strong, root[:, :, None] * own.to(inner), roots, rest, slopes)
        total = roots.sum(1) + (slopes * variances).sum(1)
        return total.where(finite, torch.nan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        strong, own, roots, rest, slopes = ctx.saved_tensors
        found = strong @ (own / roots[:, None] @ own.mT) @ strong.mT
        if rest.shape[2]:
            found = found + rest * slopes[:, None] @ rest.mT
        return gradient[:, None, None] / 2 * found, None, None
