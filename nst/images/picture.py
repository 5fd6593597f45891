"""Pictures: files and built-in ones, resizing, conversion to tensors. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from nst.images import colour, procedural
from nst.images.decode import decode
from nst.utils.errors import ConfigError, listed
from nst.utils.files import BUILTIN, existing

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
        image: 8-bit RGB; RGBA from ``load_cut_out``.
        parts: the pictures that it was made of, by name: of a blend, or of a style in new colours.
    """

    name: str
    image: Image.Image
    parts: dict[str, Image.Image] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels: a renamed or losslessly re-encoded file is the same picture."""
        digest = hashlib.sha256(repr(self.image.size).encode())
        digest.update(self.image.tobytes())
        return digest.hexdigest()


def builtin_names() -> list[str]:
    """The names of ``builtin:NAME``: photos and textures of Python packages, and drawn pictures."""
    return sorted([*_LIBRARY_PICTURES, *procedural.NAMES])


def load(path: str, key: str) -> Picture:
    """Reads a picture file or a built-in picture, on white where it is transparent.

    Args:
        path: a file of a format in ``decode.FORMATS``, or ``builtin:NAME``.
        key: the config key that named it, for messages.

    Raises:
        ConfigError: if there is no such picture, or it cannot be decoded completely.
    """
    picture = load_cut_out(path, key)
    return replace(picture, image=colour.on_white(picture.image))


def load_cut_out(path: str, key: str) -> Picture:
    """As ``load``, but the image is RGBA if any pixel is transparent."""
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
        raise ConfigError(key, path, "permission denied") from error
    except ValueError as error:
        raise ConfigError(key, path, str(error)) from error


def load_mask(path: str, key: str) -> Image.Image:
    """Reads a picture as a mask; arguments and errors are those of ``load``.

    Returns:
        Mode L: the alpha channel of a picture with transparency, so that a cut-out is a mask of its
        own shape; the brightness of any other.
    """
    image = load_cut_out(path, key).image
    return image.getchannel("A") if image.mode == "RGBA" else image.convert("L")


@lru_cache(maxsize=8)
def _load_builtin_image(name: str) -> Image.Image:
    if name in procedural.NAMES:
        return procedural.draw(name)
    package, relative = _LIBRARY_PICTURES[name]
    # find_spec, no import: scikit-image's loaders may download, and importing is slow
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package}, which contains it, is not installed")
    return colour.on_white(decode(Path(spec.submodule_search_locations[0]) / relative))


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
    """(3, height, width), RGB in [0, 1]: resized without distortion and cropped at the centre."""
    image = ImageOps.fit(picture.image, (width, height), Image.Resampling.LANCZOS)
    return to_tensor(Picture(picture.name, image), height, width)


def tiled(image: Image.Image) -> Image.Image:
    """Two by two copies of an RGB image side by side."""
    return Image.fromarray(np.tile(np.asarray(image), (2, 2, 1)))


def to_image(tensor: Tensor) -> Image.Image:
    """8-bit RGB of a tensor (3, H, W), RGB in [0, 1]."""
    array = tensor.detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return Image.fromarray(array.cpu().numpy(), "RGB")
