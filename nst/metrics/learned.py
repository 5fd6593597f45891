"""LPIPS and DISTS: learned distances of two pictures, computed by torchmetrics.

Both run on the VGG-16 of torchvision, which is a file of its own. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, hub

from nst.utils.errors import ConfigError

KEY = "learned_metrics"

SMALLEST = 16
"""Smallest shorter side, px: the deepest features of VGG-16 have a position per 16 px."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""From two pictures (1, 3, H, W), RGB in [0, 1], to a number; 0: equal."""


@lru_cache(maxsize=4)
def networks(names: tuple[str, ...], device: torch.device) -> dict[str, Distance]:
    """The networks of learned metrics, by name; built once per process.

    Args:
        names: ``lpips``, ``dists``.
        device: where to compute.

    Raises:
        ConfigError: if torchmetrics or the weights of VGG-16 are missing, or a file is damaged.
    """
    if not names:
        return {}
    build = _builders(names)
    _check_weights(names)
    return {name: build[name](device) for name in names}


def distances(found: dict[str, Distance], picture: Tensor, other: Tensor) -> dict[str, float]:
    """The learned distances between two pictures of the same size.

    Args:
        found: as ``networks`` returns it.
        picture: (1, 3, H, W), RGB in [0, 1].
        other: the same.

    Returns:
        By name; empty for pictures that are too small.
    """
    if min(picture.shape[-2:]) < SMALLEST:
        return {}
    with torch.no_grad():
        # rounding may put equal pictures below 0
        return {name: max(0.0, float(each(picture, other))) for name, each in found.items()}


def _builders(names: Sequence[str]) -> dict[str, Callable[[torch.device], Distance]]:
    try:
        from torchmetrics.functional.image.dists import DISTSNetwork
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ImportError as error:
        problem = "needs torchmetrics 1.8 or later: pip install 'nst[learned]'"
        raise ConfigError(KEY, names, problem) from error

    def lpips(device: torch.device) -> Distance:
        network = LearnedPerceptualImagePatchSimilarity(net_type="vgg").net
        return partial(network.to(device), normalize=True)  # pictures in [0, 1], not in [-1, 1]

    def dists(device: torch.device) -> Distance:
        # the metric's own class loads the network again for each picture
        return DISTSNetwork().to(device)

    return {"lpips": lpips, "dists": dists}


def _check_weights(names: Sequence[str]) -> None:
    """Checks the file that torchvision would otherwise download, or load whatever it holds."""
    from torchvision import models  # slow to import

    url = models.VGG16_Weights.DEFAULT.url  # what torchmetrics uses
    file = Path(hub.get_dir(), "checkpoints", Path(url).name)
    path = shlex.quote(str(file))
    get = f"get it with: curl -L --create-dirs -o {path} {url}"
    if not file.is_file():
        problem = f"needs the VGG-16 of torchvision, and there is no {path}; nst downloads nothing"
        raise ConfigError(KEY, names, f"{problem}; {get}")
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(KEY, names, f"cannot read {path}: {error.strerror}") from error
    beginning = file.stem.rpartition("-")[2]  # of its sha256: PyTorch names its files so
    if not sha256.startswith(beginning):
        problem = f"{path} is damaged: its sha256 begins with {sha256[:8]}, not {beginning}"
        raise ConfigError(KEY, names, f"{problem}; {get}")
