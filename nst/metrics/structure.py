"""Structure and colours of two pictures: edges, self-similarity and histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nst.losses.base import rows

TOLERANCE = 1
"""Distance at which two edges agree, px, along a row, a column or a diagonal."""

LAB = ((0, 100), (-128, 128), (-128, 128))
"""Ranges of L*, a* and b*; a bin of their histograms is 1 wide."""

CHUNK = 1024
"""Rows of a self-similarity that are in memory at a time."""


def edge_agreement(image: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """F1 score of the edges of two 8-bit RGB pictures (H, W, 3) of the same size.

    Edges are Canny's (1986) with sigma 2 on the luminance, with the thresholds relative to the
    gradients of each picture, so that contrast does not matter. An edge pixel agrees if the other
    picture has one at most ``TOLERANCE`` px away (Martin et al. 2004, section 4).

    Returns:
        From 0 to 1; 1 where both pictures have no edges.
    """
    from scipy.ndimage import binary_dilation  # a second to import

    own, wanted = _edges(image), _edges(original)
    if not own.any() or not wanted.any():
        return float(own.any() == wanted.any())
    square = np.ones((2 * TOLERANCE + 1,) * 2, bool)
    precision = binary_dilation(wanted, square)[own].mean()
    recall = binary_dilation(own, square)[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _edges(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    from skimage.color import rgb2gray
    from skimage.feature import canny

    found: NDArray[np.bool_] = canny(
        rgb2gray(picture), sigma=2, low_threshold=0.8, high_threshold=0.9, use_quantiles=True
    )
    return found


def colour_distance(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Earth mover's distance between the colour histograms of two pictures (H, W, 3) of any size.

    Of L*, a* and b* (CIELAB, D65) by themselves, in bins of width 1, averaged.

    Returns:
        How far a colour has to move on average, in units of CIELAB; 0 for equal histograms.
    """
    own, wanted = _histograms(image), _histograms(other)
    pairs = zip(own, wanted, strict=True)
    return float(np.mean([np.abs(np.cumsum(a - b)).sum() for a, b in pairs]))


def _histograms(picture: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Shares of the pixels in each bin, of each channel of CIELAB."""
    from skimage.color import rgb2lab

    channels = rgb2lab(picture).reshape(-1, 3).T
    counts = [
        np.histogram(np.clip(values, *ends), bins=ends[1] - ends[0], range=ends)[0]
        for values, ends in zip(channels, LAB, strict=True)
    ]
    return [count / count.sum() for count in counts]


def chroma_difference(image: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """Mean difference of the colours of two 8-bit RGB pictures (H, W, 3), lightness apart.

    CIEDE2000 (Sharma et al. 2005) between the pixels, both with the L* of the original.

    Returns:
        0 for equal a* and b*; from about 1 on, a difference can be seen.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab  # a second to import

    own, wanted = rgb2lab(image), rgb2lab(original)
    own[..., 0] = wanted[..., 0]
    return float(deltaE_ciede2000(own, wanted).mean())


def cfsd(features: Tensor, content: Tensor) -> float:
    """Content feature structural distance: Chung et al. 2024 (StyleID), section 4.1.

    The mean over positions of KL(softmax S_c ‖ softmax S), where a row of S holds the cosines of
    the features at a position with those at all positions.

    Args:
        features: of the result, (1, C, H, W).
        content: of the content, (1, C, H, W).

    Returns:
        0 for equal structure.
    """
    own, wanted = (F.normalize(rows(each)[0].float(), dim=1) for each in (features, content))
    total = 0.0
    for part, wanted_part in zip(own.split(CHUNK), wanted.split(CHUNK), strict=True):
        log_own = F.log_softmax(part @ own.mT, dim=1)
        log_wanted = F.log_softmax(wanted_part @ wanted.mT, dim=1)
        total += float(F.kl_div(log_own, log_wanted, reduction="sum", log_target=True))
    return max(0.0, total / len(own))
