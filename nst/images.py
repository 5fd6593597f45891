"""Pictures: decode any of them to the RGB a person sees, resize, save. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from nst import procedural
from nst.errors import ConfigError, listed
from nst.files import existing

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: 100 megapixels are 300 MB of RGB."""

BUILTIN = "builtin:"
_LIBRARY_PICTURES = {
    # scikit-image: public domain or CC0
    **{name: ("skimage", f"data/{name}.png") for name in ("astronaut", "chelsea", "coffee")},
    **{name: ("skimage", f"data/{name}.png") for name in ("brick", "grass", "gravel", "ihc")},
    **{name: ("skimage", f"data/{name}.jpg") for name in ("rocket", "hubble_deep_field", "retina")},
    # scikit-learn: CC BY 2.0, credited in the README
    **{name: ("sklearn", f"datasets/images/{name}.jpg") for name in ("china", "flower")},
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        name: short name for folders and captions (a file's stem, or a built-in's name).
        image: 8-bit RGB.
        parts: what it was made of, if it was, by name.
    """

    name: str
    image: Image.Image
    parts: dict[str, Image.Image] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels, so that a renamed or re-encoded file is the same picture."""
        digest = hashlib.sha256(repr(self.image.size).encode())
        digest.update(self.image.tobytes())
        return digest.hexdigest()


def builtin_names() -> list[str]:
    """Names that ``builtin:NAME`` takes: photos and textures from wheels, and drawn pictures."""
    return sorted([*_LIBRARY_PICTURES, *procedural.NAMES])


def load(path: str, key: str) -> Picture:
    """Reads a picture file, or a built-in one.

    Args:
        path: a JPEG, PNG, WebP or TIFF file, or ``builtin:NAME``.
        key: the config key that named it, for messages.

    Raises:
        ConfigError: if there is no such picture, or it cannot be decoded whole.
    """
    if path.startswith(BUILTIN):
        return _load_builtin(path, key)
    try:
        file = existing(path)
    except ValueError as error:
        problem = f"{error}; give a picture file or {BUILTIN}NAME"
        raise ConfigError(key, path, problem) from error
    try:
        return Picture(Path(path).stem, decode(file))
    except PermissionError as error:
        raise ConfigError(key, path, "may not be read by this user") from error
    except ValueError as error:
        raise ConfigError(key, path, str(error)) from error


@lru_cache(maxsize=8)
def _load_builtin_image(name: str) -> Image.Image:
    if name in procedural.NAMES:
        return procedural.draw(name)
    package, relative = _LIBRARY_PICTURES[name]
    # find_spec instead of an import: scikit-image's loaders may fetch, and importing is slow
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package}, which carries it, is not installed")
    return decode(Path(spec.submodule_search_locations[0]) / relative)


def _load_builtin(path: str, key: str) -> Picture:
    name = path.removeprefix(BUILTIN)
    if name not in builtin_names():
        raise ConfigError(
            key, path, f"no such built-in picture; allowed: {listed(builtin_names())}"
        )
    try:
        return Picture(name, _load_builtin_image(name))
    except OSError as error:
        raise ConfigError(key, path, f"cannot be read: {error}") from error


def decode(file: Path) -> Image.Image:
    """Decodes a file to 8-bit sRGB, upright, on white where it is transparent.

    Raises:
        ValueError: in one line, if the file is no whole picture of a format in ``FORMATS``, or
            has more than ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # what matters is told in one line
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _as_seen(image)
    except UnidentifiedImageError:
        raise ValueError(f"not a picture of a known format; allowed: {listed(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except PermissionError:
        raise
    except (OSError, SyntaxError, EOFError, IndexError, MemoryError) as error:
        # Pillow's decoders raise any of these on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"the picture is damaged or cut short ({reason})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's decoders in C write what they think of a file straight to the terminal."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    try:
        kept = os.dup(2)
    except OSError:  # there is no terminal
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _as_seen(image: Image.Image) -> Image.Image:
    """8-bit sRGB as a viewer shows it: rotated by EXIF, colours by profile, on white."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _deep_grey_to_8_bit(image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK"):
        image = _to_srgb(image, profile)
    return image.convert("RGB")


def _deep_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits by scaling: Pillow's own conversion would clip at 255."""
    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if image.mode.startswith("I") else 1.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise ValueError(f"grey values outside 0 to {top:g} (mode {image.mode}); save it as 8 bits")
    return Image.fromarray((values * (255.0 / top)).round().astype(np.uint8), "L")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile: show the numbers as they are, as viewers do
    return image if converted is None else converted


def fit(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(height, width) with the aspect of ``size`` = (width, height) and this shorter side, px."""
    width, height = size
    scale = shorter / min(width, height)
    return max(shorter, round(height * scale)), max(shorter, round(width * scale))


def to_tensor(picture: Picture, height: int, width: int) -> Tensor:
    """(3, height, width), RGB in [0, 1], resampled with a Lanczos filter."""
    image = picture.image
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    array = np.array(image, dtype=np.uint8)
    return torch.from_numpy(array).permute(2, 0, 1).contiguous().float().div(255)


def covering(picture: Picture, height: int, width: int) -> Tensor:
    """(3, height, width), RGB in [0, 1]: fills the shape without distortion, cropped centrally."""
    image = ImageOps.fit(picture.image, (width, height), Image.Resampling.LANCZOS)
    return to_tensor(Picture(picture.name, image), height, width)


def to_image(tensor: Tensor) -> Image.Image:
    """8-bit RGB of a tensor (3, H, W), RGB in [0, 1]."""
    array = tensor.detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return Image.fromarray(array.cpu().numpy(), "RGB")
