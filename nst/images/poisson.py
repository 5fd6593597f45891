"""Poisson image blending (Pérez, Gangnet & Blake 2003): a source's gradients inside a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nst.images.colour import on_white
from nst.images.decode import MAX_PIXELS

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Pixels = NDArray[np.float64]
Mask = NDArray[np.bool_]

INSIDE = 128  # grey value from which on a mask's pixel is inside
MARGIN = 0.04  # black margin of drawn masks, as a fraction of the side


@dataclass(frozen=True)
class Blend:
    """A blend and what it was made of, all 8-bit RGB.

    Attributes:
        source: at the size at which it was pasted.
        mask: white where the target was replaced; like the next three, of the target's size.
        target: at the size at which the equation was solved.
        paste: a plain copy of the source through the mask.
        result: the blend.
    """

    source: Image.Image
    mask: Image.Image
    target: Image.Image
    paste: Image.Image
    result: Image.Image


def poisson(
    source: Image.Image,
    target: Image.Image,
    mask: Image.Image,
    position: tuple[float, float],
    scale: float | None = None,
    mixed: bool = False,
    shorter: int | None = None,
) -> Blend:
    """Places a source in a target and blends it; arguments and errors are those of both functions.

    If the target's shorter side is above ``shorter`` px, target and source are first reduced so
    that it is ``shorter``.
    """
    scale = source.width / target.width if scale is None else scale
    if shorter is not None and shorter < min(target.size):
        width, height = (round(side * shorter / min(target.size)) for side in target.size)
        target = target.resize((width, height), Image.Resampling.LANCZOS)
    below = _to_pixels(target)
    above, region = place(source, mask, target, position, scale)
    return Blend(
        source=on_white(_resized(source, target, scale)),
        mask=Image.fromarray(region).convert("RGB"),
        target=target.convert("RGB"),
        paste=_to_image(naive_paste(above, below, region)),
        result=_to_image(blend(above, below, region, mixed)),
    )


def blend(source: Pixels, target: Pixels, mask: Mask, mixed: bool = False) -> Pixels:
    """Solves the discrete Poisson equation inside the mask, for each channel (eq. 7).

    For each p in the mask, with N_p its (at most 4) neighbours in the picture:
    ``|N_p| f_p - sum(f_q, q in mask) = sum(target_q, q not in mask) + sum(v_pq)``.

    Args:
        source: (H, W, 3) in [0, 1]; only the mask and 1 px around it have an influence.
        target: (H, W, 3) in [0, 1].
        mask: (H, W).
        mixed: v_pq is the larger difference of both pictures (eq. 13), else the source's (eq. 11).

    Returns:
        (H, W, 3) in [0, 1]: f in the mask, clipped; elsewhere the unchanged target.

    Raises:
        ValueError: if the shapes differ, or the mask is empty or covers the whole target.
    """
    from scipy.sparse.linalg import splu  # slow to import

    if not source.shape == target.shape == (*mask.shape, 3):
        shapes = f"{source.shape}, {target.shape} and {mask.shape}"
        raise ValueError(f"the shapes of source, target and mask do not agree: {shapes}")
    if not mask.any():
        raise ValueError("the mask is empty")
    if mask.all():
        raise ValueError("the mask covers the whole target, which leaves no edge to blend with")
    matrix, right = _equations(source, target, mask, mixed)
    # No pivoting: the matrix is positive definite, since the target bounds the mask. Discs of 10 k,
    # 60 k, 250 k and 1 M pixels take 0.06, 0.4, 2.8 and 17 s (1.6 GB) on one busy core, exact to
    # rounding. 1 M with spsolve: 34 s (2.7 GB); pyamg: 7 s; cg: 106 s, with an error of 1e-4.
    symmetric = {"SymmetricMode": True}
    factors = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
    result = target.copy()
    result[mask] = factors.solve(right).clip(0, 1)
    return result


def _equations(
    source: Pixels, target: Pixels, mask: Mask, mixed: bool
) -> tuple[csc_array, NDArray[np.float64]]:
    """The matrix (n, n) of the unknown pixels, row by row, and the right-hand sides (n, 3)."""
    from scipy.sparse import coo_array, eye_array  # slow to import

    (height, width), (y, x) = mask.shape, np.nonzero(mask)
    unknown = np.zeros(mask.shape, dtype=np.int32)
    unknown[mask] = np.arange(len(y))
    right = np.zeros((len(y), 3))
    matrix = 4 * eye_array(len(y), format="csc")
    for down, along in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        # At the picture's edge a pixel is its own neighbour, and drops out of the equation.
        near = (y + down).clip(0, height - 1), (x + along).clip(0, width - 1)
        guide = source[mask] - source[near]
        if mixed:
            own = target[mask] - target[near]
            guide = np.where(np.abs(own) > np.abs(guide), own, guide)
        inside = mask[near]
        right += guide + np.where(inside[:, None], 0, target[near])
        pair = np.flatnonzero(inside), unknown[near][inside]
        matrix -= coo_array((np.ones(len(pair[0])), pair), shape=matrix.shape).tocsc()
    return matrix, right


def naive_paste(source: Pixels, target: Pixels, mask: Mask) -> Pixels:
    """The source in the mask, the target elsewhere; both (H, W, 3)."""
    return np.where(mask[..., None], source, target)


def place(
    source: Image.Image,
    mask: Image.Image,
    target: Image.Image,
    position: tuple[float, float],
    scale: float | None = None,
) -> tuple[Pixels, Mask]:
    """Resizes a source and its mask, and moves them to their position in a target.

    Args:
        source: any mode; resampled with a Lanczos filter. Transparent parts are not pasted.
        mask: white (128 or brighter) where the source is pasted; of the source's aspect ratio.
        target: its size (W, H) is that of the result.
        position: (x, y) of the source's centre, as fractions of the target's width and height.
        scale: the source's width as a fraction of the target's width; None: no resizing.

    Returns:
        The source, (H, W, 3) in [0, 1], 0 outside of it, and the mask, (H, W).

    Raises:
        ValueError: if the mask has another aspect ratio, or lies outside the target.
    """
    pixel = max(*source.size, *mask.size)  # sizes may have been rounded
    if abs(mask.width * source.height - mask.height * source.width) > pixel:
        shapes = f"{mask.width}x{mask.height} px, the source {source.width}x{source.height} px"
        raise ValueError(f"the mask must have the aspect ratio of the source: it has {shapes}")
    patch = _resized(source, target, scale)
    inside = np.asarray(mask.convert("L").resize(patch.size, Image.Resampling.BILINEAR)) >= INSIDE
    if patch.mode == "RGBA":
        inside = inside & _surrounded(np.asarray(patch.getchannel("A")) >= INSIDE)
    left = round(position[0] * target.width - patch.width / 2)
    top = round(position[1] * target.height - patch.height / 2)
    # Where the source ends inside the target, its outermost pixels lack a gradient.
    inside[0] &= top <= 0
    inside[-1] &= top + patch.height >= target.height
    inside[:, 0] &= left <= 0
    inside[:, -1] &= left + patch.width >= target.width
    frame = (-left, -top, target.width - left, target.height - top)
    region = np.asarray(Image.fromarray(inside).crop(frame))
    if not region.any():
        opaque = ", where the source is opaque," if patch.mode == "RGBA" else ""
        raise ValueError(
            f"nothing of the mask ({INSIDE} or brighter){opaque} lies inside the target"
        )
    return _to_pixels(patch.crop(frame)), region


def ellipse(size: tuple[int, int]) -> Image.Image:
    """A mask, mode L: a white ellipse that nearly fills ``size`` = (width, height)."""
    return _drawn(size, ImageDraw.ImageDraw.ellipse)


def rectangle(size: tuple[int, int]) -> Image.Image:
    """A mask, mode L: a white rectangle that nearly fills ``size`` = (width, height)."""
    return _drawn(size, ImageDraw.ImageDraw.rectangle)


def _drawn(size: tuple[int, int], draw: Callable[..., None]) -> Image.Image:
    image = Image.new("L", size)
    x, y = (round(side * MARGIN) for side in size)
    draw(ImageDraw.Draw(image), (x, y, size[0] - 1 - x, size[1] - 1 - y), fill=255)
    return image


def _resized(source: Image.Image, target: Image.Image, scale: float | None) -> Image.Image:
    width = source.width if scale is None else max(1, round(scale * target.width))
    height = max(1, round(source.height * width / source.width))
    if width * height > MAX_PIXELS:
        raise ValueError(f"content.scale makes the source {width}x{height} px, too large to hold")
    size, filter_ = (width, height), Image.Resampling.LANCZOS
    if not source.has_transparency_data:
        return source.convert("RGB").resize(size, filter_)
    # Pillow clips the filter's overshoot before it divides by alpha: up to 11 levels at an edge
    stored = np.asarray(source.convert("RGBA"), dtype=np.float32)
    stored = np.dstack([stored[..., :3] * stored[..., 3:] / 255, stored[..., 3]])
    resized = [Image.fromarray(band).resize(size, filter_) for band in np.moveaxis(stored, 2, 0)]
    alpha = np.asarray(resized[3])
    colours = [np.asarray(band) / np.maximum(alpha, 1) * 255 for band in resized[:3]]
    return Image.fromarray(np.dstack([*colours, alpha]).round().clip(0, 255).astype(np.uint8))


def _surrounded(opaque: Mask) -> Mask:
    """Opaque pixels with opaque neighbours only: a cut-out has no gradient at its edge."""
    wide = np.pad(opaque, 1, mode="edge")
    return opaque & wide[2:, 1:-1] & wide[:-2, 1:-1] & wide[1:-1, 2:] & wide[1:-1, :-2]


def _to_pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def _to_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
