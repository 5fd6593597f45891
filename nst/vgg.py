"""The VGG feature extractor: named layers, cut after the deepest one that is needed, frozen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nst.layers import BLOCKS
from nst.weights import Weights


class VGG(nn.Module):
    """Features of a batch of images at the layers asked for.

    The convolutions keep the order of Simonyan & Zisserman (2015). Nothing after the deepest of
    ``taps`` exists. The parameters never receive a gradient.

    Args:
        weights: the pretrained convolutions and their input normalisation.
        backbone: ``vgg16`` or ``vgg19``.
        taps: canonical layer names whose features ``forward`` returns.
        pooling: ``max`` (as trained) or ``average`` (Gatys et al. 2016, section 2: smoother).
        padding: ``zeros`` (as trained) or ``replicate`` (no dark frame in the statistics).
        activation_means: mean ReLU output of every convolution; each is scaled by one number so
            that this becomes 1 (Gatys et al. 2015, section 2, do so per channel). The ReLU and
            both poolings commute with positive scaling, so the function stays the same up to
            these factors. None: as trained.
        dtype: what the convolutions compute in.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        weights: Weights,
        backbone: str,
        taps: Collection[str],
        pooling: str = "max",
        padding: str = "zeros",
        activation_means: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.taps = frozenset(taps)
        self.dtype = dtype
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1), persistent=False)
        means = [1.0, *activation_means] if activation_means else [1.0] * 17
        self.layers = nn.ModuleDict()
        for name, index in _plan(backbone):
            if name.startswith("conv"):
                weight, bias = weights.convolutions[index]
                self.layers[name] = _convolution(
                    weight * (means[index] / means[index + 1]), bias / means[index + 1], padding
                )
            elif name.startswith("relu"):
                # Not in place behind a tap: the tapped tensor would silently become the ReLU's.
                tapped = name.replace("relu", "conv") in self.taps
                self.layers[name] = nn.ReLU(inplace=not tapped)
            else:
                self.layers[name] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
            if self.taps <= set(self.layers):
                break
        # Channels last: what CPUs' bfloat16 and GPUs' tensor cores want.
        self.layers.to(dtype).to(memory_format=torch.channels_last)
        self.requires_grad_(False)

    def channels(self, layer: str) -> int:
        """Number of feature channels at a layer."""
        conv = self.layers[layer.replace("relu", "conv")]
        assert isinstance(conv, nn.Conv2d)
        return conv.out_channels

    def forward(self, image: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """Features of ``image`` (N, 3, H, W), RGB in [0, 1].

        Args:
            image: the batch.
            taps: fewer layers than there are taps; what lies deeper is not computed.

        Returns:
            For each tap, (N, C, H', W') in ``dtype``; at layer ``convB_I`` H' is H / 2^(B-1),
            rounded down.
        """
        x = image.to(torch.promote_types(image.dtype, self.dtype))
        x = (x - self.mean) / self.std
        x = x.to(dtype=self.dtype, memory_format=torch.channels_last)
        wanted = self.taps if taps is None else taps
        features = {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name in wanted:
                features[name] = x
                if len(features) == len(wanted):
                    break
        return features


def _plan(backbone: str) -> Iterator[tuple[str, int]]:
    """(name, number of the convolution from 0) of every layer in order."""
    index = 0
    for block, count in enumerate(BLOCKS[backbone], start=1):
        for inner in range(1, count + 1):
            yield f"conv{block}_{inner}", index
            yield f"relu{block}_{inner}", index
            index += 1
        yield f"pool{block}", index


def _convolution(weight: Tensor, bias: Tensor, padding: str) -> nn.Conv2d:
    mode: Any = padding
    # without the random values that nn.Conv2d would begin with
    conv = nn.utils.skip_init(
        nn.Conv2d, weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=mode
    )
    assert isinstance(conv, nn.Conv2d)
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(bias)
    return conv
