"""Total variation, a measure of roughness."""

from __future__ import annotations

from torch import Tensor


def total_variation(image: Tensor, wraps: bool = False) -> Tensor:
    """Mean squared difference of neighbouring pixels of ``image`` (N, 3, H, W): (N,).

    Mahendran & Vedaldi 2015, section 3 (beta = 2), as a mean per direction instead of a sum.

    Args:
        image: RGB in [0, 1].
        wraps: whether pixels at opposite borders are neighbours, as in an image that tiles.
    """
    if wraps:
        down, right = image.roll(-1, 2) - image, image.roll(-1, 3) - image
    else:
        down, right = image[:, :, 1:] - image[:, :, :-1], image[..., 1:] - image[..., :-1]
    return down.square().mean(dim=(1, 2, 3)) + right.square().mean(dim=(1, 2, 3))
