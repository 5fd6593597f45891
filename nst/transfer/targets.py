"""Targets of the losses: features and Gram matrices of pictures, cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

import torch
from torch import Tensor

from nst import images, losses
from nst.images.picture import Picture
from nst.vgg.network import VGG, Reader
from nst.vgg.tiling import mean

CACHE_BYTES = 128 * 2**20
"""Size of the cache, for the next runs of a sweep; the least recently used targets are dropped."""

_cache: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()


def features(
    backbone: VGG, picture: Picture, shape: tuple[int, int], layers: Collection[str]
) -> dict[str, Tensor]:
    """Features (1, C, H', W') of a picture at a shape (height, width), by layer."""
    return _cached("features", backbone, picture, shape, layers)


def gram_matrices(
    backbone: VGG, picture: Picture, shape: tuple[int, int], layers: Collection[str]
) -> dict[str, Tensor]:
    """Gram matrices (1, C, C) of a picture at a shape (height, width), by layer."""
    return _cached("gram matrices", backbone, picture, shape, layers)


def _cached(
    kind: str, backbone: VGG, picture: Picture, shape: tuple[int, int], layers: Collection[str]
) -> dict[str, Tensor]:
    device = backbone.mean.device
    keys = {layer: (kind, backbone.key, device, picture.sha256, shape, layer) for layer in layers}
    found = {layer: _cache[key] for layer, key in keys.items() if key in _cache}
    missing = [layer for layer in keys if layer not in found]
    if missing:
        image = images.to_tensor(picture, *shape)[None].to(device)
        found |= _computed(kind, backbone, image, missing)
    for layer, key in keys.items():
        _cache[key] = found[layer]
        _cache.move_to_end(key)
    while sum(value.nbytes for value in _cache.values()) > CACHE_BYTES:
        _cache.popitem(last=False)
    return found


@torch.no_grad()
def _computed(kind: str, backbone: VGG, image: Tensor, layers: list[str]) -> dict[str, Tensor]:
    if kind == "features":
        return backbone(image, layers)
    read: Reader = lambda layer, features, strip: {layer: losses.gram_matrix(features)}  # noqa: E731
    return {layer: mean(values) for layer, values in backbone.read(image, read, layers).items()}
