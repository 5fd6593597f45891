"""Parts of picture files that Pillow does not write: colour profiles, chunks, deep PNGs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE_RGB = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
"""XYZ of red, green and blue, adapted to D50, as the profiles that come with systems have them."""

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Exponent, slope and offset of the curved part, slope of the linear part, where that ends."""


def profile(
    primaries: Sequence[Sequence[float]] | None, curve: Sequence[float], space: bytes | None = None
) -> bytes:
    """An ICC profile, version 4.

    Args:
        primaries: XYZ of red, green and blue; None: the profile is for grey.
        curve: one exponent, or what ``SRGB_CURVE`` has.
        space: what the header gives as colour space, if not the right one.
    """

    def fixed(values: Sequence[float]) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    response = b"para\0\0\0\0" + (b"\0\0" if len(curve) == 1 else b"\0\3") + b"\0\0" + fixed(curve)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed((0.9642, 1.0, 0.8249))}
    if primaries is None:
        tags[b"kTRC"] = response
    else:
        for name, xyz in zip((b"r", b"g", b"b"), primaries, strict=True):
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(xyz)
            tags[name + b"TRC"] = response
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    space = space or (b"RGB " if primaries else b"GRAY")
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), bytes(4), 0x04200000, b"mntr", space, b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + fixed((0.9642, 1.0, 0.8249))
    return header.ljust(128, b"\0") + table + body


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: Any, depth: int, *chunks: bytes) -> bytes:
    """A PNG file of any depth.

    Args:
        samples: (H, W, channels), integers below 2 ** depth; 1 to 4 channels.
        depth: bits of a sample.
        chunks: what comes before the pixels.
    """
    values = np.asarray(samples, dtype=np.uint16)
    height, width, channels = values.shape
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    bits = (values[..., None] >> np.arange(depth - 1, -1, -1, dtype=np.uint16)) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    ends = (chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *chunks, *ends])
