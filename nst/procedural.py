"""Built-in style pictures, drawn by code.

Each picture is a 512 x 512 RGB image made from fixed random seeds, so the same name gives the
same bytes in every process. They stand in for paintings as style references: texture at several
scales (2 to 40 px), a marked direction of stroke, a limited palette, and no large flat area.

Coordinates are pixels of the final picture, x to the right and y down. Each picture is drawn on
a larger canvas and reduced, which smooths the edges. Colours run from 0 to 255.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import find_contours

SIZE = 512

Array = NDArray[Any]


def _palette(codes: str) -> Array:
    """Return the colours (n x 3) written as hexadecimal codes with spaces between."""
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], dtype=np.float32)


SKY = _palette("091034 122668 1e4298 3a6ab8 709ecd b2ccd2 e8e4ba")
HALO = _palette("f09618 fac42c fce478 f0ecb0 bed0b0 7aa8c4 3060b0")
HILL = _palette("0a1430 182e60 285480 467878 96a05c")
FIELD = _palette("0e1e22 22423a 546834 a88e30 e2ba4a")
TREE = _palette("080e10 10201a 223620 464222 7a5228")
GLASS_SKY = _palette("0a165c 123aa0 2274c4 6046aa 78bedc")
GLASS_SUN = _palette("960a1a d6221e f06818 fcb828 ffe278")
GLASS_LAND = _palette("084636 0e764a 5e9c2e 146e78 beb432")
INK = _palette("f0e6cc b0ccca 183e70 2c6292 0d1c3e 6ca4b6 183e70 0d1c3e 2c6292 6ca4b6 0d1c3e")
PAPER = _palette("a9c0c0 d9cfb2 f0e6cc")
WATER = _palette("0a2a4e 12587a 288c96 78beb4 e2e2c8")
FISH = _palette("781816 c4361a e87622 f6b848 fae8be")


def _grid(side: int) -> tuple[Array, Array]:
    """Return x and y of each cell of a side x side canvas."""
    axis = ((np.arange(side) + 0.5) * (SIZE / side)).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _noise(rng: np.random.Generator, side: int, scale_x: float, scale_y: float) -> Array:
    """Return smooth noise, mean 0 and deviation 1, with blobs scale_x by scale_y pixels wide."""
    shape = (int(SIZE / scale_y) + 2, int(SIZE / scale_x) + 2)
    coarse = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
    field = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return (field - field.mean()) / field.std()


def _ramp(palette: Array, t: Array) -> Array:
    """Return the palette colours interpolated at t, where 0 is the first and 1 the last."""
    stops = np.linspace(0.0, 1.0, len(palette))
    channels = [np.interp(t, stops, palette[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _smoothstep(low: float, high: float, t: Array) -> Array:
    """Return 0 below low, 1 above high, and a smooth rise between them."""
    u = np.clip((t - low) / (high - low), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _mix(a: Array, b: Array, weight: Array) -> Array:
    """Return colours a moved towards colours b by a weight per pixel."""
    return a + (b - a) * weight[..., None]


def _relief(height: Array, strength: float) -> Array:
    """Return the brightness change of a surface of this height lit from the upper left."""
    slope_y, slope_x = np.gradient(height)
    return np.clip((slope_x + slope_y) * strength, -45.0, 45.0)[..., None]


def _finish(rgb: Array) -> Image.Image:
    """Return the canvas as a picture reduced to SIZE."""
    canvas = Image.fromarray(np.clip(rgb + 0.5, 0, 255).astype(np.uint8))
    return canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


# Brushstrokes: x, y, radius and turn of each vortex; x, y and radius of each light.
VORTICES = ((215, 225, 96, 1), (345, 290, 58, -1), (80, 318, 50, 1))
LARGE_LIGHTS = ((104, 92, 78), (232, 52, 34), (322, 104, 42), (470, 60, 46), (30, 218, 30))
SMALL_LIGHTS = ((396, 36, 22), (478, 196, 32), (24, 24, 22), (296, 196, 20), (168, 330, 22))
LIGHTS = LARGE_LIGHTS + SMALL_LIGHTS


def _smear(field: Array, angle: Array, reach: int) -> Array:
    """Return the field averaged along the flow, reach pixels each way, so that it forms bands."""
    stride = 5
    step_x, step_y = stride * np.cos(angle).ravel(), stride * np.sin(angle).ravel()
    flat, total = field.ravel(), field.ravel().copy()
    for sign in (-1, 1):
        x, y = (axis.ravel() for axis in _grid(SIZE))
        for _ in range(reach // stride):
            near = np.clip(y, 0, SIZE - 1).astype(np.int32) * SIZE
            near += np.clip(x, 0, SIZE - 1).astype(np.int32)
            x, y = x + sign * step_x[near], y + sign * step_y[near]
            total += flat[near]
    return (total / total.std()).reshape(field.shape)


def _night(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the flow angle (radians) and the underpainting of a sky of vortices and lights."""
    x, y = _grid(SIZE)
    u = np.ones_like(x)
    v = 0.45 * np.cos(x / 62 + 0.6) + 0.15 * _noise(rng, SIZE, 90, 90)
    arms = np.zeros_like(x)
    for cx, cy, radius, turn in VORTICES:
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-3
        weight = np.exp(-((r / radius) ** 3))
        # A part of the motion points inwards: the strokes wind into a spiral, not into rings.
        u += weight * (3.0 * (-turn * dy - 0.3 * dx) / r - u)
        v += weight * (3.0 * (turn * dx - 0.3 * dy) / r - v)
        phase = np.arctan2(dy, dx) * 2 - turn * 5.0 * np.log(r / radius)
        arms += weight * np.sin(phase)
    for cx, cy, radius in LIGHTS:
        dx, dy = x - cx, y - cy
        weight = np.exp(-(((dx * dx + dy * dy) / radius**2) ** 3))
        u += weight * (-dy / radius * 6 - u)
        v += weight * (dx / radius * 6 - v)
    angle = np.arctan2(v, u)
    bands = _smear(_noise(rng, SIZE, 11, 11), angle, 60)
    river = np.exp(-(((y - 250 - 46 * np.sin(x / 70 - 0.9)) / 44) ** 2))
    t = 0.30 + 0.13 * bands + 0.17 * arms + 0.22 * river + 0.10 * _smoothstep(330, 410, y)
    rgb = _ramp(SKY, t)
    for cx, cy, radius in LIGHTS:
        r = np.hypot(x - cx, y - cy) / radius
        # Rings of sky blue between rings of light, more of them as the glow fades.
        rings = r + 0.30 * np.sin(r * 21 + cx) * r + 0.07 * bands
        rgb = _mix(rgb, _ramp(HALO, rings), 1 - _smoothstep(0.75, 1.15, r))
    return angle, rgb


