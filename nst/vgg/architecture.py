"""The layers of the backbones, in one table. Imports nothing slow: a wrong name fails at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

# Convolutions of each block, and their channels: Simonyan & Zisserman 2015, table 1, columns D and
# E. Every block ends with a pooling.
_COUNTS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)

BACKBONES = tuple(_COUNTS)

ZEROS, REPLICATE, CIRCULAR = PADDINGS = ("zeros", "replicate", "circular")
POOLINGS = ("max", "average", "l2")

SOURCES = ("embedded", "torchvision", "file")
OFFLINE = "without a network: embedded (VGG-19), file with backbone.path"


@dataclass(frozen=True)
class Conv:
    """A 3x3 convolution.

    Attributes:
        block: its block, from 1.
        number: its place in the block, from 1.
        inputs: number of input channels.
        channels: number of output channels.
        last: whether it is the last one of its block; a pooling follows its ReLU.
    """

    block: int
    number: int
    inputs: int
    channels: int
    last: bool

    @property
    def name(self) -> str:
        """Such as ``conv1_1``."""
        return f"conv{self.block}_{self.number}"

    @property
    def relu(self) -> str:
        """Name of its ReLU, such as ``relu1_1``."""
        return f"relu{self.block}_{self.number}"

    @property
    def pixels(self) -> float:
        """Feature pixels per pixel of the picture."""
        return 1 / stride(self.name) ** 2

    @property
    def work(self) -> float:
        """Multiply-adds per pixel of the picture."""
        return 9 * self.inputs * self.channels * self.pixels


@cache
def convolutions(backbone: str) -> tuple[Conv, ...]:
    """The convolutions in order: 16 of VGG-19, 13 of VGG-16."""
    found: list[Conv] = []
    for block, (count, channels) in enumerate(
        zip(_COUNTS[backbone], _CHANNELS, strict=True), start=1
    ):
        for number in range(1, count + 1):
            inputs = found[-1].channels if found else 3
            found.append(Conv(block, number, inputs, channels, number == count))
    return tuple(found)


def conv_names(backbone: str) -> list[str]:
    """``conv1_1`` and so on, in order."""
    return [conv.name for conv in convolutions(backbone)]


def up_to(layers: Collection[str], backbone: str) -> list[Conv]:
    """The convolutions that must be computed for these layers, given by their canonical names."""
    needed = {layer.replace("relu", "conv") for layer in layers}
    found = list(convolutions(backbone))
    while found and found[-1].name not in needed:
        found.pop()
    return found


def canonical(layer: str, backbone: str) -> str:
    """The layer's name as ``convB_I`` (before its ReLU) or ``reluB_I`` (after it).

    In ``conv_N`` and ``relu_N``, N is the number of the convolution in the network, from 1.

    Raises:
        ValueError: if the backbone has no such layer; the message lists its layers.
    """
    convs = conv_names(backbone)
    numbered = re.fullmatch(r"(conv|relu)_(\d+)", layer)
    if numbered and 1 <= int(numbered[2]) <= len(convs):
        return convs[int(numbered[2]) - 1].replace("conv", numbered[1])
    if layer.replace("relu", "conv", 1) in convs:
        return layer
    raise ValueError(
        f"{layer} is no layer of {backbone}; its {len(convs)} convolutions are {', '.join(convs)} "
        f"(also conv_1 to conv_{len(convs)}; relu in place of conv: after the ReLU)"
    )


def stride(layer: str) -> int:
    """Picture pixels per feature pixel, along a side; smaller pictures have no features here."""
    return 2 ** (int(re.sub(r"\D*(\d)_\d+", r"\1", layer)) - 1)


def work(layer: str, backbone: str) -> float:
    """Multiply-adds per pixel of the picture of all convolutions up to this layer."""
    return sum(conv.work for conv in up_to([layer], backbone))


def receptive_field(layer: str, backbone: str) -> int:
    """Side of the square of pixels that one position of a layer depends on, px."""
    side, jump = 1, 1
    for conv in up_to([layer], backbone):
        side += 2 * jump
        if conv.last and conv.name != layer.replace("relu", "conv"):
            side += jump  # the pooling
            jump *= 2
    return side
