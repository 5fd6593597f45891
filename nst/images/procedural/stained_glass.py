"""``stained_glass``: a leaded window."""

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from nst.images.procedural.drawing import (
    SIZE,
    Array,
    finish,
    grid,
    mix,
    noise,
    palette,
    ramp,
    relief,
    smoothstep,
)

GLASS_SKY = palette("0a165c 123aa0 2274c4 6046aa 78bedc")
GLASS_SUN = palette("960a1a d6221e f06818 fcb828 ffe278")
GLASS_LAND = palette("084636 0e764a 5e9c2e 146e78 beb432")


def _edge_distance(label: Array) -> Array:
    """Return the distance (pixels) of each cell of the canvas to the nearest change of label."""
    edge = np.zeros(label.shape, dtype=bool)
    edge[:, 1:] |= label[:, 1:] != label[:, :-1]
    edge[1:] |= label[1:] != label[:-1]
    return ndimage.distance_transform_edt(~edge).astype(np.float32) * (SIZE / label.shape[0])


def draw() -> Image.Image:
    """Draw a leaded window: a sun with rays over hills, in irregular panes of streaked glass."""
    rng = np.random.default_rng(1220)
    side = SIZE * 3 // 2
    x, y = grid(side)
    bend = 3.0 * noise(rng, side, 60, 60)
    lattice = np.stack(np.meshgrid(np.arange(-1, 20), np.arange(-1, 20)), axis=-1).reshape(-1, 2)
    seeds = cKDTree((lattice + rng.uniform(0, 1, lattice.shape)) * (SIZE / 18.5))
    _, cell = seeds.query(np.stack([x + bend, y - bend], axis=-1))

    # The design cuts the panes: a sun in three rings (0 to 2), rays (10 up), hills (101, 102).
    r = np.hypot(x - 300, y - 200)
    ring = np.digitize(r, [34, 66, 100])
    sector = np.floor((np.arctan2(y - 200, x - 300) / np.pi + 1) * 8 + 0.5 * np.sin(r / 60)) % 16
    land = (y > 372 + 30 * np.sin(x / 88 + 2)).astype(int) + (y > 430 + 26 * np.sin(x / 62))
    design = np.where(land > 0, 100 + land, np.where(ring < 3, ring, 10 + sector)).astype(int)
    _, pane, area = np.unique(cell * 200 + design, return_inverse=True, return_counts=True)
    pane = pane.reshape(side, side)
    # No glazier cuts slivers: a pane too small to lead is joined to its nearest neighbour.
    sliver = (area < 260)[pane]
    _, (rows, cols) = ndimage.distance_transform_edt(sliver, return_indices=True)
    pane, design = pane[rows, cols], design[rows, cols]

    tone = rng.uniform(0, 1, area.size).astype(np.float32)[pane]
    core = ramp(GLASS_SUN, 1.0 - 0.3 * design + 0.3 * (tone - 0.5))
    ray = ramp(GLASS_SUN, 0.1 + 0.75 * tone)
    sky = np.where((design % 2 == 0)[..., None], ray, ramp(GLASS_SKY, tone))
    ground = ramp(GLASS_LAND, tone)
    part = np.digitize(design, [3, 100])[..., None]
    rgb = np.where(part == 0, core, np.where(part == 1, sky, ground))

    # Each pane has a streak direction of its own, a gradient across it, and a glow in the middle.
    turn = rng.uniform(0, np.pi, area.size).astype(np.float32)[pane]
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    grain = np.pad(noise(rng, SIZE, 40, 3.5), (0, SIZE), mode="symmetric")
    streak = grain[u.astype(int) % (2 * SIZE), v.astype(int) % (2 * SIZE)]
    distance = _edge_distance(pane)
    glow = 0.62 + 0.5 * smoothstep(0, 16, distance) + 0.13 * streak + 0.12 * np.sin(u / 15)
    rgb = rgb * glow[..., None] + 16 * np.clip(streak, 0, 3)[..., None]

    gap = np.minimum(distance, 0.62 * _edge_distance(design))  # wider lead along the design
    lead = 1.5 + 0.35 * noise(rng, side, 36, 36)
    bar = np.clip(1 - gap / np.maximum(lead, 0.5), 0, 1)
    metal = 20 + 26 * bar[..., None] + relief(bar, 60) * np.array([1.0, 1.0, 1.15])
    return finish(mix(metal, rgb, smoothstep(-0.7, 0.7, gap - lead)))