def _land(rng: np.random.Generator, angle: Array, rgb: Array) -> tuple[Array, Array]:
    """Return the flow angle and the underpainting with a hill, a field and a cypress added."""
    x, y = _grid(SIZE)
    rough = _noise(rng, SIZE, 24, 9)
    for palette, top, swing, period in ((HILL, 404, 20, 58), (FIELD, 456, 14, 74)):
        ridge = top + swing * (np.sin(x / period + top) + 0.5 * np.sin(x / 23 + top))
        depth = y - ridge
        slope = np.arctan(np.gradient(ridge, axis=1))
        ripple = 0.35 * np.sin(depth / 17 + x / 50) * np.clip(depth / 25, 0, 1)
        angle = np.where(depth > 0, slope + ripple, angle)
        t = 0.42 + 0.26 * np.sin(depth / 5.5 + 0.6 * rough) + 0.14 * rough
        t = np.where(depth < 5, 0.05, t)  # a dark contour along the ridge
        rgb = _mix(rgb, _ramp(palette, t), _smoothstep(-1, 1, depth))
    reach = np.clip((y - 96) / 416, 0, 1)
    offset = x - 428 - reach * (9 * np.sin(y / 34) + 5 * np.sin(y / 13))
    half_width = 46 * reach**0.8 * (1 + 0.16 * np.sin(y / 11 + np.sign(offset)))
    tree = _smoothstep(-2, 2, half_width - np.abs(offset)) * (reach > 0)
    sway = np.pi / 2 + 0.35 * np.sin(y / 19 + offset / 9) - offset / 120
    t = 0.36 + 0.3 * np.sin(offset / 3.4 + 2 * np.sin(y / 24)) + 0.1 * rough
    return np.where(tree > 0.5, sway, angle), _mix(rgb, _ramp(TREE, t), tree)


