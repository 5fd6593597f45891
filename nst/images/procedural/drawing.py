"""Tools for drawing the built-in pictures.

Coordinates are pixels of the final picture, x to the right and y down. Each picture is drawn on
a larger canvas and reduced, which smooths the edges. Colours run from 0 to 255.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 512

Array = NDArray[Any]


def palette(codes: str) -> Array:
    """Return the colours (n x 3) written as hexadecimal codes with spaces between."""
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], dtype=np.float32)


def grid(side: int) -> tuple[Array, Array]:
    """Return x and y of each cell of a side x side canvas."""
    axis = ((np.arange(side) + 0.5) * (SIZE / side)).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def noise(rng: np.random.Generator, side: int, scale_x: float, scale_y: float) -> Array:
    """Return smooth noise, mean 0 and deviation 1, with blobs scale_x by scale_y pixels wide."""
    shape = (int(SIZE / scale_y) + 2, int(SIZE / scale_x) + 2)
    coarse = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
    field = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return (field - field.mean()) / field.std()


def ramp(colours: Array, t: Array) -> Array:
    """Return the colours of a palette interpolated at t, where 0 is the first and 1 the last."""
    stops = np.linspace(0.0, 1.0, len(colours))
    channels = [np.interp(t, stops, colours[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, t: Array) -> Array:
    """Return 0 below low, 1 above high, and a smooth rise between them."""
    u = np.clip((t - low) / (high - low), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Return colours a moved towards colours b by a weight per pixel."""
    return a + (b - a) * weight[..., None]


def relief(height: Array, strength: float) -> Array:
    """Return the brightness change of a surface of this height lit from the upper left."""
    slope_y, slope_x = np.gradient(height)
    return np.clip((slope_x + slope_y) * strength, -45.0, 45.0)[..., None]


def finish(rgb: Array) -> Image.Image:
    """Return the canvas as a picture reduced to SIZE."""
    canvas = Image.fromarray(np.clip(rgb + 0.5, 0, 255).astype(np.uint8))
    return canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def cell(point: Array) -> tuple[Array, Array]:
    """Return the row and column of the 512 px grid nearest to each point."""
    inside = np.clip(point, 0, SIZE - 1).astype(np.intp)
    return inside[..., 1], inside[..., 0]
