"""3x3 convolutions with fewer multiplications, for CPUs: Winograd's F(2x2, 3x3).

Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.1: a tile of 4x4
inputs gives 2x2 outputs with 16 multiplications instead of 36. Inputs and outputs are transformed
by additions, and each element of the tile takes one matrix product over channels. With many
channels the additions cost less than they save. oneDNN, PyTorch's library for CPUs, has no such
code for training.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nst.vgg.cpu import onednn

TILE = 2  # output rows and columns of a tile
SEEN = 4  # its input rows and columns

FEWEST_TILES = 96
"""With fewer tiles per image, and where ``onednn`` is faster, so is its direct convolution."""


class WinogradConv(nn.Module):
    """A 3x3 convolution with stride 1, zero padding and fixed weights.

    Args:
        weight: (C', C, 3, 3).
        bias: (C',).
        dtype: of the computation.
    """

    forward_weight: Tensor
    backward_weight: Tensor
    bias: Tensor
    weight: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.out_channels = len(weight)
        self.register_buffer("forward_weight", _transformed(weight).to(dtype), persistent=False)
        # the gradient is a convolution with the flipped kernel, from outputs to inputs
        turned = weight.flip(2, 3).transpose(0, 1)
        self.register_buffer("backward_weight", _transformed(turned).to(dtype), persistent=False)
        self.register_buffer("bias", bias.to(dtype), persistent=False)
        direct = onednn.is_faster(dtype, weight.device)  # for small images
        self.register_buffer("weight", weight.to(dtype) if direct else None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W); channels last."""
        if self.weight is not None and math.prod(_tiles(x)) < FEWEST_TILES:
            return F.conv2d(x, self.weight, self.bias, padding=1)
        return _Convolution.apply(x, self.forward_weight, self.backward_weight, self.bias)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, backward: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(backward)
        return _convolved(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        return _convolved(gradient, weight, None), None, None, None


def _transformed(weight: Tensor) -> Tensor:
    """G g Gᵀ of every kernel: (C', C, 3, 3) to (16, C', C)."""
    lines = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    transform = torch.tensor(lines, dtype=torch.float64)
    tiles = torch.einsum("ik,ockl,jl->ijoc", transform, weight.double(), transform)
    return tiles.flatten(0, 1).contiguous()


def _tiles(x: Tensor) -> tuple[int, int]:
    """Rows and columns of tiles in each image of ``x`` (N, C, H, W)."""
    return -(-x.shape[2] // TILE), -(-x.shape[3] // TILE)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of ``x`` (N, C, H, W) with a transformed ``weight`` (16, C', C)."""
    count, channels, height, width = x.shape
    rows, columns = _tiles(x)
    # the padding, and the rest of the last tiles
    framed = x.new_zeros(count, TILE * rows + 2, TILE * columns + 2, channels)
    framed[:, 1 : height + 1, 1 : width + 1] = x.permute(0, 2, 3, 1)

    # Bᵀ d B: along the rows of every tile, then along its columns
    halfway = x.new_empty(SEEN, count, rows, TILE * columns + 2, channels)
    _transform_input(framed[:, 0::2], framed[:, 1::2], 1, halfway)
    grouped = onednn.is_faster(x.dtype, x.device)
    if grouped:  # the elements of a tile are adjacent in memory
        tiles = x.new_empty(count, rows, columns, SEEN, SEEN, channels).permute(3, 4, 0, 1, 2, 5)
    else:
        tiles = x.new_empty(SEEN, SEEN, count, rows, columns, channels)
    _transform_input(halfway[:, :, :, 0::2], halfway[:, :, :, 1::2], 3, tiles.transpose(0, 1))
    products = _products(tiles, weight, grouped)
    if bias is not None:
        products[1, 1] += bias  # Aᵀ M A adds this element to each of the four outputs

    # Aᵀ M A
    summed = products.new_empty(TILE, *products.shape[1:])
    _transform_output(products, summed)
    shape = (count, products.shape[-1], TILE * rows, TILE * columns)
    output = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    by_tile = output.unflatten(3, (columns, TILE)).unflatten(2, (rows, TILE))  # N C' R r S s
    _transform_output(summed.transpose(0, 1), by_tile.permute(5, 3, 0, 2, 4, 1))
    if shape[2:] == (height, width):
        return output
    return output[:, :, :height, :width].clone(memory_format=torch.channels_last)


def _products(tiles: Tensor, weight: Tensor, grouped: bool) -> Tensor:
    """Matrix products over channels, by element: (4, 4, N, R, S, C) to (4, 4, N, R, S, C')."""
    count, rows, columns, channels = tiles.shape[2:]
    if not grouped:
        products = torch.bmm(tiles.view(SEEN * SEEN, -1, channels), weight.mT)
        return products.view(SEEN, SEEN, count, rows, columns, -1)
    by_tile = tiles.permute(2, 3, 4, 0, 1, 5).reshape(-1, SEEN * SEEN, channels)
    products = onednn.grouped(by_tile, weight).view(count, rows, columns, SEEN, SEEN, -1)
    return products.permute(3, 4, 0, 1, 2, 5)


def _transform_input(even: Tensor, odd: Tensor, dim: int, out: Tensor) -> None:
    """Bᵀ d along ``dim``, for all tiles; their lines d₀ … d₃ are even, odd, even and odd ones."""
    count = odd.shape[dim] - 1
    first, third = even.narrow(dim, 0, count), even.narrow(dim, 1, count)
    second, fourth = odd.narrow(dim, 0, count), odd.narrow(dim, 1, count)
    torch.sub(first, third, out=out[0])
    torch.add(second, third, out=out[1])
    torch.sub(third, second, out=out[2])
    torch.sub(second, fourth, out=out[3])


def _transform_output(products: Tensor, out: Tensor) -> None:
    """Aᵀ M along the first dimension: four lines to two."""
    first, second, third, fourth = products
    torch.add(first, second, out=out[0]).add_(third)
    torch.sub(second, third, out=out[1]).sub_(fourth)
