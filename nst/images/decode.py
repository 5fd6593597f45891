"""Picture files to pixels: the formats, and the messages for files that cannot be read."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from nst.images import colour, metadata, tiff
from nst.images.colour import UnsupportedError
from nst.utils.errors import listed

FORMATS = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WebP": "WEBP",
    "TIFF": "TIFF",
    "GIF": "GIF",
    "BMP": "BMP",
    "AVIF": "AVIF",
    "JPEG 2000": "JPEG2000",
    "HEIC": "HEIF",
}
"""Supported formats, with Pillow's names for them. HEIC needs the package ``pillow-heif``."""

_HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: 100 megapixels are 300 MB of RGB."""

for _library in ("PIL", "tifffile"):  # what they log of a damaged file is in the error raised here
    logging.getLogger(_library).setLevel(logging.CRITICAL)


def suffixes() -> set[str]:
    """Suffixes of files in one of ``FORMATS``, in lower case: ``.jpg``, ``.png``, …"""
    known = Image.registered_extensions().items()
    return _HEIC_SUFFIXES | {suffix for suffix, name in known if name in FORMATS.values()}


def decode(file: Path) -> Image.Image:
    """Decodes the first picture of a file as a viewer shows it: see ``colour.as_seen``.

    Damaged metadata never make a picture unreadable: if they raise an error, all metadata are
    ignored.

    Returns:
        8-bit sRGB, upright: mode RGBA if any pixel is transparent, else RGB.

    Raises:
        ValueError: in one line, if the file is not a complete picture in one of ``FORMATS``, or
            has more than ``MAX_PIXELS``.
        PermissionError: if the user may not read it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _with_or_without_metadata(file)
    except (UnsupportedError, PermissionError):
        raise
    except UnidentifiedImageError:
        raise ValueError(f"not a picture of a known format; allowed: {listed(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except Exception as error:  # decoders raise errors of any type on damaged files
        raise ValueError(f"the picture is damaged or cut short ({_reason(error)})") from None


def _with_or_without_metadata(file: Path) -> Image.Image:
    try:
        with file.open("rb") as source:
            return _pixels(source)
    except (PermissionError, MemoryError, Image.DecompressionBombError):
        raise
    except Exception:
        bare = metadata.without(file)
        if bare is None:
            raise
    return _pixels(io.BytesIO(bare))


def _pixels(source: BinaryIO) -> Image.Image:
    with _open(source) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return colour.as_seen(image)


def _open(source: BinaryIO) -> Image.Image:
    """The file's first picture, not yet decoded if Pillow can decode it."""
    try:
        image = Image.open(source, formats=[name for name in FORMATS.values() if name != "HEIF"])
    except UnidentifiedImageError:
        source.seek(0)
        head = source.read(16)
        source.seek(0)
    else:
        return tiff.read(source, MAX_PIXELS) if tiff.misread(image) else image
    if head.startswith(tiff.HEADS):
        return tiff.read(source, MAX_PIXELS)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return _open_heic(source)
    for name, known in FORMATS.items():  # find the error that made Pillow pass over the format
        opens, accepts = Image.OPEN.get(known, (None, None))
        if opens and accepts and accepts(head) is True:
            try:
                return opens(source, "")
            except Exception as error:
                raise UnsupportedError(
                    f"the {name} file is damaged or of a kind that cannot be read"
                    f" ({_reason(error)}); save it as an 8-bit PNG"
                ) from None
    raise UnidentifiedImageError


def _open_heic(source: BinaryIO) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        problem = "a HEIC file, which needs the package pillow-heif: pip install pillow-heif"
        raise UnsupportedError(problem) from None
    pillow_heif.register_heif_opener()
    return Image.open(source, formats=["HEIF"])


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if " " in text else f"{type(error).__name__} {text}".strip()
