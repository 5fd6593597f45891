"""Total variation, a measure of roughness."""

from __future__ import annotations

from torch import Tensor


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels of ``image`` (N, 3, H, W): (N,).

    Mahendran & Vedaldi 2015, section 3 (beta = 2), as a mean per direction instead of a sum.
    """
    down = (image[:, :, 1:] - image[:, :, :-1]).square().mean(dim=(1, 2, 3))
    right = (image[..., 1:] - image[..., :-1]).square().mean(dim=(1, 2, 3))
    return down + right
