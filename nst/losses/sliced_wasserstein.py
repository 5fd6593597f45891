"""Sorted projections as style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn import functional as F

from nst.losses.base import StyleLoss, at_least_float32, rows, weighted_sum
from nst.losses.sorting import sorted_rows


@dataclass(frozen=True)
class SlicedWasserstein(StyleLoss):
    """Squared differences of sorted projections: Heitz et al. 2021, section 4.

    L = mean over directions v and ranks r of (sort(F v)_r - sort(F̂ v)_r)². It is the mean of the
    squared Wasserstein distances along the directions, and unlike moments of any order it is 0 only
    for equal distributions, given enough directions. A style with another number of positions is
    interpolated linearly between its ranks.

    The directions are as many as the channels and orthogonal, so that none is left out. Heitz et
    al. draw them independently, and anew at every step, which L-BFGS does not bear: its history is
    that of one objective. Here they stay for ``redraw`` steps; at a redraw the optimiser forgets
    its history.

    - Shapes: the description is (N, C, H·W), sorted.
    - Cost: C²·H·W multiply-adds each way, and sorting C·H·W numbers.
    - Pitfalls: ranks of equal features are arbitrary, so flat regions may be split at random.

    Attributes:
        redraw: steps between new directions; None: one set for each size of the schedule.
        seed: of the directions.
        draw: which of the sets; counted by the schedule, not set by a config.
    """

    redraw: int | None = None
    seed: int = 0
    draw: int = 0

    copies: ClassVar[int] = 8

    def __post_init__(self) -> None:
        if self.redraw is not None and not (isinstance(self.redraw, int) and self.redraw >= 1):
            raise ValueError(f"redraw={self.redraw}: must be a whole number from 1, or null")

    @property
    def redraw_every(self) -> int | None:
        """Steps between new directions."""
        return self.redraw

    def drawn(self, number: int) -> Self:
        """The loss with the ``number``-th set of directions."""
        return replace(self, draw=number)

    def describe(self, *features: Tensor) -> Tensor:
        """The sorted projections of one layer."""
        full = rows(at_least_float32(features[0]))
        directions = _directions(full.detach(), self.seed, self.draw)
        return sorted_rows(directions.mT @ full.mT)

    def mixed(self, descriptions: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """Means of the styles' quantiles along each direction: their Wasserstein barycentre."""
        longest = max(each.shape[2] for each in descriptions)
        return weighted_sum([self.prepare(each, longest) for each in descriptions], shares)

    def prepare(self, target: Tensor, positions: int) -> Tensor:
        """The projections at as many ranks as an image has."""
        if target.shape[2] == positions:
            return target
        return F.interpolate(target, positions, mode="linear", align_corners=False)

    def distance(self, description: Tensor, target: Tensor) -> Tensor:
        """Mean squared differences, (N,)."""
        difference = description - target
        # the gradient of a norm takes one pass over the memory, that of a square several
        return vector_norm(difference, dim=(1, 2)).square() / difference[0].numel()


# an operator of its own: torch.compile can make neither a generator nor a constant twice
@torch.library.custom_op("nst::directions", mutates_args=())
def _directions(features: Tensor, seed: int, draw: int) -> Tensor:
    """Directions for features (N, M, C): (C, C)."""
    drawn = _drawn(features.shape[2], seed, draw, features.dtype, features.device)
    # a copy, because compiled code may overwrite it, in the layout that the next function promises
    return drawn.clone(memory_format=torch.contiguous_format)


@_directions.register_fake
def _(features: Tensor, seed: int, draw: int) -> Tensor:
    return features.new_empty(features.shape[2], features.shape[2])


@lru_cache(maxsize=16)  # on their device: a copy at each step would wait for it
def _drawn(channels: int, seed: int, draw: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Orthonormal directions as columns, (C, C), uniformly distributed, drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + draw)
    gaussian = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(gaussian)[0].to(device, dtype)
