"""Images at the size of the next scale."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

SUPPORT = 2
"""Pixels on either side that a bicubic interpolation takes into account."""


def resampled(image: Tensor, shape: tuple[int, int], wraps: bool = False) -> Tensor:
    """Images (N, C, H, W) resampled to a shape (height, width), bicubic.

    Args:
        image: any values; they may overshoot.
        shape: of the result.
        wraps: whether opposite borders of the images are neighbours, as in an image that tiles.
    """
    if not wraps:
        return F.interpolate(image, shape, mode="bicubic", align_corners=False)
    sides = list(zip(image.shape[2:], shape, strict=True))
    (top, top_after), (left, left_after) = (_margins(*each) for each in sides)
    framed = F.pad(image, (left, left, top, top), mode="circular")
    whole = (shape[0] + 2 * top_after, shape[1] + 2 * left_after)
    found = F.interpolate(framed, whole, mode="bicubic", align_corners=False)
    return found[:, :, top_after : top_after + shape[0], left_after : left_after + shape[1]]


def _margins(side: int, wanted: int) -> tuple[int, int]:
    """A margin of whole pixels before and after, so that the pixels of the result do not move.

    At least ``SUPPORT`` before, unless the side is shorter.
    """
    shared = math.gcd(side, wanted)
    parts = min(math.ceil(SUPPORT * shared / side), shared)
    return parts * side // shared, parts * wanted // shared
