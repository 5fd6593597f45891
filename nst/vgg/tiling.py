"""Horizontal strips of a block of layers: memory of a strip instead of the whole picture.

Convolutions see one row further on either side, so a strip is computed with as many more rows of
its block's input as the block has convolutions, and these are cut off again: what is left equals
the whole, to rounding. What a strip computed is thrown away and computed once more in the backward
pass (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WHOLE_BYTES = 512 * 2**20
"""A block whose features are no larger is computed whole: strips cost half as much time more."""

STRIP_BYTES = 64 * 2**20
"""Of one layer's features in a strip."""


@dataclass(frozen=True)
class Strip:
    """Rows of a block's input.

    Attributes:
        rows: that the strip stands for.
        seen: that its values depend on, ``rows`` among them.
        share: of all rows.
    """

    rows: slice
    seen: slice
    share: float

    def of(self, x: Tensor) -> Tensor:
        """``rows`` of what was computed from ``seen``, (N, C, H, W)."""
        if self.share == 1:
            return x
        return x[:, :, self.rows.start - self.seen.start : self.rows.stop - self.seen.start]


def strips(height: int, margin: int, count: int) -> list[Strip]:
    """At most ``count`` strips of ``height`` rows; they begin at even rows, for the pooling.

    Args:
        height: rows of the block's input.
        margin: rows on either side that a row's value depends on.
        count: 1 or more.
    """
    step = -(-height // count)
    step += step % 2
    found = []
    tops = range(0, max(height - 1, 1), step)  # a last row alone could not be pooled
    for top in tops:
        bottom = height if top == tops[-1] else top + step
        seen = slice(max(top - margin, 0), min(bottom + margin, height))
        found.append(Strip(slice(top, bottom), seen, (bottom - top) / height))
    return found


def parts(x: Tensor, found: list[Strip]) -> list[Tensor]:
    """What each strip sees of ``x`` (N, C, H, W); one strip is all of it, and no copy."""
    return [x] if len(found) == 1 else list(_Parts.apply(x, found))


def joined(found: Sequence[Tensor]) -> Tensor:
    """Strips (N, C, rows, W) put together."""
    return found[0] if len(found) == 1 else torch.cat(list(found), 2)


def mean(found: Sequence[tuple[Strip, Tensor]]) -> Tensor:
    """The mean over all rows, from the means over the rows of each strip."""
    if len(found) == 1:
        return found[0][1]
    return torch.stack([strip.share * value for strip, value in found]).sum(0)


class _Parts(torch.autograd.Function):
    """Overlapping slices of rows; autograd's own would make a whole gradient of every one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, found: list[Strip]) -> tuple[Tensor, ...]:
        ctx.found, ctx.shape = found, x.shape
        return tuple(x[:, :, strip.seen].clone() for strip in found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].new_zeros(ctx.shape).to(memory_format=torch.channels_last)
        for strip, gradient in zip(ctx.found, gradients, strict=True):
            whole[:, :, strip.seen] += gradient
        return whole, None
