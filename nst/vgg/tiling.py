"""Horizontal strips of a block of layers, for the memory of a strip instead of a whole picture.

Each 3x3 convolution depends on one more row on either side. So a strip is computed with a margin of
as many rows of the block's input as the block has convolutions, and the margin is cut off again:
the result is that of the whole picture, to rounding. Where the picture wraps around, the margins of
the first and the last strip are rows of its other end. The features of a strip are dropped and
computed again in the backward pass (Chen et al. 2016, "Training Deep Nets with Sublinear Memory
Cost").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WHOLE_BYTES = 512 * 2**20
"""Blocks with smaller features are computed whole: strips take one and a half times as long."""

STRIP_BYTES = 64 * 2**20
"""Of one layer's features in a strip."""


@dataclass(frozen=True)
class Strip:
    """Rows of a block's input.

    Attributes:
        rows: the rows of the strip.
        seen: these and the margins, on which its values depend; negative rows, and those beyond the
            last one, are rows of the other end of a picture that wraps around.
        share: fraction of all rows.
    """

    rows: slice
    seen: slice
    share: float

    def crop(self, x: Tensor) -> Tensor:
        """Cuts the margins from ``x`` (N, C, H, W), which was computed from ``seen``."""
        if self.share == 1:
            return x
        return x[:, :, self.rows.start - self.seen.start : self.rows.stop - self.seen.start]


def strips(height: int, margin: int, count: int, wraps: bool = False) -> list[Strip]:
    """Cuts ``height`` rows into at most ``count`` strips that begin at even rows, for the pooling.

    Args:
        height: rows of the block's input.
        margin: rows on either side on which a row depends.
        count: 1 or more.
        wraps: whether the last row is followed by the first one.
    """
    step = -(-height // count)
    step += step % 2
    found = []
    tops = range(0, max(height - 1, 1), step)  # a last row alone could not be pooled
    for top in tops:
        bottom = height if top == tops[-1] else top + step
        first, last = top - margin, bottom + margin
        if not wraps or len(tops) == 1:  # the padding continues a whole picture
            first, last = max(first, 0), min(last, height)
        found.append(Strip(slice(top, bottom), slice(first, last), (bottom - top) / height))
    return found


def pieces(seen: slice, height: int) -> list[slice]:
    """Rows ``seen`` by a strip as slices of the picture, in order; several if it wraps around."""
    found, row = [], seen.start
    while row < seen.stop:
        start = row % height
        stop = min(start + seen.stop - row, height)
        found.append(slice(start, stop))
        row += stop - start
    return found


def parts(x: Tensor, found: list[Strip]) -> list[Tensor]:
    """The rows ``seen`` by each strip of ``x`` (N, C, H, W); one strip is ``x`` itself."""
    return [x] if len(found) == 1 else list(_Parts.apply(x, found))


def joined(found: Sequence[Tensor]) -> Tensor:
    """Strips (N, C, rows, W) as one tensor."""
    return found[0] if len(found) == 1 else torch.cat(list(found), 2)


def mean(found: Sequence[tuple[Strip, Tensor]]) -> Tensor:
    """The mean over all rows, from the means of the strips."""
    if len(found) == 1:
        return found[0][1]
    return torch.stack([strip.share * value for strip, value in found]).sum(0)


class _Parts(torch.autograd.Function):
    """Overlapping slices of rows, with one gradient; autograd would make one for every slice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, found: list[Strip]) -> tuple[Tensor, ...]:
        ctx.found, ctx.shape = found, x.shape
        rows = [pieces(strip.seen, x.shape[2]) for strip in found]
        return tuple(torch.cat([x[:, :, piece] for piece in each], 2) for each in rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].new_zeros(ctx.shape).to(memory_format=torch.channels_last)
        for strip, gradient in zip(ctx.found, gradients, strict=True):
            row = 0
            for piece in pieces(strip.seen, whole.shape[2]):
                length = piece.stop - piece.start
                whole[:, :, piece] += gradient[:, :, row : row + length]
                row += length
        return whole, None
