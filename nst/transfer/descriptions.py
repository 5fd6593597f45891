"""Descriptions of pictures, cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from nst import images
from nst.images.picture import Picture
from nst.losses import Loss
from nst.transfer.guidance import Region, described
from nst.vgg.network import VGG
from nst.vgg.tiling import Strip, joined, mean

CACHE_BYTES = 128 * 2**20
"""Size of the cache, for the next runs of a sweep; the least recently used targets are dropped."""

_cache: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

Terms = Mapping[str, tuple[str, ...]]
"""The layers of each term of a loss, by its name: ``Loss.terms``."""


def descriptions(
    loss: Loss,
    backbone: VGG,
    picture: Picture,
    shape: tuple[int, int],
    terms: Terms,
    regions: Mapping[str, Region | None] | None = None,
) -> dict[str, Tensor]:
    """Descriptions (1, …) of a picture at a shape (height, width), by term.

    Args:
        loss: content or style loss.
        backbone: with taps for the layers.
        picture: any.
        shape: to which it is resized, px.
        terms: those to describe.
        regions: what to describe of the picture for each term; None: all.
    """
    device = backbone.mean.device
    common = (loss, backbone.key, device, picture.sha256, shape)
    parts = {name: (regions or {}).get(name) for name in terms}
    keys = {
        name: (*common, layers, region and region.key)
        for (name, layers), region in zip(terms.items(), parts.values(), strict=True)
    }
    found = {name: _cache[key] for name, key in keys.items() if key in _cache}
    missing = {name: layers for name, layers in terms.items() if name not in found}
    if missing:
        image = images.to_tensor(picture, *shape)[None].to(device)
        found |= _computed(loss, backbone, image, missing, parts)
    for name, key in keys.items():
        _cache[key] = found[name]
        _cache.move_to_end(key)
    while sum(value.nbytes for value in _cache.values()) > CACHE_BYTES:
        _cache.popitem(last=False)
    return found


@torch.no_grad()
def _computed(
    loss: Loss, backbone: VGG, image: Tensor, terms: Terms, regions: Mapping[str, Region | None]
) -> dict[str, Tensor]:
    by_layer = {layers[0]: regions[name] for name, layers in terms.items()}

    def read(layer: str, features: Tensor, strip: Strip) -> dict[str, Tensor]:
        if not loss.additive:
            return {layer: features}
        return {layer: described(loss, [features], by_layer[layer], strip.rows)}

    used = {layer for layers in terms.values() for layer in layers}
    values = backbone.read(image, read, used)
    if loss.additive:
        return {name: mean(values[layer]) for name, (layer,) in terms.items()}
    features = {layer: joined([each for _, each in found]) for layer, found in values.items()}
    return {
        name: described(loss, [features[layer] for layer in layers], regions[name])
        for name, layers in terms.items()
    }
