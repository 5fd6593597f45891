"""``waves``: a sea of breakers, printed from blocks of wood."""

import numpy as np
from PIL import Image, ImageDraw

from nst.images.procedural.drawing import (
    SIZE,
    Array,
    finish,
    grid,
    mix,
    noise,
    palette,
    ramp,
    smoothstep,
)

INK = palette("f0e6cc b0ccca 183e70 2c6292 0d1c3e 6ca4b6 183e70 0d1c3e 2c6292 6ca4b6 0d1c3e")
PAPER = palette("a9c0c0 d9cfb2 f0e6cc")


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


def draw() -> Image.Image:
    """Draw rows of breaking waves and a low sun as a woodblock print on grained paper."""
    rng = np.random.default_rng(1831)
    side = SIZE * 2
    x, y = grid(side)
    sky = ramp(PAPER, 0.3 + 0.0018 * y + 0.25 * np.sin(y / 2.2 + 1.5 * np.sin(x / 60 + y / 40)))
    sun = ramp(palette("b8402c d8643c"), 0.5 + 0.5 * np.sin(y / 1.6))
    rgb = mix(sky, sun, 0.9 * smoothstep(-1, 1, 62 - np.hypot(x - 168, y - 92)))
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
    grain = 4.0 * noise(rng, side, 1.2, 1.2) + 4.5 * noise(rng, side, 60, 2)
    return finish(ink * 0.96 + 6 + grain[..., None])
