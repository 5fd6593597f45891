"""A style picture with the colours, or the lightness, of a content picture; both at full size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nst.images import lab
from nst.images.picture import Picture

ORIGINAL = "original_style"
"""Name of the style picture as it was, among the parts of one that was changed."""

LEAST_DEVIATION = 1.0
"""Standard deviation, in levels of 255, below which the colours of a picture do not vary.

It could be rounding, which would become large spots of colour.
"""


def matched(style: Picture, content: Picture) -> Picture:
    """The style with the mean and the covariance of the content's colours.

    Those of ``colour_map``, before values are clipped to the range of 8 bits and rounded.
    """
    matrix, offset = colour_map(style, content)
    pixels = np.asarray(style.image)
    found = np.empty_like(pixels)
    for rows in _rows(style):
        found[rows] = (pixels[rows] @ matrix.T + offset).clip(0, 255).round()
    return _changed(style, found)


def colour_map(style: Picture, content: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A (3, 3) and b (3,): RGB values x of the style become A x + b, in levels of 255.

    Gatys et al. 2017, "Controlling perceptual factors in neural style transfer", section 5.1, after
    Hertzmann et al. 2001: A = Σ_c^½ Σ_s^-½ and b = μ_c - A μ_s. Along an axis on which the colours
    of the style do not vary, as across the grey axis in a grey picture, A is 0.
    """
    style_mean, style_covariance = moments(style)
    mean, covariance = moments(content)
    matrix = _root(covariance) @ _inverse_root(style_covariance)
    return matrix, mean - matrix @ style_mean


def grey(picture: Picture) -> Picture:
    """The picture without its colours: each pixel has its L*, in three channels."""
    pixels = np.asarray(picture.image)
    found = np.empty_like(pixels)
    for rows in _rows(picture):
        found[rows] = _levels(_luminance(pixels[rows]))
    return replace(picture, image=Image.fromarray(found))


def grey_matched(style: Picture, content: Picture) -> Picture:
    """The style without its colours, with the mean and the standard deviation of the content's L*.

    Gatys et al. 2017, section 5.2, there in YIQ. L* is clipped to [0, 100]. A style of one
    lightness everywhere gets the mean of the content's.
    """
    style_mean, style_deviation = lightness_moments(style)
    mean, deviation = lightness_moments(content)
    factor = deviation / style_deviation if style_deviation > 0 else 0.0
    pixels = np.asarray(style.image)
    found = np.empty_like(pixels)
    for rows in _rows(style):
        own = lab.lightness(_luminance(pixels[rows]))
        changed = factor * (own - style_mean) + mean
        found[rows] = _levels(lab.luminance(changed.clamp(0, 100)))
    return _changed(style, found)


def moments(picture: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (3,) and covariance (3, 3) of the colours, in levels of 255."""
    pixels = np.asarray(picture.image)
    total, products, count = np.zeros(3), np.zeros((3, 3)), pixels.size / 3
    for rows in _rows(picture):
        values = pixels[rows].reshape(-1, 3).astype(np.float64)
        total += values.sum(0)
        products += values.T @ values
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


def lightness_moments(picture: Picture) -> tuple[float, float]:
    """Mean and standard deviation of L*."""
    pixels = np.asarray(picture.image)
    total = squares = 0.0
    for rows in _rows(picture):
        values = lab.lightness(_luminance(pixels[rows])).double()
        total += float(values.sum())
        squares += float(values.square().sum())
    mean = total / (pixels.size / 3)
    return mean, max(0.0, squares / (pixels.size / 3) - mean**2) ** 0.5


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    found: NDArray[np.float64] = (vectors * values.clip(0) ** 0.5) @ vectors.T
    return found


def _inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 along the axes without variance, where an inverse would be infinite."""
    values, vectors = np.linalg.eigh(covariance)
    deviations = values.clip(0) ** 0.5
    varies = deviations >= LEAST_DEVIATION
    inverse = np.divide(1, deviations, out=np.zeros_like(deviations), where=varies)
    found: NDArray[np.float64] = (vectors * inverse) @ vectors.T
    return found


def _luminance(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W), in [0, 1], of 8-bit RGB (H, W, 3)."""
    light = lab.linear(torch.arange(256, dtype=torch.float64) / 255).numpy()
    red, green, blue = np.moveaxis(pixels, -1, 0)
    shares = lab.LUMINANCE
    found = shares[0] * light[red] + shares[1] * light[green] + shares[2] * light[blue]
    return torch.from_numpy(found)


def _levels(luminance: Tensor) -> NDArray[np.uint8]:
    """(H, W, 1): the 8-bit grey values with this luminance."""
    found: NDArray[np.uint8] = lab.encoded(luminance).mul(255).round().byte().numpy()
    return found[..., None]


def _rows(picture: Picture) -> Iterator[slice]:
    width, height = picture.image.size
    return lab.row_blocks(height, width)


def _changed(style: Picture, pixels: NDArray[np.uint8]) -> Picture:
    """The style with other pixels; how it was is one of its parts."""
    parts = {**style.parts, ORIGINAL: style.image}
    return replace(style, image=Image.fromarray(pixels), parts=parts)
