"""The VGG feature extractor: named layers, frozen, up to the deepest one that is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nst.vgg.architecture import CIRCULAR, REPLICATE, ZEROS
from nst.vgg.architecture import convolutions as layers
from nst.vgg.circular import CircularConv
from nst.vgg.cpu.winograd import WinogradConv
from nst.vgg.tiling import STRIP_BYTES, WHOLE_BYTES, Strip, joined, parts, strips
from nst.vgg.weights import Weights

Reader = Callable[[str, Tensor, Strip], dict[str, Tensor]]
"""Takes a layer's name, its features (N, C, rows, W') and the strip; returns values by name."""


class VGG(nn.Module):
    """Features of a batch of images at given layers of VGG (Simonyan & Zisserman 2015).

    The network ends after the deepest of ``taps``. The parameters never receive a gradient.

    Args:
        weights: the pretrained convolutions and their input normalisation.
        backbone: ``vgg16`` or ``vgg19``.
        taps: canonical layer names whose features ``forward`` returns.
        pooling: ``max`` (as trained), ``average`` (Gatys et al. 2016, section 2: smoother) or
            ``l2`` (``L2Pool``).
        padding: ``zeros`` (as trained), ``replicate`` (no dark frame in the statistics) or
            ``circular`` (the picture wraps around, so that copies of it fit side by side).
        activation_means: mean ReLU output of every convolution; each convolution is scaled by one
            number so that this becomes 1 (Gatys et al. 2015, section 2, do so per channel). The
            ReLU and every pooling commute with positive scaling, so the features stay the same up
            to these factors. None: as trained.
        dtype: of the convolutions.
        tiling: ``never`` computes whole pictures, ``always`` strips where they save memory, and
            ``auto`` strips where a block's features would exceed ``tiling.WHOLE_BYTES``.
        winograd: compute the convolutions of blocks 3 to 5 with fewer multiplications; for CPUs
            (the libraries of other devices choose for themselves).
        convolutions: by layer, of another extractor; they are shared, and missing ones are added.
            The two extractors may differ in taps, pooling and tiling only, and must have the same
            ``activation_means``.

    Attributes:
        name: ``vgg16`` or ``vgg19``.
        key: extractors with equal keys compute the same features.
        wraps: whether the padding is circular.
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
        tiling: str = "auto",
        winograd: bool = False,
        convolutions: dict[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.name = backbone
        self.taps = frozenset(taps)
        self.tiling = tiling
        self.wraps = padding == CIRCULAR
        means = tuple(activation_means) if activation_means else None
        self.key: tuple[object, ...] = (weights.sha256, backbone, pooling, padding, means, dtype)
        self.dtype = dtype
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1), persistent=False)
        scales = [1.0, *(means or [1.0] * 16)]
        shared = {} if convolutions is None else convolutions
        self.layers = nn.ModuleDict()
        for name, index in _plan(backbone):
            if name.startswith("conv"):
                if name not in shared:
                    weight, bias = weights.convolutions[index]
                    weight = weight * (scales[index] / scales[index + 1])
                    bias = bias / scales[index + 1]
                    shared[name] = _convolution(weight, bias, padding, dtype, winograd)
                self.layers[name] = shared[name]
            elif name.startswith("relu"):
                # Not in place after a tap: the ReLU would overwrite the tapped features.
                tapped = name.replace("relu", "conv") in self.taps
                self.layers[name] = nn.ReLU(inplace=not tapped)
            else:
                self.layers[name] = _POOLINGS[pooling](2)
            if self.taps <= set(self.layers):
                break
        # The layout for bfloat16 on CPUs and for tensor cores on GPUs.
        self.layers.to(memory_format=torch.channels_last)
        self.requires_grad_(False)

    def unwrapped(self) -> VGG:
        """This extractor for a picture that is no tile, with the same convolutions.

        Circular padding would join its opposite borders, and a seam would be among its features.
        In its place is ``replicate``.
        """
        if not self.wraps:
            return self
        shared = {id(each): each for each in (*self.parameters(), *self.buffers())}
        other = deepcopy(self, shared)
        for name, layer in self.layers.items():
            if isinstance(layer, CircularConv):
                own = layer.weight, layer.bias, REPLICATE, self.dtype
                other.layers[name] = _convolution(*own, winograd=False)
        other.wraps = False
        other.key = tuple(REPLICATE if each == CIRCULAR else each for each in self.key)
        return other

    def channels(self, layer: str) -> int:
        """Number of feature channels at a layer."""
        conv = self.layers[layer.replace("relu", "conv")]
        assert isinstance(conv, nn.Conv2d | CircularConv | WinogradConv)
        return conv.out_channels

    def forward(self, image: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """Features of ``image`` (N, 3, H, W), RGB in [0, 1].

        Args:
            image: the batch.
            taps: a subset of the taps; deeper layers are not computed. None: all.

        Returns:
            For each tap, (N, C, H', W') in ``dtype``; at layer ``convB_I``, H' is H / 2^(B-1)
            rounded down.
        """
        found = self.read(image, lambda layer, features, strip: {layer: features}, taps)
        return {layer: joined([value for _, value in values]) for layer, values in found.items()}

    def read(
        self, image: Tensor, reader: Reader, taps: Collection[str] | None = None
    ) -> dict[str, list[tuple[Strip, Tensor]]]:
        """Values that ``reader`` computes from the features of ``image``, strip by strip.

        The features of a strip are dropped once they are read, and computed again in the backward
        pass. Features of whole pictures are kept.

        Args:
            image: the batch (N, 3, H, W), RGB in [0, 1].
            reader: called for every tap and strip, and once more in the backward pass.
            taps: a subset of the taps; deeper layers are not computed. None: all.

        Returns:
            The reader's values by name: one for each strip, from top to bottom. A whole picture is
            one strip.
        """
        wanted = self.taps if taps is None else frozenset(taps)
        x = image.to(torch.promote_types(image.dtype, self.dtype))
        x = (x - self.mean) / self.std
        x = x.to(dtype=self.dtype, memory_format=torch.channels_last)
        found: dict[str, list[tuple[Strip, Tensor]]] = {}
        for names in self._blocks(wanted):
            cut = self._strips(x, names)
            outputs = []
            for strip, seen in zip(cut, parts(x, cut), strict=True):
                compute = partial(self._block, names, wanted, reader, strip)
                if len(cut) > 1:
                    options: Any = {"use_reentrant": False, "preserve_rng_state": False}
                    compute = partial(checkpoint, compute, **options)
                output, values = compute(seen)
                outputs.append(output)
                for name, value in values.items():
                    found.setdefault(name, []).append((strip, value))
            if names[-1].startswith("pool"):
                x = joined(outputs)
        return found

    def _blocks(self, wanted: Collection[str]) -> list[list[str]]:
        """Names of the layers in order, by block, up to the deepest in ``wanted``."""
        blocks: list[list[str]] = [[]]
        missing = set(wanted)
        for name in self.layers:
            if not missing:
                break
            blocks[-1].append(name)
            missing.discard(name)
            if name.startswith("pool") and missing:
                blocks.append([])
        return blocks

    def _strips(self, x: Tensor, names: Sequence[str]) -> list[Strip]:
        """The strips in which to compute a block of ``x`` (N, C, H, W)."""
        count, _, height, width = x.shape
        size = count * self.channels(names[0]) * height * width * x.element_size()
        margin = convolutions = sum(name.startswith("conv") for name in names)
        small = convolutions * size <= WHOLE_BYTES
        whole = self.tiling == "never" or (self.tiling == "auto" and small)
        return strips(height, margin, 1 if whole else -(-size // STRIP_BYTES), self.wraps)

    def _block(
        self, names: Sequence[str], wanted: Collection[str], reader: Reader, strip: Strip, x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        values: dict[str, Tensor] = {}
        for name in names:
            if name.startswith("pool"):
                x = strip.crop(x)
            x = self.layers[name](x)
            if name in wanted:
                values |= reader(name, strip.crop(x), strip)
        return x, values


class L2Pool(nn.Module):
    """The root of the mean square of each window, between its average and its maximum.

    Hénaff & Simoncelli 2016 (Geodesics of learned representations): it aliases less than the
    maximum.

    Args:
        size: of the windows, which do not overlap.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H / size, W / size), rounded down."""
        # the gradient of lp_pool2d is 0 where a window is 0; that of a root is not finite there
        return nn.functional.lp_pool2d(x, 2.0, self.size) / self.size


_POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "max": nn.MaxPool2d,
    "average": nn.AvgPool2d,
    "l2": L2Pool,
}


def _plan(backbone: str) -> Iterator[tuple[str, int]]:
    """(name, number of the convolution from 0) of every layer in order."""
    for index, layer in enumerate(layers(backbone)):
        yield layer.name, index
        yield layer.relu, index
        if layer.last:
            yield f"pool{layer.block}", index


def _convolution(
    weight: Tensor, bias: Tensor, padding: str, dtype: torch.dtype, winograd: bool
) -> nn.Module:
    # measured: with fewer channels, Winograd's additions cost more than it saves
    if winograd and padding == ZEROS and weight[:, :, 0, 0].numel() >= 128 * 256:
        return WinogradConv(weight, bias, dtype)
    if padding == CIRCULAR:
        return CircularConv(weight, bias, dtype)
    mode: Any = padding
    # without random values
    conv = nn.Conv2d(
        weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=mode, device="meta"
    )
    conv.weight = nn.Parameter(weight.to(dtype))
    conv.bias = nn.Parameter(bias.to(dtype))
    return conv
