"""The style loss of Gatys et al. (2016), on Gram matrices of features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nst.losses.features import at_least_float32
from nst.vgg.cpu import onednn


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices of ``features`` (N, C, H, W): (N, C, C), divided by C·H·W.

    Gatys et al. 2016, equation 3, with the normalisation of Johnson et al. 2016, equation 3.
    """
    return _Gram.apply(features)


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
            rows = _rows(full)
            products = rows.mT @ rows
        return products / features[0].numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        symmetric = (gradient + gradient.mT) / features[0].numel()
        if onednn.is_faster(features.dtype, features.device):
            return onednn.mixed(features, symmetric)
        rows = _rows(features)
        height, width = features.shape[-2:]
        product = rows @ symmetric.to(rows.dtype)
        return product.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _rows(features: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H·W, C); a view of channels-last features."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of Gram matrices (N, C, C) of one layer: (N,).

    Gatys et al. 2016, equation 4, as a mean. In place of its factor 1 / (4 C² (H W)²),
    ``gram_matrix`` divides by C·H·W.
    """
    return (gram - target).square().mean(dim=(1, 2))
