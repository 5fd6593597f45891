"""3x3 convolutions of a picture that wraps around."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class CircularConv(nn.Module):
    """A 3x3 convolution with stride 1, circular padding and fixed weights.

    The gradient with respect to the input is a convolution with circular padding too, and needs
    nothing of the forward pass. ``nn.Conv2d`` keeps a padded copy of the input for it, and loses
    the layout of channels-last features, so that on a CPU it can take twice as long.

    Args:
        weight: (C', C, 3, 3).
        bias: (C',).
        dtype: of the computation.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.out_channels = len(weight)
        self.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
        self.bias = nn.Parameter(bias.to(dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        return _Convolution.apply(x, self.weight, self.bias)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(_framed(x), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        # with this padding, the transposed convolution yields the inside of the frame alone
        return F.conv_transpose2d(_framed(gradient), weight, padding=2), None, None


def _framed(x: Tensor) -> Tensor:
    """Features (N, C, H, W) between a row and a column of the other end on each side."""
    count, channels, height, width = x.shape
    shape = count, channels, height + 2, width + 2
    framed = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    framed[:, :, 1:-1, 1:-1] = x
    framed[:, :, 0, 1:-1] = x[:, :, -1]
    framed[:, :, -1, 1:-1] = x[:, :, 0]
    framed[..., 0] = framed[..., -2]  # with the corners
    framed[..., -1] = framed[..., 1]
    return framed
