"""Picture files without their metadata, for decoders that fail on damaged metadata."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from nst.images import tiff

_TIFF_LAYOUT = {
    *(254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 332, 338, 339, 347, 512, 513, 514, 515, 517, 519, 520, 521),
    *(529, 530, 531, 532),
}
"""Tags that describe how the pixels are stored; all others are metadata."""


def without(file: Path) -> bytes | None:
    """The bytes of a picture file without EXIF, colour profile, XMP, resolution and comments.

    Returns:
        None if the file has no such metadata.
    """
    with file.open("rb") as opened:
        head = opened.read(12)
        if not (head[4:8] == b"ftyp" or head.startswith((b"\x89PNG", b"\xff\xd8", *tiff.HEADS))):
            return None
        data = head + opened.read()
    if head.startswith(b"\x89PNG"):
        bare = _png(data)
    elif head.startswith(b"\xff\xd8"):
        bare = _jpeg(data)
    elif head.startswith(tiff.HEADS):
        bare = _tiff(data)
    else:  # AVIF, HEIC: decoders ignore items of unknown types
        bare = re.sub(rb"(?s)(infe.{8})Exif", rb"\1skip", data)
    return None if bare == data else bare


def _png(data: bytes) -> bytes:
    """Without ancillary chunks other than the transparent value."""
    kept, at = [data[:8]], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if not kind[:1].islower() or kind == b"tRNS":
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _jpeg(data: bytes) -> bytes:
    """Without comments and application segments other than those that define the colour coding."""
    kept, at = [data[:2]], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":  # start of scan
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        start, body = data[at + 1 : at + 2], data[at + 4 : end]
        coding = len(body) >= 12 and body.startswith((b"JFIF\0", b"Adobe"))
        if coding or not (b"\xe0" <= start <= b"\xef" or start == b"\xfe"):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _tiff(data: bytes) -> bytes:
    """With an invalid type for each tag of the first directory that is metadata."""
    order, big = ("<" if data.startswith(b"II") else ">"), b"+" in data[2:4]
    bare = bytearray(data)
    try:
        (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
        size, at = (20, at + 8) if big else (12, at + 2)
        for entry in range(at, min(at + size * count, len(data) - size), size):
            if struct.unpack_from(f"{order}H", data, entry)[0] not in _TIFF_LAYOUT:
                bare[entry + 2 : entry + 4] = b"\0\0"
    except (struct.error, OverflowError):  # the directory itself is damaged
        return data
    return bytes(bare)
