"""Masks: grey pictures, white where a region is. Drawn, from files, or the colours of one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor

from nst.images import poisson
from nst.images.picture import Picture, fit, load_mask
from nst.utils.errors import ConfigError, listed
from nst.utils.files import BUILTIN, existing

REST = f"{BUILTIN}rest"
"""The mask of what the other regions leave."""

MOST_COLOURS = 16
"""Regions of an indexed picture, at most: one with more is a photo."""

TOLERANCE = 2
"""Levels of 255 by which the masks of a pixel may add up to more than white: rounding."""


def _half(left: float, top: float, right: float, bottom: float) -> Callable[..., Image.Image]:
    def draw(size: tuple[int, int]) -> Image.Image:
        image = Image.new("L", size)
        width, height = size
        box = (round(left * width), round(top * height), round(right * width))
        image.paste(255, (*box, round(bottom * height)))
        return image

    return draw


DRAWN: dict[str, Callable[[tuple[int, int]], Image.Image]] = {
    f"{BUILTIN}top": _half(0, 0, 1, 0.5),
    f"{BUILTIN}bottom": _half(0, 0.5, 1, 1),
    f"{BUILTIN}left": _half(0, 0, 0.5, 1),
    f"{BUILTIN}right": _half(0.5, 0, 1, 1),
    f"{BUILTIN}ellipse": poisson.ellipse,
    f"{BUILTIN}rectangle": poisson.rectangle,
}
"""The drawn masks of a picture of a size (width, height), by name."""


def regions(value: Any, key: str, size: tuple[int, int], whose: str) -> list[Picture | None]:
    """The masks that a config names, one for each region of a picture.

    Args:
        value: a list of files, ``builtin:`` names and null; or a file, of which an indexed picture
            has a region for each of its colours, in the order of its palette.
        key: of the config, for messages.
        size: (width, height) of the picture that they are for.
        whose: the picture in messages, such as ``the content``.

    Returns:
        Mode L, of any size with the aspect of the picture; None where the value is null.

    Raises:
        ConfigError: if a mask cannot be read or has another aspect.
    """
    if isinstance(value, str):
        names, masks = _colours(value, key)
    elif isinstance(value, list) and all(isinstance(each, str | None) for each in value) and value:
        names, masks = value, [_mask(each, key, size) for each in value]
    else:
        problem = f"must be a list of masks, one for each region: files, {listed([*DRAWN, REST])}"
        raise ConfigError(key, value, f"{problem}; or one indexed PNG")
    for name, mask in zip(names, masks, strict=True):
        if mask is not None and not _fits(mask.size, size):
            width, height = mask.size
            problem = f"the mask {name} has {width}x{height} px, {whose} has {size[0]}x{size[1]} px"
            raise ConfigError(key, value, f"{problem}; the aspect must be the same")
    found = [
        None if mask is None else Picture(_short(name), mask)
        for name, mask in zip(names, masks, strict=True)
    ]
    return _with_rest(found, names, key, value, size)


def check_overlap(masks: Sequence[Picture], key: str, value: Any, size: tuple[int, int]) -> None:
    """Checks that the regions of a picture of this size share no pixel.

    Soft masks may share one if they add up to white there at most.

    Raises:
        ConfigError: names a pixel.
    """
    total = sum(np.asarray(_resized(mask.image, size), np.float32) for mask in masks)
    if np.max(total) > 255 + TOLERANCE:
        y, x = np.unravel_index(np.argmax(total), np.shape(total))
        problem = f"the masks overlap: at x={x}, y={y} they add up to {np.max(total) / 255:.2g}"
        raise ConfigError(key, value, f"{problem} times white, at most 1 is allowed")


def to_tensor(mask: Picture, height: int, width: int) -> Tensor:
    """(1, height, width), from 0 to 1; what added up to 1 still does."""
    array = np.asarray(_resized(mask.image.convert("F"), (width, height)))
    return torch.from_numpy(array / np.float32(255))[None]


def is_everywhere(mask: Picture) -> bool:
    """Whether a mask is white in all pixels."""
    return mask.image.getextrema() == (255, 255)


def _resized(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)


def _fits(mask: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a mask has the aspect of a picture, to a pixel of the smaller of the two."""
    height, width = fit(size, min(mask)) if min(mask) < min(size) else size[::-1]
    own_height, own_width = mask[::-1] if min(mask) < min(size) else fit(mask, min(size))
    return abs(height - own_height) <= 1 and abs(width - own_width) <= 1


def _mask(name: str | None, key: str, size: tuple[int, int]) -> Image.Image | None:
    if name is None:
        return None
    if name == REST:
        return Image.new("L", size)
    if name in DRAWN:
        return DRAWN[name](size)
    if name.startswith(BUILTIN):
        problem = f"no such mask; allowed: {listed([*DRAWN, REST])}, or a picture file"
        raise ConfigError(key, name, problem)
    return load_mask(name, key)


def _with_rest(
    found: list[Picture | None], names: Sequence[Any], key: str, value: Any, size: tuple[int, int]
) -> list[Picture | None]:
    """The masks, with ``builtin:rest`` drawn."""
    if REST not in names:
        return found
    if list(names).count(REST) > 1:
        raise ConfigError(key, value, f"names {REST} twice")
    others = [each for each, name in zip(found, names, strict=True) if each and name != REST]
    total = Image.new("L", size)
    for each in others:
        total = ImageChops.add(total, _resized(each.image, size))
    rest = Picture(_short(REST), ImageChops.invert(total))
    return [rest if name == REST else each for each, name in zip(found, names, strict=True)]


def _colours(path: str, key: str) -> tuple[list[str], list[Image.Image | None]]:
    """Names and masks of the regions of one file."""
    if path in (REST, *DRAWN):
        raise ConfigError(key, path, f"one region needs a list: [{path}]")
    whole = load_mask(path, key)  # also checks the file
    with Image.open(existing(path)) as picture:
        if picture.mode != "P":
            return [path], [whole]
        indices = np.asarray(picture)
    used = np.unique(indices)
    if len(used) > MOST_COLOURS:
        problem = f"has {len(used)} colours; a picture of regions has {MOST_COLOURS} at most"
        raise ConfigError(key, path, problem)
    masks = [Image.fromarray(np.where(indices == each, 255, 0).astype(np.uint8)) for each in used]
    return [f"{path} (colour {each})" for each in used], list(masks)


def _short(name: str) -> str:
    return name.removeprefix(BUILTIN).rpartition("/")[2]