def _cell(point: Array) -> tuple[Array, Array]:
    """Return the row and column of the 512 px grid nearest to each point."""
    inside = np.clip(point, 0, SIZE - 1).astype(np.intp)
    return inside[..., 1], inside[..., 0]


def _trace(rng: np.random.Generator, start: Array, angle: Array, length: float) -> Array:
    """Return stroke spines (strokes x 9 nodes x 2): from start along the flow, both ways."""
    step = length / 8 * rng.uniform(0.6, 1.15, (len(start), 1))
    wobble = rng.normal(0, 0.10, len(start))
    spine = np.repeat(start[:, None].astype(np.float32), 9, axis=1)
    for side in (-1, 1):
        for node in range(4, 4 + 4 * side, side):
            heading = angle[_cell(spine[:, node])] + wobble
            move = side * step * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
            spine[:, node + side] = spine[:, node] + move
    return spine


def _lay_strokes(
    rng: np.random.Generator, canvas: Array, angle: Array, under: Array, layer: tuple[int, int, int]
) -> None:
    """Paint one layer of oil strokes on the canvas (colour, then paint height), in place.

    A layer is (number of strokes, length, width), in pixels. Each stroke follows the flow, takes
    its colour from the underpainting, and has its own bristles.
    """
    count, length, width = layer
    side = canvas.shape[0]
    zoom = side / SIZE
    start = rng.uniform(-8, SIZE + 8, (count, 2))
    spine = _trace(rng, start, angle, length)

    # Sample each stroke on a lattice, s along and t across it, closer than the canvas pixels.
    s = np.linspace(0, 1, int(length * zoom * 1.2), dtype=np.float32)
    t = np.linspace(-1, 1, int(width * zoom * 1.3) + 1, dtype=np.float32)
    blend = np.maximum(1 - np.abs(s[:, None] * 8 - np.arange(9, dtype=np.float32)), 0)
    middle, tangent = blend @ spine, blend @ np.gradient(spine, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-6
    pressure = np.sin(np.pi * (0.12 + 0.8 * s)) ** 0.6
    half = 0.5 * width * rng.uniform(0.7, 1.2, (count, 1)).astype(np.float32) * pressure
    reach = half[..., None] * t
    px = ((middle[..., 0, None] - tangent[..., 1, None] * reach) * zoom).astype(np.int32)
    py = ((middle[..., 1, None] + tangent[..., 0, None] * reach) * zoom).astype(np.int32)

    # Bristles touch and lift at different places, which leaves ragged ends on each stroke.
    begin = rng.uniform(0.0, 0.10, (count, 1, t.size)).astype(np.float32)
    end = rng.uniform(0.72, 1.0, (count, 1, t.size)).astype(np.float32)
    drawn = (s[:, None] >= begin) & (s[:, None] <= end)
    drawn &= (px >= 0) & (px < side) & (py >= 0) & (py < side)
    sample = np.flatnonzero(drawn)
    owner = np.full(side * side, -1, dtype=np.int64)
    owner[py.ravel()[sample] * side + px.ravel()[sample]] = sample  # later strokes cover
    covered = np.flatnonzero(owner >= 0)
    stroke, along, bristle = np.unravel_index(owner[covered], drawn.shape)

    # Broken colour: the brush was loaded a little to the side of where it paints.
    colour = under[_cell(start + rng.normal(0, 2.0, start.shape))]
    ochre = rng.random((count, 1)) < 0.018
    colour = np.where(ochre, _mix(colour, FIELD[4], np.full(count, 0.55)), colour)
    colour = colour * rng.uniform(0.84, 1.16, (count, 1)) + rng.normal(0, 7, (count, 3))
    streak = rng.normal(0, 1, (count, t.size)).astype(np.float32)
    light = 10 * streak[stroke, bristle] - 14 * s[along] - 16 * (np.abs(t[bristle]) > 0.8) + 7
    ridge = 0.5 * t[bristle] ** 4 + 0.4 * streak[stroke, bristle] + 1.5 * (along < 3)
    canvas.reshape(-1, 4)[covered, :3] = colour[stroke] + light[:, None]
    canvas.reshape(-1, 4)[covered, 3] = ridge + rng.uniform(0, 1.5, count)[stroke]


def _brushstrokes() -> Image.Image:
    """Draw a night sky over a hill and a cypress, in oil strokes laid from coarse to fine."""
    rng = np.random.default_rng(1889)
    angle, under = _land(rng, *_night(rng))
    side = SIZE * 3 // 2
    rows = np.arange(side) * SIZE // side
    canvas = np.zeros((side, side, 4), dtype=np.float32)
    canvas[..., :3] = 0.85 * under[np.ix_(rows, rows)]  # shows where strokes leave gaps
    for layer in ((800, 62, 13), (2400, 36, 7), (4200, 22, 4)):
        _lay_strokes(rng, canvas, angle, under, layer)
    return _finish(canvas[..., :3] + _relief(ndimage.gaussian_filter(canvas[..., 3], 0.7), 16))


def _edge_distance(label: Array) -> Array:
    """Return the distance (pixels) of each cell of the canvas to the nearest change of label."""
    edge = np.zeros(label.shape, dtype=bool)
    edge[:, 1:] |= label[:, 1:] != label[:, :-1]
    edge[1:] |= label[1:] != label[:-1]
    return ndimage.distance_transform_edt(~edge).astype(np.float32) * (SIZE / label.shape[0])


def _stained_glass() -> Image.Image:
    """Draw a leaded window: a sun with rays over hills, in irregular panes of streaked glass."""
    rng = np.random.default_rng(1220)
    side = SIZE * 3 // 2
    x, y = _grid(side)
    bend = 3.0 * _noise(rng, side, 60, 60)
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
    core = _ramp(GLASS_SUN, 1.0 - 0.3 * design + 0.3 * (tone - 0.5))
    ray = _ramp(GLASS_SUN, 0.1 + 0.75 * tone)
    sky = np.where((design % 2 == 0)[..., None], ray, _ramp(GLASS_SKY, tone))
    ground = _ramp(GLASS_LAND, tone)
    part = np.digitize(design, [3, 100])[..., None]
    rgb = np.where(part == 0, core, np.where(part == 1, sky, ground))

    # Each pane has a streak direction of its own, a gradient across it, and a glow in the middle.
    turn = rng.uniform(0, np.pi, area.size).astype(np.float32)[pane]
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    grain = np.pad(_noise(rng, SIZE, 40, 3.5), (0, SIZE), mode="symmetric")
    streak = grain[u.astype(int) % (2 * SIZE), v.astype(int) % (2 * SIZE)]
    distance = _edge_distance(pane)
    glow = 0.62 + 0.5 * _smoothstep(0, 16, distance) + 0.13 * streak + 0.12 * np.sin(u / 15)
    rgb = rgb * glow[..., None] + 16 * np.clip(streak, 0, 3)[..., None]

    gap = np.minimum(distance, 0.62 * _edge_distance(design))  # wider lead along the design
    lead = 1.5 + 0.35 * _noise(rng, side, 36, 36)
    bar = np.clip(1 - gap / np.maximum(lead, 0.5), 0, 1)
    metal = 20 + 26 * bar[..., None] + _relief(bar, 60) * np.array([1.0, 1.0, 1.15])
    return _finish(_mix(metal, rgb, _smoothstep(-0.7, 0.7, gap - lead)))


def _band(pen: ImageDraw.ImageDraw, one: Array, other: Array, ink: Array) -> None:
    """Fill the band between two lines of points (n x 2), on a canvas of twice the size."""
    ring = np.concatenate([one, other[::-1]]) * 2
    pen.polygon([float(v) for v in ring.ravel()], fill=(int(ink[0]), int(ink[1]), int(ink[2])))


def _sweep(start: Array, length: float, heading: Array, half: Array) -> tuple[Array, Array]:
    """Return the spine of a curl that slows towards its tip, and its half-width normals."""
    pace = 1.05 - np.linspace(0, 1, heading.size) ** 1.3
    spine = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=-1) * pace[:, None], axis=0)
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1) * half[:, None]
    return start + spine * length / heading.size, normal


