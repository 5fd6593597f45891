"""``brushstrokes``: a night sky, painted in oil."""

import numpy as np
from PIL import Image
from scipy import ndimage

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

SKY = palette("091034 122668 1e4298 3a6ab8 709ecd b2ccd2 e8e4ba")
HALO = palette("f09618 fac42c fce478 f0ecb0 bed0b0 7aa8c4 3060b0")
HILL = palette("0a1430 182e60 285480 467878 96a05c")
FIELD = palette("0e1e22 22423a 546834 a88e30 e2ba4a")
TREE = palette("080e10 10201a 223620 464222 7a5228")

# x, y, radius and turn of each vortex; x, y and radius of each light.
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
        x, y = (axis.ravel() for axis in grid(SIZE))
        for _ in range(reach // stride):
            near = np.clip(y, 0, SIZE - 1).astype(np.int32) * SIZE
            near += np.clip(x, 0, SIZE - 1).astype(np.int32)
            x, y = x + sign * step_x[near], y + sign * step_y[near]
            total += flat[near]
    return (total / total.std()).reshape(field.shape)


def _night(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the flow angle (radians) and the underpainting of a sky of vortices and lights."""
    x, y = grid(SIZE)
    u = np.ones_like(x)
    v = 0.45 * np.cos(x / 62 + 0.6) + 0.15 * noise(rng, SIZE, 90, 90)
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
    bands = _smear(noise(rng, SIZE, 11, 11), angle, 60)
    river = np.exp(-(((y - 250 - 46 * np.sin(x / 70 - 0.9)) / 44) ** 2))
    t = 0.30 + 0.13 * bands + 0.17 * arms + 0.22 * river + 0.10 * smoothstep(330, 410, y)
    rgb = ramp(SKY, t)
    for cx, cy, radius in LIGHTS:
        r = np.hypot(x - cx, y - cy) / radius
        # Rings of sky blue between rings of light, more of them as the glow fades.
        rings = r + 0.30 * np.sin(r * 21 + cx) * r + 0.07 * bands
        rgb = mix(rgb, ramp(HALO, rings), 1 - smoothstep(0.75, 1.15, r))
    return angle, rgb


def _land(rng: np.random.Generator, angle: Array, rgb: Array) -> tuple[Array, Array]:
    """Return the flow angle and the underpainting with a hill, a field and a cypress added."""
    x, y = grid(SIZE)
    rough = noise(rng, SIZE, 24, 9)
    for colours, top, swing, period in ((HILL, 404, 20, 58), (FIELD, 456, 14, 74)):
        ridge = top + swing * (np.sin(x / period + top) + 0.5 * np.sin(x / 23 + top))
        depth = y - ridge
        slope = np.arctan(np.gradient(ridge, axis=1))
        ripple = 0.35 * np.sin(depth / 17 + x / 50) * np.clip(depth / 25, 0, 1)
        angle = np.where(depth > 0, slope + ripple, angle)
        t = 0.42 + 0.26 * np.sin(depth / 5.5 + 0.6 * rough) + 0.14 * rough
        t = np.where(depth < 5, 0.05, t)  # a dark contour along the ridge
        rgb = mix(rgb, ramp(colours, t), smoothstep(-1, 1, depth))
    reach = np.clip((y - 96) / 416, 0, 1)
    offset = x - 428 - reach * (9 * np.sin(y / 34) + 5 * np.sin(y / 13))
    half_width = 46 * reach**0.8 * (1 + 0.16 * np.sin(y / 11 + np.sign(offset)))
    tree = smoothstep(-2, 2, half_width - np.abs(offset)) * (reach > 0)
    sway = np.pi / 2 + 0.35 * np.sin(y / 19 + offset / 9) - offset / 120
    t = 0.36 + 0.3 * np.sin(offset / 3.4 + 2 * np.sin(y / 24)) + 0.1 * rough
    return np.where(tree > 0.5, sway, angle), mix(rgb, ramp(TREE, t), tree)


def _trace(rng: np.random.Generator, start: Array, angle: Array, length: float) -> Array:
    """Return stroke spines (strokes x 9 nodes x 2): from start along the flow, both ways."""
    step = length / 8 * rng.uniform(0.6, 1.15, (len(start), 1))
    wobble = rng.normal(0, 0.10, len(start))
    spine = np.repeat(start[:, None].astype(np.float32), 9, axis=1)
    for side in (-1, 1):
        for node in range(4, 4 + 4 * side, side):
            heading = angle[cell(spine[:, node])] + wobble
            move = side * step * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
            spine[:, node + side] = spine[:, node] + move
    return spine


def _mix_colours(rng: np.random.Generator, start: Array, under: Array) -> Array:
    """Return the colour of each stroke (strokes x 3), from the underpainting near its start."""
    count = len(start)
    colour = under[cell(start + rng.normal(0, 2.0, start.shape))]
    ochre = rng.random((count, 1)) < 0.018
    colour = np.where(ochre, mix(colour, FIELD[4], np.full(count, 0.55)), colour)
    return colour * rng.uniform(0.84, 1.16, (count, 1)) + rng.normal(0, 7, (count, 3))


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

    colour = _mix_colours(rng, start, under)
    streak = rng.normal(0, 1, (count, t.size)).astype(np.float32)
    light = 10 * streak[stroke, bristle] - 14 * s[along] - 16 * (np.abs(t[bristle]) > 0.8) + 7
    ridge = 0.5 * t[bristle] ** 4 + 0.4 * streak[stroke, bristle] + 1.5 * (along < 3)
    canvas.reshape(-1, 4)[covered, :3] = colour[stroke] + light[:, None]
    canvas.reshape(-1, 4)[covered, 3] = ridge + rng.uniform(0, 1.5, count)[stroke]


def draw() -> Image.Image:
    """Draw a night sky over a hill and a cypress, in oil strokes laid from coarse to fine."""
    rng = np.random.default_rng(1889)
    angle, under = _land(rng, *_night(rng))
    side = SIZE * 3 // 2
    rows = np.arange(side) * SIZE // side
    canvas = np.zeros((side, side, 4), dtype=np.float32)
    canvas[..., :3] = 0.85 * under[np.ix_(rows, rows)]  # shows where strokes leave gaps
    for layer in ((800, 62, 13), (2400, 36, 7), (4200, 22, 4)):
        _lay_strokes(rng, canvas, angle, under, layer)
    return finish(canvas[..., :3] + relief(ndimage.gaussian_filter(canvas[..., 3], 0.7), 16))
