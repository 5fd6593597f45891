"""Stored pixels to sRGB as seen: bit depth, transparency, colour profile, orientation."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF orientation."""

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space that a profile must have, by mode."""

_KEY_STEPS = {"L;2": 85, "L;4": 17}
"""Factors from 2- and 4-bit grey to 8 bits: Pillow scales pixels, but not the transparent value."""


class UnsupportedError(ValueError):
    """The picture is intact, but its kind is not supported; says why, and what to do instead."""


def as_seen(image: Image.Image) -> Image.Image:
    """8-bit sRGB as a viewer shows it, with an alpha channel if necessary.

    Colours are converted by the embedded ICC profile, in any mode. A profile that is damaged or for
    another colour space is ignored. Without a profile, the values are sRGB: PNG's gAMA, cHRM and
    cICP chunks are ignored. The orientation in EXIF or XMP is applied, unless it is damaged.

    Args:
        image: opened, its pixels not yet loaded.

    Returns:
        RGBA if any pixel is transparent, else RGB.

    Raises:
        UnsupportedError: if its values cannot be scaled to 8 bits.
        Exception: of any type, if the pixels are damaged.
    """
    stored, low = _raw_mode(image), _low_bytes(image)
    image.load()
    colours, alpha = _split(image, stored, low)
    colours = _to_srgb(colours, image.info.get("icc_profile"))
    if alpha is not None and alpha.getextrema() != (255, 255):
        colours.putalpha(alpha)
    turn = _turn(image)
    return colours if turn is None else colours.transpose(turn)


def on_white(image: Image.Image) -> Image.Image:
    """RGB of an RGB or RGBA image: composited on white."""
    if image.mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def to_8_bits(values: NDArray[Any], top: float) -> NDArray[np.uint8]:
    """Values from 0 to ``top``, of any shape, scaled to 0 to 255 and rounded."""
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise UnsupportedError(f"values outside 0 to {top:g} ({values.dtype}); save it as 8 bits")
    return (values.astype(np.float64) * (255.0 / top)).round().astype(np.uint8)


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the pixels in the file; empty if there is none."""
    tiles = getattr(image, "tile", None)
    layout = tiles[0].args if tiles else None
    return layout if isinstance(layout, str) else ""


def _low_bytes(image: Image.Image) -> NDArray[np.int64] | None:
    """(H, W, 3): low bytes of 16-bit colours, which Pillow drops; None if they have no effect."""
    if _raw_mode(image) != "RGB;16B" or "transparency" not in image.info:
        return None
    assert isinstance(image, ImageFile.ImageFile)
    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(0)
    with Image.open(io.BytesIO(image.fp.read()), formats=["PNG"]) as low:
        low.tile = [low.tile[0]._replace(args="RGB;16L")]  # bytes swapped
        values = np.asarray(low).astype(np.int64)
    image.fp.seek(place)
    return values


def _split(
    image: Image.Image, stored: str, low: NDArray[np.int64] | None
) -> tuple[Image.Image, Image.Image | None]:
    """The colours in mode L, RGB or CMYK, and the alpha channel in mode L, or None."""
    key = image.info.pop("transparency", None) if image.mode not in ("P", "PA") else None
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):  # premultiplied by alpha
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    alpha = None if key is None else _keyed(image, key, stored, low)
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode.startswith(("I", "F")):
        image = _deep_grey_to_8_bit(image)
    elif image.mode not in _SPACES:  # YCbCr, LAB
        image = image.convert("RGB")
    return image, alpha


def _keyed(image: Image.Image, key: Any, stored: str, low: NDArray[np.int64] | None) -> Image.Image:
    """An alpha channel that is 0 where the pixels have the transparent value ``key``."""
    values = np.asarray(image.convert("L") if image.mode == "1" else image).astype(np.int64)
    if low is not None:
        values = 256 * values + low
    clear = values == np.asarray(key) * _KEY_STEPS.get(stored, 1)
    if clear.ndim == 3:
        clear = clear.all(-1)
    return Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))


def _deep_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """12- to 32-bit grey scaled to 8 bits: Pillow's own conversion would clip at 255."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF file
    top = 65535.0 if image.mode.startswith("I") else 1.0
    if tags.get(ExifTags.Base.BitsPerSample) == (12,):
        top = 4095.0
    grey = to_8_bits(np.asarray(image), top)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
        grey = 255 - grey
    return Image.fromarray(grey)


def _to_srgb(image: Image.Image, profile: Any) -> Image.Image:
    """RGB of an image in mode L, RGB or CMYK, by its ICC profile if that is for the mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        space = source.profile.xcolor_space.strip() if source else ""
        if space == "GRAY" and image.mode == "RGB":  # Pillow reads 16-bit grey with alpha as RGB
            grey = image.convert("L")
            image = grey if grey.convert("RGB").tobytes() == image.tobytes() else image
        if source and space == _SPACES[image.mode]:
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            return image if converted is None else converted
    except Exception:  # damaged profiles are ignored, as by viewers
        pass
    return image.convert("RGB")


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif()[ExifTags.Base.Orientation])
    except Exception:  # none, or damaged: errors are of any type
        return None