def _foam(pen: ImageDraw.ImageDraw, roots: Array, size: float, aims: Array, turn: int) -> None:
    """Draw hooked fingers of foam, size pixels long, from the roots in the directions aims."""
    u = np.linspace(0, 1, 12)
    for root, aim in zip(roots, aims, strict=True):
        for grow, ink in ((1.0, INK[4]), (0.64, INK[0])):
            half = size * grow * (0.24 * (1 - u) ** 0.7 + 0.02)
            spine, normal = _sweep(root, size * 1.6, aim + turn * 2.9 * u**1.4, half)
            _band(pen, spine - normal, spine + normal, ink)


def _spray(rng: np.random.Generator, pen: ImageDraw.ImageDraw, centres: Array) -> None:
    """Draw drops of foam, 0.6 to 2.3 pixels in radius."""
    for (x, y), r in zip(centres * 2, rng.uniform(1.2, 4.6, len(centres)), strict=True):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(240, 230, 204))


def _breaker(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, foot: Array, size: float, turn: int
) -> None:
    """Draw one breaking wave, about size pixels high, ribbed along its curl; turn is +1 or -1."""
    u = np.linspace(0, 1, 70)
    heading = -np.pi / 2 + turn * (0.45 + 4.7 * u**2.2)
    half = size * (0.60 * (1 - u) ** 0.95 + 0.015) * turn
    spine, normal = _sweep(foot, size * 3.3, heading, half)
    _band(pen, spine - 1.05 * normal, spine + 1.05 * normal, INK[4])
    cuts = np.linspace(-1, 1, len(INK) + 1)
    wave = 0.05 * np.sin(u * 34 + rng.uniform(0, 6))[:, None]
    for low, high, ink in zip(cuts[:-1], cuts[1:], INK, strict=True):
        _band(pen, spine + normal * (low + wave), spine + normal * (high - 0.03 + wave), ink)
    # Rows of fingers: first node, place across the wave, size, lean from the curl in radians.
    for first, rim, scale, lean in (
        (22, -0.78, 0.2, 0.1),
        (14, -1, 0.27, -0.7),
        (34, 0.9, 0.15, 0.8),
    ):
        k = np.arange(first, 68, 3)
        aims = heading[k] + turn * (lean + rng.uniform(-0.5, 0.4, k.size))
        _foam(pen, (spine + rim * normal)[k], scale * size, aims, turn)
    _spray(rng, pen, spine[38] + rng.normal(0, 0.42 * size, (60, 2)))


