"""``mosaic``: two fish, in small tiles."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from nst.images.procedural.drawing import (
    SIZE,
    Array,
    cell,
    finish,
    grid,
    mix,
    noise,
    palette,
    ramp,
    relief,
    smoothstep,
)

WATER = palette("0a2a4e 12587a 288c96 78beb4 e2e2c8")
FISH = palette("781816 c4361a e87622 f6b848 fae8be")
DARK = palette("080e10")[0]


def _fish(start: float) -> Array:
    """Return the outline of a fish bent round the middle; start is its nose angle in radians."""
    s = np.linspace(0, 1, 120)
    body = 46 * np.sin(np.pi * np.clip(s / 0.82, 0, 1) ** 0.62) ** 0.85
    half = np.maximum(body, 6) + 44 * np.clip((s - 0.76) / 0.24, 0, 1) ** 1.2  # with its tail
    ray = np.stack([np.cos(start + 2.3 * s), np.sin(start + 2.3 * s)], axis=-1)
    return np.concatenate([(150 + half)[:, None] * ray, ((150 - half)[:, None] * ray)[::-1]]) + 256


def _rows(rng: np.random.Generator, signed: Array, tile: float) -> tuple[Array, Array]:
    """Return tile centres and angles (radians) in rows along the level lines of a distance."""
    found = []
    for level in np.arange(signed.min() + 3, signed.max(), tile):
        for line in find_contours(signed, level):
            arc = np.append(0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
            stops = np.arange(rng.uniform(0, tile), arc[-1], tile * 1.04)
            track = np.hstack([line, ndimage.uniform_filter1d(np.gradient(line, axis=0), 5, 0)])
            y, x, dy, dx = (np.interp(stops, arc, column) for column in track.T)
            found.append(np.stack([x, y, np.arctan2(dy, dx)]))
    x, y, turn = np.concatenate(found, axis=1)
    # Where rows meet they leave holes, which take odd pieces.
    free = np.ones(signed.shape, dtype=bool)
    free[cell(np.stack([x, y], axis=-1))] = False
    room = ndimage.distance_transform_edt(free)
    row, col = np.nonzero((room > 0.72 * tile) & (room == ndimage.maximum_filter(room, 7)))
    centre = np.concatenate([np.stack([x, y], axis=-1), np.stack([col, row], axis=-1)])
    turn = np.concatenate([turn, rng.uniform(0, np.pi, row.size)])
    return centre, turn + rng.normal(0, 0.07, turn.size)


def draw() -> Image.Image:
    """Draw two fish circling in a whirl of water, in small tiles laid along curved rows."""
    rng = np.random.default_rng(526)
    mask = Image.new("L", (SIZE, SIZE))
    for start in (-2.6, 0.54):
        ImageDraw.Draw(mask).polygon([float(v) for v in _fish(start).ravel()], fill=255)
    fish = np.asarray(mask) > 0
    signed = ndimage.distance_transform_edt(~fish) - ndimage.distance_transform_edt(fish)
    signed = ndimage.gaussian_filter(signed, 1.5)
    tile = 8.0
    centre, turn = _rows(rng, signed, tile)
    count = len(centre)

    level = signed[cell(centre)]
    whirl = np.arctan2(centre[:, 1] - 256, centre[:, 0] - 256)
    water = 0.40 + 0.28 * np.sin(level / 9 + 2 * whirl) + rng.normal(0, 0.12, count)
    scale = 0.55 - level / 80 + 0.2 * np.sin(whirl * 16) + rng.normal(0, 0.1, count)
    scale = np.where(level > -7, 0.05, scale)  # a dark outline
    colour = np.where((level < 0)[:, None], ramp(FISH, scale), ramp(WATER, water))
    foam = (level > 0) & (level < 8)
    gold = (np.abs(level - 44) < 4) & (rng.random(count) < 0.8)
    colour = np.where(foam[:, None], WATER[4], np.where(gold[:, None], FISH[3], colour))
    for start in (-2.6, 0.54):
        eye = 256 + 163 * np.array([np.cos(start + 0.34), np.sin(start + 0.34)])
        away = np.hypot(*(centre - eye).T)[:, None]
        colour = np.where(away < 5, DARK, np.where(away < 13, WATER[4], colour))
    colour = colour * rng.uniform(0.85, 1.12, (count, 1)) + rng.normal(0, 6, colour.shape)

    side = SIZE * 3 // 2
    x, y = grid(side)
    distance, owner = cKDTree(centre).query(np.stack([x, y], axis=-1), k=2)
    own = owner[..., 0]
    dx, dy = x - centre[own, 0], y - centre[own, 1]
    cos, sin = np.cos(turn)[own], np.sin(turn)[own]
    square = np.maximum(np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin))
    half = 0.5 * tile * rng.uniform(0.86, 1.0, count)[own]
    # A tile is a square, cut where it would meet its neighbour; depth is measured from its edge.
    depth = np.minimum(half - square, 0.5 * (distance[..., 1] - distance[..., 0]) - 0.35)
    tilt = rng.normal(0, 3.0, (count, 2))[own]
    shade = tilt[..., 0] * dx + tilt[..., 1] * dy + 6 * noise(rng, side, 2, 2)
    rgb = colour[own] + shade[..., None] + relief(np.clip(depth, 0, 1.4), 22)
    grout = np.array([58, 50, 46]) + 8 * noise(rng, side, 3, 3)[..., None]
    return finish(mix(grout, rgb, smoothstep(-0.3, 0.5, depth)))
