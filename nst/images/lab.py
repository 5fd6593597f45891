"""CIELAB and sRGB as tensors: lightness, and the colours of a picture at another lightness.

CIE 15:2004 and IEC 61966-2-1, with the matrix of ITU-R BT.709 and the white that it has (D65).
L* depends on the luminance Y alone, and a grey sRGB pixel is Y, encoded.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

DELTA = 6 / 29
"""Where f(t), the cube root, becomes a straight line: at t = DELTA³, f = DELTA."""

BLACK, WHITE = 4 / 29, 1.0
"""f at L* = 0 and 100."""

LUMINANCE = (0.212671, 0.715160, 0.072169)
"""Shares of linear red, green and blue in Y."""

_XYZ = ((0.412453, 0.357580, 0.180423), LUMINANCE, (0.019334, 0.119193, 0.950227))

TOLERANCE = 1e-4
"""How far outside [0, 1] a linear channel may be, and is then clipped: a third of a grey level."""

BLOCK = 2**16
"""Pixels that are computed at a time."""

HALVINGS = 14
"""Of the intervals of L* when the edge of the gamut is searched: to 0.01 of 100."""


def linear(values: Tensor) -> Tensor:
    """Linear light of sRGB values, both in [0, 1]."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light: Tensor) -> Tensor:
    """sRGB values of linear light, both in [0, 1]."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def lightness(luminance: Tensor) -> Tensor:
    """L*, from 0 to 100, of luminance in [0, 1]."""
    return 116 * _f(luminance) - 16


def luminance(lightness: Tensor) -> Tensor:
    """Luminance in [0, 1] of L*, from 0 to 100."""
    return _light((lightness + 16) / 116)


def grey(image: Tensor) -> Tensor:
    """An image (3, H, W), RGB in [0, 1], without its colours: of the same L*, in three channels."""
    shares = torch.tensor(LUMINANCE, dtype=image.dtype, device=image.device)
    return encoded(torch.tensordot(shares, linear(image), 1)).expand_as(image).contiguous()


def _f(light: Tensor) -> Tensor:
    return torch.where(light > DELTA**3, light ** (1 / 3), light / (3 * DELTA**2) + BLACK)


def _light(f: Tensor) -> Tensor:
    """The inverse of f."""
    return torch.where(f > DELTA, f**3, 3 * DELTA**2 * (f - BLACK))


def row_blocks(height: int, width: int) -> Iterator[slice]:
    """Rows of a large picture, some at a time: all of its pixels at once would need much memory."""
    step = max(1, BLOCK // width)
    return (slice(top, top + step) for top in range(0, height, step))


class Colours:
    """The a* and b* of every pixel of a picture, to be shown at another lightness.

    Not every lightness is possible: a saturated blue is dark, and white has no colour. So each
    pixel has the range of L* in which these a* and b* are colours of sRGB. Outside of it, a pixel
    gets the nearest L* of the range: the chroma stays, and the lightness gives way.

    With f = f(Y) = (L* + 16)/116, f(X) = f + a*/500 and f(Z) = f - b*/200: the pixels are kept as
    these differences to f.

    Args:
        image: (3, H, W), RGB in [0, 1].

    Attributes:
        shape: (H, W).
    """

    def __init__(self, image: Tensor) -> None:
        matrix = torch.tensor(_XYZ, dtype=torch.float64)
        matrix = matrix / matrix.sum(1, keepdim=True)  # of white, X = Y = Z = 1
        self._to_rgb = torch.linalg.inv(matrix).to(image)
        matrix = matrix.to(image)
        self.shape = image.shape[1:]
        self._red, self._blue, self._low, self._high = image.new_empty(4, *self.shape)
        for rows in row_blocks(*self.shape):
            x, y, z = _f(torch.tensordot(matrix, linear(image[:, rows]), 1))
            red, blue = x - y, z - y
            self._red[rows], self._blue[rows] = red, blue
            self._low[rows] = self._edge(y, torch.full_like(y, BLACK), red, blue)
            self._high[rows] = self._edge(y, torch.full_like(y, WHITE), red, blue)

    def shown(self, image: Tensor) -> Tensor:
        """The picture in these colours with the lightness of another.

        Args:
            image: (3, H, W), grey, in [0, 1]; of channels that differ, the mean counts.

        Returns:
            (3, H, W), RGB in [0, 1].
        """
        found = torch.empty_like(image)
        for rows in row_blocks(*self.shape):
            f = _f(linear(image[:, rows].mean(0))).clamp(self._low[rows], self._high[rows])
            found[:, rows] = encoded(self._rgb(f, self._red[rows], self._blue[rows]))
        return found

    def _rgb(self, f: Tensor, red: Tensor, blue: Tensor) -> Tensor:
        """Linear RGB (3, H, W); beyond [0, 1] outside the gamut."""
        xyz = torch.stack([_light(f + red), _light(f), _light(f + blue)])
        return torch.tensordot(self._to_rgb, xyz, 1)

    def _edge(self, inside: Tensor, outside: Tensor, red: Tensor, blue: Tensor) -> Tensor:
        """The last f within the gamut on the way from a colour in it to one outside."""
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            light = self._rgb(middle, red, blue)
            fine = ((light >= -TOLERANCE) & (light <= 1 + TOLERANCE)).all(0)
            inside, outside = torch.where(fine, middle, inside), torch.where(fine, outside, middle)
        return inside
