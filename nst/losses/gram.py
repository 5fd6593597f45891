"""The style loss of Gatys et al. (2016), on Gram matrices of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nst.losses.base import StyleLoss, at_least_float32, rows
from nst.vgg.cpu import onednn


@dataclass(frozen=True)
class Gram(StyleLoss):
    """Mean squared difference of Gram matrices: Gatys et al. 2016, equations 3 to 5.

    G = F Fᵀ / (C·H·W) for features F (C, H·W), and L = mean (G - Ĝ)². The normalisation is that of
    Johnson et al. 2016, equation 3, in place of the factor 1 / (4 C² (H W)²) of Gatys et al.

    - Shapes: the description is (N, C, C).
    - Cost: a product of C²·H·W multiply-adds, and as many for the gradient.
    - Pitfalls: the loss is a fourth power of the features, so strong channels outweigh weak ones;
      equal Gram matrices leave means and variances free to compensate each other (Risser et al.
      2017, section 3).
    """

    additive: ClassVar[bool] = True

    def describe(self, *features: Tensor) -> Tensor:
        """The Gram matrices of one layer."""
        return gram_matrix(features[0])

    def describe_weighted(self, features: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """The Gram matrices of one layer, with weighted positions: G = F diag(w) Fᵀ / (C·H·W)."""
        return gram_matrix(rooted(features[0], weights[0]))

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean squared differences, (N,)."""
        return (description - target).square().mean(dim=(1, 2))


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices of ``features`` (N, C, H, W): (N, C, C), divided by C·H·W.

    Gatys et al. 2016, equation 3, with the normalisation of Johnson et al. 2016, equation 3.
    """
    return _Gram.apply(features)


def rooted(features: Tensor, weights: Tensor) -> Tensor:
    """Features times the roots of weights: their products are weighted once."""
    return features * weights.sqrt().to(features.dtype)


class _Gram(torch.autograd.Function):
    """F ↦ F Fᵀ / (C·H·W), with the gradient as one matrix product.

    Autograd would compute two products, one for each F, and copy the features to another layout and
    back. Here positions are rows, as in the memory of channels-last features.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        full = at_least_float32(features)
        if onednn.is_faster(full.dtype, full.device):
            products = onednn.gram(full)
        else:
            positions = rows(full)
            products = positions.mT @ positions
        return products / features[0].numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        symmetric = (gradient + gradient.mT) / features[0].numel()
        if onednn.is_faster(features.dtype, features.device):
            return onednn.mixed(features, symmetric)
        height, width = features.shape[-2:]
        product = rows(features) @ symmetric.to(features.dtype)
        return product.unflatten(1, (height, width)).permute(0, 3, 1, 2)
