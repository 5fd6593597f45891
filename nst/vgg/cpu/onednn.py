"""float32 matrix products as convolutions, which are faster on CPUs with AVX-512.

For float32, ``torch.bmm`` calls MKL, and convolutions call oneDNN. On a Zen 5, MKL reaches less
than half of oneDNN's speed. A 1x1 convolution is a matrix product over channels; the gradient of
its weight is one over positions.
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
"""Has no effect on 1x1 kernels; but without it PyTorch calls MKL if there is one thread."""


def is_faster(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the functions here are faster for tensors of this kind."""
    return _FASTER and dtype == torch.float32 and device.type == "cpu"


def gram(features: Tensor) -> Tensor:
    """Inner products over all positions of channels of ``features`` (N, C, H, W): (N, C, C)."""
    shape = (features.shape[1], features.shape[1], 1, 1)
    products = [conv2d_weight(each, shape, each, dilation=_DILATION) for each in features.split(1)]
    return torch.stack(products)[..., 0, 0]


def mixed(features: Tensor, matrices: Tensor) -> Tensor:
    """Channels of ``features`` (N, C, H, W) times each image's matrix (N, C', C): (N, C', H, W)."""
    kernels = matrices[..., None, None]
    pairs = zip(features.split(1), kernels, strict=True)
    return torch.cat([F.conv2d(each, kernel, dilation=_DILATION) for each, kernel in pairs])


def grouped(rows: Tensor, matrices: Tensor) -> Tensor:
    """Vectors (P, G, C) times their group's matrix, of (G, C', C): (P, G, C')."""
    groups = len(matrices)
    line = rows.flatten(1)[None, None].permute(0, 3, 1, 2)  # channels last
    kernel = matrices.flatten(0, 1)[..., None, None]
    products = F.conv2d(line, kernel, groups=groups, dilation=_DILATION)
    return products.permute(0, 2, 3, 1).reshape(len(rows), groups, -1)
