"""Similarity of two pictures, without a network. Pictures are 8-bit RGB arrays (H, W, 3)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH = 7  # px
DIRECTIONS = 256
QUANTILES = 512
MAX_PATCHES = 16384
SMALLEST = 16  # px, shorter side of the coarsest level

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def psnr(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, dB; at most 99, for equal pictures."""
    error = float(np.square(image.astype(np.float64) - other).mean())
    return min(99.0, 10 * math.log10(255**2 / error)) if error else 99.0


def ssim(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Structural similarity in [-1, 1]: Wang et al. 2004."""
    from skimage.metrics import structural_similarity  # a second to import

    window = min(7, *image.shape[:2])
    value = structural_similarity(image, other, channel_axis=2, win_size=window - 1 + window % 2)
    return float(value)


def roughness(image: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """Standard deviation of the finest band over that of the original, which has the same size."""
    band, wanted = (_laplacian(picture, 1)[0].std() for picture in (image, original))
    return float(band / np.maximum(wanted, 1e-6))


def stroke_size(image: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """The size of what an image adds to the original, which has the same size, px.

    The bands of a Laplacian pyramid of their difference have details of 2, 4, 8 … px; the result is
    the mean of the logarithms of these sizes, weighted by the variance of each band. The low-pass,
    which has the change of colours, does not count.

    Returns:
        2 if only single pixels differ; more for larger strokes.
    """
    difference = image.astype(np.float32) - original
    count = max(1, math.floor(math.log2(min(image.shape[:2]) / SMALLEST)) + 1)
    weights = [float(band.var()) for band in _laplacian(difference, count)[:-1]]
    octaves = np.average(np.arange(1, count + 1), weights=np.maximum(weights, 1e-12))
    return float(2**octaves)


def patch_distance(
    image: NDArray[np.uint8],
    style: NDArray[np.uint8],
    inside: Mask | None = None,
    style_inside: Mask | None = None,
) -> float:
    """Sliced Wasserstein distance between the patches of two 8-bit RGB pictures (H, W, 3).

    Karras et al. 2018 (Progressive growing of GANs), section 5, applied to one picture each. The
    descriptors are the 7x7x3 patches of every level of a Laplacian pyramid, in standard deviations
    of the style's level, per channel. The result is the mean of the levels' distances. Sizes may
    differ, and must be at least 7 px. The directions are drawn from a fixed seed, so the same
    pictures always give the same number.

    Args:
        image: a result.
        style: what it should look like.
        inside: the pixels of the image (H, W) whose patches count; None: all.
        style_inside: the same for the style.

    Returns:
        0 for the same patches in any order.
    """
    smallest = min(*image.shape[:2], *style.shape[:2])
    count = max(0, math.floor(math.log2(smallest / SMALLEST)))  # the same for both pictures
    mask = None if style_inside is None else style_inside.tobytes()
    wanted = _style_patches(style.tobytes(), style.shape, mask, count)
    directions = _directions()
    distances = [
        float(np.abs(_quantiles(level / scale, directions, inside) - quantiles).mean())
        for level, (scale, quantiles) in zip(_laplacian(image, count), wanted, strict=True)
    ]
    return float(np.mean(distances))


@lru_cache(maxsize=4)  # the runs of a sweep have few styles
def _style_patches(
    data: bytes, shape: tuple[int, ...], masked: bytes | None, count: int
) -> list[tuple[Array, Array]]:
    """Each level's standard deviation, (3,), and the quantiles of its patches in that unit."""
    style = np.frombuffer(data, np.uint8).reshape(shape)
    mask = None if masked is None else np.frombuffer(masked, np.bool_).reshape(shape[:2])
    found = []
    for level in _laplacian(style, count):
        scale = _chosen(level, mask).std(axis=(0, 1)) + np.float32(1e-3)
        found.append((scale, _quantiles(level / scale, _directions(), mask)))
    return found


def _chosen(level: Array, mask: Mask | None) -> Array:
    """The pixels of a level that are in the part, (H, W, 3) or (K, 1, 3)."""
    if mask is None:
        return level
    return level[_at(mask, level.shape)][:, None]


def _at(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """A mask at the shape (H, W, …) of a level; nowhere empty."""
    height, width = shape[:2]
    whole = Image.fromarray(mask.astype(np.float32))
    values = np.asarray(whole.resize((width, height), Image.Resampling.BOX))
    return np.asarray(values >= min(0.5, values.max()))


def _directions() -> Array:
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((PATCH * PATCH * 3, DIRECTIONS)).astype(np.float32)
    return directions / np.linalg.norm(directions, axis=0)


def _laplacian(picture: NDArray[np.uint8] | Array, count: int) -> list[Array]:
    """``count`` band-pass levels in [-1, 1], finest first, and the low-pass; (H, W, 3) each."""
    level = (picture / np.float32(255)).astype(np.float32)
    levels = []
    for _ in range(count):
        smaller = _resized(level, level.shape[0] // 2, level.shape[1] // 2)
        levels.append(level - _resized(smaller, *level.shape[:2]))
        level = smaller
    return [*levels, level]


def _resized(level: Array, height: int, width: int) -> Array:
    """Resizes channel by channel, bicubic, with antialiasing where it shrinks."""
    channels = [
        Image.fromarray(level[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
        for channel in range(level.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _quantiles(level: Array, directions: Array, mask: Mask | None = None) -> Array:
    """Quantiles of the projected patches at evenly spaced ranks: (QUANTILES, DIRECTIONS)."""
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(0, 1))
    rows, columns = windows.shape[:2]
    chosen = np.arange(rows * columns)
    if mask is not None:
        half = PATCH // 2
        centres = _at(mask, level.shape)[half : half + rows, half : half + columns]
        chosen = chosen[centres.ravel()] if centres.any() else chosen
    if len(chosen) > MAX_PATCHES:
        rng = np.random.default_rng(0)  # always the same patches of a picture
        chosen = rng.choice(len(chosen), MAX_PATCHES, replace=False)
    # copy only these: all patches of a large picture are gigabytes
    patches = windows[chosen // columns, chosen % columns].reshape(-1, 3 * PATCH * PATCH)
    # each direction is a contiguous row, which NumPy sorts three times as fast as a column
    projected = np.sort(directions.T @ patches.T, axis=1).T
    # linear interpolation at the middle of each of QUANTILES equal shares
    ranks = (np.arange(QUANTILES) + 0.5) / QUANTILES * len(projected) - 0.5
    ranks = np.clip(ranks, 0, len(projected) - 1)
    low = np.floor(ranks).astype(int)
    high = np.minimum(low + 1, len(projected) - 1)
    share = (ranks - low).astype(np.float32)[:, None]
    return projected[low] * (1 - share) + projected[high] * share
