"""Matrix products in float32 as convolutions, where those are faster: CPUs with AVX-512.

``torch.bmm`` calls MKL in float32, which on a Zen 5 reaches less than half of what oneDNN does,
which convolutions call. A 1x1 convolution is a matrix product, over the channels, and so is the
gradient of its weight, over the positions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

_FASTER = (
    torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
)

_DILATION = 2
"""Of 1x1 kernels, which it does not change; with one thread, PyTorch leaves others to MKL."""


def is_faster(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products of tensors of this kind are to be had here."""
    return _FASTER and dtype == torch.float32 and device.type == "cpu"


def gram(features: Tensor) -> Tensor:
    """Inner products over all positions of channels of ``features`` (N, C, H, W): (N, C, C)."""
    shape = (features.shape[1], features.shape[1], 1, 1)
    products = [conv2d_weight(each, shape, each, dilation=_DILATION) for each in features.split(1)]
    return torch.stack(products)[..., 0, 0]


def mixed(features: Tensor, matrices: Tensor) -> Tensor:
    """Channels of ``features`` (N, C, H, W) by each image's matrix (N, C', C): (N, C', H, W)."""
    kernels = matrices[..., None, None]
    pairs = zip(features.split(1), kernels, strict=True)
    return torch.cat([F.conv2d(each, kernel, dilation=_DILATION) for each, kernel in pairs])


def grouped(rows: Tensor, matrices: Tensor) -> Tensor:
    """Vectors (P, G, C) by the matrix of their group, of (G, C', C): (P, G, C')."""
    groups = len(matrices)
    line = rows.flatten(1)[None, None].permute(0, 3, 1, 2)  # channels last
    kernel = matrices.flatten(0, 1)[..., None, None]
    products = F.conv2d(line, kernel, groups=groups, dilation=_DILATION)
    return products.permute(0, 2, 3, 1).reshape(len(rows), groups, -1)
