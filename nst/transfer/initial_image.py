"""Initial images. All functions return (3, H, W), RGB in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from nst import images
from nst.config.schema import InitConfig
from nst.images.picture import Picture


def initial_image(
    init: InitConfig,
    seed: int,
    height: int,
    width: int,
    content: Picture | None = None,
    style: Picture | None = None,
    file: Picture | None = None,
) -> Tensor:
    """The initial image of one run.

    Args:
        init: its config.
        seed: of the noise.
        height: px.
        width: px.
        content: for ``content`` and ``blend``.
        style: for ``style``.
        file: for ``file``.

    Raises:
        ValueError: if a picture that ``init`` needs is missing.
    """
    if init.name == "noise":
        return noise(init, seed, height, width)
    if init.name == "content":
        return images.to_tensor(_given(content), height, width)
    if init.name == "style":
        return images.covering(_given(style), height, width)
    if init.name == "file":
        return images.covering(_given(file), height, width)
    if init.name == "blend":
        grain = noise(init, seed, height, width)
        return torch.lerp(images.to_tensor(_given(content), height, width), grain, init.noise)
    raise ValueError(f"no init {init.name}")


def noise(init: InitConfig, seed: int, height: int, width: int) -> Tensor:
    """White noise: uniform over [0, 1], or Gaussian with ``mean`` and ``std``, clipped to [0, 1].

    Drawn on the CPU: a seed gives the same noise on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    if init.kind == "gaussian":
        grain = torch.randn(3, height, width, generator=generator) * init.std + init.mean
        return grain.clamp(0, 1)
    return torch.rand(3, height, width, generator=generator)


def _given(picture: Picture | None) -> Picture:
    if picture is None:
        raise ValueError("the picture to start from is missing")
    return picture