def _swell(rng: np.random.Generator, pen: ImageDraw.ImageDraw, top: float, period: float) -> None:
    """Draw open water from top (pixels) down, as ribs that follow its scalloped crest."""
    x = np.linspace(-10, SIZE + 10, 260)
    phase = rng.uniform(0, 6)
    crest = period * 0.55 * np.abs(np.sin(x / period + phase)) ** 0.8
    for k in range(22):
        line = top + 4.6 * k - crest * 0.93**k + 1.2 * np.sin(x / 9 + k)
        for shift, ink in ((0.0, INK[4]), (1.2, INK[(k * 5 + 1) % len(INK)])):
            one = np.stack([x, line + shift], axis=-1)
            _band(pen, one, one + np.array([0, 40]), ink)
    _spray(rng, pen, np.stack([rng.uniform(0, SIZE, 130), rng.uniform(top - 12, top + 90, 130)], 1))


def _waves() -> Image.Image:
    """Draw rows of breaking waves and a low sun as a woodblock print on grained paper."""
    rng = np.random.default_rng(1831)
    side = SIZE * 2
    x, y = _grid(side)
    sky = _ramp(PAPER, 0.3 + 0.0018 * y + 0.25 * np.sin(y / 2.2 + 1.5 * np.sin(x / 60 + y / 40)))
    sun = _ramp(_palette("b8402c d8643c"), 0.5 + 0.5 * np.sin(y / 1.6))
    rgb = _mix(sky, sun, 0.9 * _smoothstep(-1, 1, 62 - np.hypot(x - 168, y - 92)))
    picture = Image.fromarray(rgb.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for row, (top, size) in enumerate(((150, 88), (226, 98), (308, 112), (396, 124), (490, 138))):
        turn = 1 if row % 2 == 0 else -1
        gap = size * 1.7
        for place in np.arange(-0.5 + 0.4 * (row % 2), SIZE / gap + 1):
            foot = np.array([place * gap, top + 0.35 * size])
            _breaker(rng, pen, foot, size * rng.uniform(0.85, 1.1), turn)
        _swell(rng, pen, top + 0.25 * size, size * 0.36)
    ink = np.asarray(picture, dtype=np.float32)
    grain = 4.0 * _noise(rng, side, 1.2, 1.2) + 4.5 * _noise(rng, side, 60, 2)
    return _finish(ink * 0.96 + 6 + grain[..., None])


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
    free[_cell(np.stack([x, y], axis=-1))] = False
    room = ndimage.distance_transform_edt(free)
    row, col = np.nonzero((room > 0.72 * tile) & (room == ndimage.maximum_filter(room, 7)))
    centre = np.concatenate([np.stack([x, y], axis=-1), np.stack([col, row], axis=-1)])
    turn = np.concatenate([turn, rng.uniform(0, np.pi, row.size)])
    return centre, turn + rng.normal(0, 0.07, turn.size)


def _mosaic() -> Image.Image:
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

    level = signed[_cell(centre)]
    whirl = np.arctan2(centre[:, 1] - 256, centre[:, 0] - 256)
    water = 0.40 + 0.28 * np.sin(level / 9 + 2 * whirl) + rng.normal(0, 0.12, count)
    scale = 0.55 - level / 80 + 0.2 * np.sin(whirl * 16) + rng.normal(0, 0.1, count)
    scale = np.where(level > -7, 0.05, scale)  # a dark outline
    colour = np.where((level < 0)[:, None], _ramp(FISH, scale), _ramp(WATER, water))
    foam = (level > 0) & (level < 8)
    gold = (np.abs(level - 44) < 4) & (rng.random(count) < 0.8)
    colour = np.where(foam[:, None], WATER[4], np.where(gold[:, None], FISH[3], colour))
    for start in (-2.6, 0.54):
        eye = 256 + 163 * np.array([np.cos(start + 0.34), np.sin(start + 0.34)])
        away = np.hypot(*(centre - eye).T)[:, None]
        colour = np.where(away < 5, TREE[0], np.where(away < 13, WATER[4], colour))
    colour = colour * rng.uniform(0.85, 1.12, (count, 1)) + rng.normal(0, 6, colour.shape)

    side = SIZE * 3 // 2
    x, y = _grid(side)
    distance, owner = cKDTree(centre).query(np.stack([x, y], axis=-1), k=2)
    own = owner[..., 0]
    dx, dy = x - centre[own, 0], y - centre[own, 1]
    cos, sin = np.cos(turn)[own], np.sin(turn)[own]
    square = np.maximum(np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin))
    half = 0.5 * tile * rng.uniform(0.86, 1.0, count)[own]
    # A tile is a square, cut where it would meet its neighbour; depth is measured from its edge.
    depth = np.minimum(half - square, 0.5 * (distance[..., 1] - distance[..., 0]) - 0.35)
    tilt = rng.normal(0, 3.0, (count, 2))[own]
    shade = tilt[..., 0] * dx + tilt[..., 1] * dy + 6 * _noise(rng, side, 2, 2)
    rgb = colour[own] + shade[..., None] + _relief(np.clip(depth, 0, 1.4), 22)
    grout = np.array([58, 50, 46]) + 8 * _noise(rng, side, 3, 3)[..., None]
    return _finish(_mix(grout, rgb, _smoothstep(-0.3, 0.5, depth)))


_PAINTERS: dict[str, Callable[[], Image.Image]] = {
    "brushstrokes": _brushstrokes,
    "stained_glass": _stained_glass,
    "waves": _waves,
    "mosaic": _mosaic,
}
NAMES: tuple[str, ...] = tuple(_PAINTERS)


def draw(name: str) -> Image.Image:
    """Draw the named style picture, RGB and SIZE x SIZE pixels; KeyError for an unknown name."""
    return _PAINTERS[name]()
