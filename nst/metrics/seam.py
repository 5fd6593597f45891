"""How visible the borders between copies of a picture are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = 3
"""Shortest side, px: two columns must differ inside the picture."""


def seam(picture: NDArray[np.uint8]) -> float:
    """Strength of the seams between copies of an 8-bit picture (H, W, 3) laid side by side.

    The difference of two neighbouring columns is the mean of the absolute differences of their
    pixels. A seam's strength is that of the last column and the first one, over the largest such
    difference inside the picture; the same for rows. The larger of both counts.

    Returns:
        0 or more; at most 1: no seam is stronger than any other column or row.
    """
    values = picture.astype(np.int16)  # differences of bytes would overflow
    return max(_strength(values), _strength(values.swapaxes(0, 1)))


def _strength(values: NDArray[np.int16]) -> float:
    """The strength of the seam between the last column and the first one."""
    differences = np.abs(np.roll(values, -1, axis=1) - values).mean(axis=(0, 2))
    inside, border = differences[:-1].max(), differences[-1]
    return float(border / inside) if inside > 0 else 0.0  # equal columns: no seam either
