"""TIFF files that Pillow cannot read, such as 16-bit and floating-point colour, by tifffile."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from nst.images.colour import UnsupportedError, to_8_bits

HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""

_MODES = {"MINISWHITE": "L", "MINISBLACK": "L", "RGB": "RGB", "SEPARATED": "CMYK"}
_ALPHA = {1: "a", 2: "A"}  # by ExtraSamples: colours premultiplied by alpha, or not


def misread(image: Image.Image) -> bool:
    """Whether Pillow opens a file but would misread it: 16-bit channels in separate planes."""
    tags = getattr(image, "tag_v2", {})
    apart = tags.get(ExifTags.Base.PlanarConfiguration) == 2
    deep = max(tags.get(ExifTags.Base.BitsPerSample, (1,))) > 8
    return apart and deep and tags.get(ExifTags.Base.Compression, 1) == 1


def read(source: BinaryIO, max_pixels: int) -> Image.Image:
    """Decodes the first page with ``tifffile``.

    Of integer colours only the upper 8 bits are kept, as by Pillow. Grey and floating-point values
    (0 to 1) are scaled and rounded.

    Args:
        source: the file.
        max_pixels: larger pictures are refused.

    Returns:
        8 bits per channel, in mode L, LA, La, RGB, RGBA, RGBa or CMYK, with the colour profile in
        ``info`` and the orientation in ``getexif()``.

    Raises:
        UnsupportedError: if the layout is not supported.
        Image.DecompressionBombError: if it has too many pixels.
        Exception: of any type, if it is damaged.
    """
    import tifffile  # only here: few files need it

    source.seek(0)
    with tifffile.TiffFile(source) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > max_pixels:
            raise Image.DecompressionBombError
        kind, extra = getattr(page.photometric, "name", str(page.photometric)), page.extrasamples
        mode = _MODES.get(kind, "")
        values = _values(page, kind, len(mode) + len(extra))
        if mode != "CMYK" and extra:
            mode += _ALPHA.get(extra[0], "")
        pixels = _to_8_bits(values[..., : len(mode)])
        if kind == "MINISWHITE":
            pixels[..., 0] = 255 - pixels[..., 0]
        image = Image.frombytes(mode, (page.imagewidth, page.imagelength), pixels.tobytes())
        for tag in page.tags:
            if tag.code == ExifTags.Base.InterColorProfile:
                image.info["icc_profile"] = tag.value
            elif tag.code == ExifTags.Base.Orientation:
                image.getexif()[ExifTags.Base.Orientation] = tag.value
        return image


def _values(page: Any, kind: str, channels: int) -> NDArray[Any]:
    """(H, W, channels) of a page, as stored."""
    unsupported = UnsupportedError(
        f"a TIFF file of a kind that cannot be read ({page.dtype} {kind.lower()}, compression "
        f"{getattr(page.compression, 'name', page.compression)}); save it as an 8-bit PNG"
    )
    numbers = page.dtype is not None and page.dtype.kind in "uf"
    if kind not in _MODES or not numbers or page.imagedepth != 1:
        raise unsupported
    if page.samplesperpixel != channels or channels > 8:
        raise unsupported
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not length or start + length > page.parent.filehandle.size:
            raise EOFError("pixels are missing")  # tifffile would fill in zeros
    try:
        values = page.asarray(squeeze=False)[:, 0]  # (1, H, W, channels) or (channels, H, W, 1)
    except ValueError as error:
        if "imagecodecs" in str(error):  # a package for more compressions
            raise unsupported from None
        raise
    return np.moveaxis(values, 0, -1).reshape(page.imagelength, page.imagewidth, channels)


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype.kind == "f":
        return to_8_bits(values, 1.0)
    if values.shape[-1] < 3:
        return to_8_bits(values, float(np.iinfo(values.dtype).max))
    return (values >> (8 * values.dtype.itemsize - 8)).astype(np.uint8)
