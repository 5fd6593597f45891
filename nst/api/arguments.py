"""From arguments in Python to overrides as they are typed on the command line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from nst.config.arguments import for_hydra
from nst.config.compose import conf_dir
from nst.config.keys import PICTURE_GROUPS, file_keys
from nst.config.overrides import parse, quoted
from nst.utils.errors import ConfigError
from nst.utils.files import save_png

PICTURES = "pictures"
"""Folder among the outputs with the pictures that had no file, by their hash."""

DIGITS = 16
"""Digits of the hash in the name of a picture: enough to be unique among the outputs."""


def words(overrides: Sequence[str], keys: Mapping[str, Any], swept: bool = False) -> list[str]:
    """Overrides as the command line has them, in the order given.

    Args:
        overrides: as typed.
        keys: values by key. A mapping has the keys of a group: ``weights={"style": 1e6}`` is
            ``weights.style=1e6``. A picture may be a path, a PIL image, an array or a tensor; those
            without a file are written to ``OUTPUTS/pictures``.
        swept: whether a list has the values of a sweep, rather than being one value.

    Raises:
        ConfigError: for a value that no key can have.
    """
    found = [for_hydra(each) for each in overrides]
    outputs = _outputs(found, keys)
    for key, value in keys.items():
        found += _words(key, value, swept, outputs)
    return found


def _outputs(found: Sequence[str], keys: Mapping[str, Any]) -> Path:
    typed = [parse(each) for each in found]
    named = [each.value() for each in typed if each is not None and each.key_or_group == "outputs"]
    return Path(keys.get("outputs", named[-1] if named else "outputs")).absolute()


def _words(key: str, value: Any, swept: bool, outputs: Path) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _words(f"{key}.{name}", each, swept, outputs)
        return
    several = swept and isinstance(value, list | tuple)
    values = list(value) if several else [value]
    if not values:
        raise ConfigError(key, [], "no values to sweep over")
    groups, usual = _groups()
    if key in groups - set(PICTURE_GROUPS) and isinstance(values[0], list | tuple):
        problem = f"{len(values[0])} options make a sweep: use nst.sweep"
        raise ConfigError(key, values[0], problem)
    if key in groups - usual:
        key = f"+{key}"
    if key in PICTURE_GROUPS and all(isinstance(each, str) for each in values):
        yield for_hydra(f"{key}={','.join(map(_text, values))}")  # an option, or a file
        return
    if key in PICTURE_GROUPS:
        key = f"{key}.path"
    yield f"{key}={','.join(_value(key, each, outputs) for each in values)}"


@cache
def _groups() -> tuple[set[str], set[str]]:
    """All config groups, and those of which the config has an option by default."""
    conf = Path(conf_dir())
    defaults = yaml.safe_load((conf / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    usual = {key for each in defaults if isinstance(each, dict) for key in each}
    return {path.name for path in conf.iterdir() if path.is_dir()} - {"hydra"}, usual


def _value(key: str, value: Any, outputs: Path) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, Path):
        return quoted(str(value))
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(key, each, outputs) for each in value) + "]"
    if _is_picture(value):
        if key not in file_keys():
            raise ConfigError(key, type(value).__name__, "takes no picture")
        return quoted(str(_kept(key, value, outputs)))
    return _text(value.item() if hasattr(value, "item") else value)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value) if math.isfinite(value) else str(value)
    return quoted(str(value))


def _is_picture(value: Any) -> bool:
    """Whether a value is an image, an array or a tensor; numbers of NumPy and PyTorch are none."""
    return isinstance(value, Image.Image) or (hasattr(value, "shape") and len(value.shape) > 0)


def _kept(key: str, value: Any, outputs: Path) -> Path:
    """The file of a picture that has none, by its content; written if it is not there yet."""
    image = value if isinstance(value, Image.Image) else _image(key, value)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    shape = json.dumps([image.mode, image.size])
    digest = hashlib.sha256(shape.encode() + image.tobytes()).hexdigest()[:DIGITS]
    file = outputs / PICTURES / f"picture_{digest}.png"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        save_png(image, file)
    return file


def _image(key: str, value: Any) -> Image.Image:
    """The picture of an array or a tensor.

    Integers are from 0 to 255, other numbers from 0 to 1. Axes: (H, W), (H, W, C), or PyTorch's
    (C, H, W) and (1, C, H, W), with 1, 3 or 4 channels.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().float() if value.is_floating_point() else value.cpu()
    array = np.asarray(value)
    shape = "x".join(map(str, array.shape))
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        problem = "is no picture: needs (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels"
        raise ConfigError(key, shape, problem)
    most = 255.0 if np.issubdtype(array.dtype, np.integer) else 1.0
    low, high = (float(each) for each in (array.min(), array.max()))
    if not (0 <= low <= high <= most):
        problem = f"values must be from 0 to {most:g}, as {array.dtype}"
        raise ConfigError(key, f"{low:g} to {high:g}", problem)
    return Image.fromarray(np.rint(array * (255.0 / most)).astype(np.uint8))
