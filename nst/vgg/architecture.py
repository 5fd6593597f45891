"""The backbones' layers by name. Imports nothing, so that a wrong name is told at once."""

from __future__ import annotations

import re

# Convolutions per block; every block but the last ends in a pooling (Simonyan & Zisserman 2015,
# table 1, columns D and E).
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

CHANNELS = (64, 128, 256, 512, 512)
"""Of the convolutions of each block."""

SOURCES = ("embedded", "torchvision", "file")
OFFLINE = "without a network: embedded (VGG-19), file with backbone.path"


def conv_names(backbone: str) -> list[str]:
    """``conv1_1`` and so on, in order: 16 for VGG-19, 13 for VGG-16."""
    return [
        f"conv{block}_{index}"
        for block, count in enumerate(BLOCKS[backbone], start=1)
        for index in range(1, count + 1)
    ]


def canonical(layer: str, backbone: str) -> str:
    """The layer's name as ``convB_I`` (before its ReLU) or ``reluB_I`` (after it).

    ``conv_N`` and ``relu_N`` count convolutions from 1, as reports often do.

    Raises:
        ValueError: if the backbone has no such layer; the message lists those that exist.
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
    """Picture pixels per feature pixel: a smaller picture has no features at this layer."""
    return 2 ** (int(re.sub(r"\D*(\d)_\d+", r"\1", layer)) - 1)


def work(layer: str, backbone: str) -> float:
    """Multiply-adds per pixel of the picture for all convolutions up to this one."""
    total, before = 0.0, 3
    for block, count in enumerate(BLOCKS[backbone], start=1):
        for index in range(1, count + 1):
            total += 9 * before * CHANNELS[block - 1] / 4 ** (block - 1)
            before = CHANNELS[block - 1]
            if layer[4:] == f"{block}_{index}":
                return total
    raise ValueError(f"{layer} is no layer of {backbone}")
