"""The content loss of Gatys et al. (2016): the features themselves."""

from __future__ import annotations

import torch
from torch import Tensor


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features (N, C, H, W) of one layer: (N,).

    Gatys et al. 2016, equation 1, as a mean instead of half a sum.
    """
    return (precise(features) - precise(target)).square().mean(dim=(1, 2, 3))


def precise(features: Tensor) -> Tensor:
    """At least float32: squares and sums of bfloat16 would lose the loss's digits."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
