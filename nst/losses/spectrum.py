"""The Fourier spectrum of the picture, for regular textures."""

from __future__ import annotations

import torch
from torch import Tensor


def spectrum_distance(image: Tensor, target: Tensor) -> Tensor:
    """Squared distance of images (N, 3, H, W) to the pictures with the target's spectrum: (N,).

    Liu et al. 2016, section 3.2, as a mean over pixels. The pictures with the spectrum X̂ are those
    with e^{iφ(k)} X̂(k) at every frequency k, with the same phase for all channels, which keeps
    their colours. By Parseval's theorem the distance to the nearest of them is

        mean over k of (|X|² + |X̂|² - 2 |Σ_c X_c X̂_c*|) / (3·H·W)

    in the orthonormal transform, where |X|² sums over the three channels. The cost is that of a
    Fourier transform each way. It knows nothing of positions: it asks for the periods of a texture
    but not for its edges, which are the style loss's part.

    Args:
        image: RGB in [0, 1].
        target: the style picture at the size of the image, (N, 3, H, W).
    """
    own, wanted = (torch.fft.fft2(each, norm="ortho") for each in (image, target))
    energy = (_power(own) + _power(wanted)).sum(1)
    product = (own * wanted.conj()).sum(1)
    # the root is not differentiable at 0; rounding errors of the difference stay above it
    overlap = (_power(product) + torch.finfo(image.dtype).tiny).sqrt()
    return (energy - 2 * overlap).clamp(min=0).mean((1, 2)) / image.shape[1]


def _power(values: Tensor) -> Tensor:
    return values.real.square() + values.imag.square()
