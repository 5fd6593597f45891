"""The content loss of Gatys et al. (2016), on the features themselves."""

from __future__ import annotations

import torch
from torch import Tensor


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features (N, C, H, W) of one layer: (N,).

    Gatys et al. 2016, equation 1, as a mean instead of half a sum.
    """
    return (at_least_float32(features) - at_least_float32(target)).square().mean(dim=(1, 2, 3))


def at_least_float32(features: Tensor) -> Tensor:
    """The features in float32 or float64: squares and sums in bfloat16 are too inaccurate."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
